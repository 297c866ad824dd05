#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts in which disks of nvringd are block devices of the kernel it runs on. NVRINGD, NVRING: the programs.
level=debug
. /mnt/daemon.sh

# daemon_dies: as if it had crashed
daemon_dies() {
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null
	echo "ok nvringd killed"
}
# operations NODE: write, write zeroes, flush and discard, each for what it leaves; the pattern stays in /run/pattern
operations() {
	dd if=/dev/urandom of=/run/pattern bs=1M count=4 status=none
	check "write" dd if=/run/pattern of="$1" bs=1M oflag=direct status=none
	check "zeroes" blkdiscard -z -o 1M -l 1M "$1"
	check "flush" blockdev --flushbufs "$1"
	dd if=/dev/zero of=/run/pattern bs=1M count=1 seek=1 conv=notrunc status=none
	check "and they are zeroes, all else is not" cmp -n $((4 << 20)) /run/pattern "$1"
	check "discard" blkdiscard -o 2M -l 1M "$1"
}
# file_system NODE: ext4 on it, files there and back, discard, and clean afterwards
file_system() {
	check "mkfs" mkfs.ext4 -q "$1"
	mkdir -p /run/fs
	check "mount" mount "$1" /run/fs
	check "files" timeout 300 fio --name=files --directory=/run/fs --nrfiles=8 --size=16m --bs=16k --rw=randwrite \
		--verify=crc32c --verify_fatal=1 --fsync=16 --ioengine=libaio --iodepth=8
	check "fstrim" fstrim /run/fs
	check "umount" umount /run/fs
	check "fsck" fsck.ext4 -fn "$1"
}
# quiet: the kernel has nothing to complain of
quiet() { ! dmesg | grep -E 'I/O error|blocked for more|WARNING|BUG' || fail "the kernel complains"; }
