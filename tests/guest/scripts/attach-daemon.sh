#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts in which disks of nvringd are block devices of the kernel it runs on. NVRINGD, NVRING: the programs.
rpc=/run/rpc.sock

# nvring WORD…: the CLI, which must not hang
nvring() { timeout 120 "$NVRING" -s $rpc "$@"; }
# daemon OPTION…: starts nvringd
daemon() {
	"$NVRINGD" --rpc $rpc --log-level debug "$@" >>/mnt/nvringd.log 2>&1 &
	daemon=$!
	await 60 nvring status
}
# daemon_ends: it does so on SIGTERM, and says 0
daemon_ends() {
	kill "$daemon"
	wait "$daemon" || { cat /mnt/nvringd.log; fail "nvringd: exit $?"; }
	echo "ok nvringd ended"
}
# daemon_dies: as if it had crashed
daemon_dies() {
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null
	echo "ok nvringd killed"
}
# says TEXT COMMAND…: the command must fail, and say so in one line
says() {
	local text=$1
	shift
	if "$@" >/run/says.out 2>/run/says.err; then
		fail "$*: succeeded"
	fi
	grep -qF -- "$text" /run/says.err || { cat /run/says.err; fail "$*: does not say: $text"; }
	[ "$(wc -l </run/says.err)" = 1 ] || { cat /run/says.err; fail "$*: not one line"; }
	echo "ok refused: $(cat /run/says.err)"
}
# verify NODE OPTION…: writes and reads, and what is read is what was written
verify() {
	local node=$1
	shift
	timeout 300 fio --name=verify --filename="$node" --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
		--rw=randrw --bsrange=4k-64k --iodepth=32 "$@"
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
