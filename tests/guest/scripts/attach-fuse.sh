#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk as a file, and a loop device on it: data with and without the loop's page cache, a file system, discard, growth, who
# is in the way of a detach, and what is left of a server that was killed.
. /mnt/attach-daemon.sh
truncate -s 96M /run/a.img
if [ ! -e /dev/fuse ]; then # no part of the kernel, but a module
	says "modprobe fuse" nvring attach /run/a.img
	says "modprobe fuse" nvring attach /run/a.img --as fuse
	same "nothing stays" "$(ls /run/nvring/attach /run/nvring/fuse 2>/dev/null | grep -c disk)" 0
fi
modules fuse loop
file=$(nvring attach /run/a.img 2>/run/attach.err) || fail "attach: $(cat /run/attach.err)"
grep -q "attached as fuse, since there is no /dev/ublk-control" /run/attach.err || fail "why: $(cat /run/attach.err)"
same "the file" "$file" /run/nvring/fuse/disk0
same "size" "$(stat -c %s "$file")" $((96 << 20))
check "verify the file" verify "$file" --size=32m --bsrange=512-64k
for direct in on off; do
	disk=$(losetup --find --show --direct-io=$direct "$file") || fail "losetup"
	same "size of the loop" "$(blockdev --getsize64 "$disk")" $((96 << 20))
	check "verify the loop, direct-io=$direct" verify "$disk" --size=32m
	check "discard" blkdiscard -f -o 1M -l 1M "$disk"
	check "it reads as zeroes" cmp -n 1048576 /dev/zero "$disk" -i 0:1048576
	file_system "$disk"
	quiet
	says "$file is in use by $disk" nvring detach "$file"
	check "losetup -d" losetup -d "$disk"
done
# what loop devices wrote is in the image
check "fsck of the image" e2fsck -fn /run/a.img
# it grows
rpc_of() { nvring attach --list --json | grep -o '"rpc": *"[^"]*"' | cut -d'"' -f4; }
disk=$(losetup --find --show --direct-io=on "$file")
truncate -s 128M /run/a.img
check "resize" "$NVRING" -s "$(rpc_of)" disk resize disk
same "size" "$(stat -c %s "$file")" $((128 << 20))
check "losetup -c" losetup -c "$disk"
same "size of the loop" "$(blockdev --getsize64 "$disk")" $((128 << 20))
# away under I/O: only by force, and its user notices
noise "$disk"
says "$file is in use by $disk" nvring detach "$file"
goes_on_writing "$disk"
check "by force" nvring detach --force "$file"
wait $noise && fail "fio did not notice"
[ ! -e "$file" ] || fail "$file is still there"
same "what stays" "$(ls /run/nvring/attach /run/nvring/fuse | grep -c disk)" 0
check "losetup -d" losetup -d "$disk"
# a server that dies under a mounted file system
file=$(nvring attach /run/a.img --as fuse)
disk=$(losetup --find --show --direct-io=on "$file")
check "mkfs" mkfs.ext4 -q -F "$disk"
mkdir -p /run/fs
check "mount" mount "$disk" /run/fs
dd if=/dev/urandom of=/run/fs/file bs=1M count=8 status=none
check "sync" sync -f /run/fs/file
sum=$(md5sum </run/fs/file)
server=$(nvring attach --list | awk '$1 == "/run/nvring/fuse/disk0" { print $4 }')
kill -9 "$server"
await test ! -e "/proc/$server"
dead() { stat "$file" 2>&1 | grep -q "not connected"; }
await dead
timeout 300 umount /run/fs
losetup -d "$disk"
again=$(nvring attach /run/a.img --as fuse 2>/run/attach.err) || fail "attach: $(cat /run/attach.err)"
grep -q "$file, whose server is gone, was cleared away" /run/attach.err || fail "$(cat /run/attach.err)"
same "the same file" "$again" "$file"
disk=$(losetup --find --show "$file")
check "mount" mount "$disk" /run/fs
same "what was synced" "$(md5sum </run/fs/file)" "$sum"
check "umount" umount /run/fs
check "losetup -d" losetup -d "$disk"
check "fsck" e2fsck -fn "$file"
check "detach" nvring detach "$file"
same "what stays" "$(ls /run/nvring/attach /run/nvring/fuse | grep -c disk)" 0
same "mounts" "$(grep -c fuse.nvring /proc/self/mounts)" 0
