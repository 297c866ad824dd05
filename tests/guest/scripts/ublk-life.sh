#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A ublk disk comes and goes by RPC, is taken away under I/O, and what cannot be is refused in one line.
. /mnt/attach-daemon.sh
says "modprobe ublk_drv" "$NVRINGD" --no-rpc --log-level error --disk vol0=ram:8M --ublk vol0
modules ublk_drv
truncate -s 64M /run/vol0.img
daemon --disk vol0=file:/run/vol0.img --disk vol1=ram:8M
same "number" "$(nvring rpc ublk_start_disk '{"bdev_name": "vol0", "ublk_id": 3, "queue_depth": 16, "num_queues": 1}')" 3
disk=/dev/ublkb3
same "scheduler" "$(sed 's/.*\[\(.*\)\].*/\1/' /sys/block/ublkb3/queue/scheduler)" none
says "ublkb3 is taken" "$NVRINGD" --no-rpc --log-level error --disk a=ram:8M --ublk a=3
says "no disk named" nvring rpc ublk_start_disk '{"bdev_name": "nix"}'
says "no disk of this nvringd is ublk device 4" nvring rpc ublk_stop_disk '{"ublk_id": 4}'
says "is exported" nvring disk delete vol0
check "mkfs" mkfs.ext4 -q $disk
mkdir -p /run/fs
check "mount" mount $disk /run/fs
says "mounted" nvring rpc ublk_stop_disk '{"ublk_id": 3}'
check "umount" umount /run/fs
for round in 1 2 3; do
	noise $disk
	check "take it away under I/O ($round)" nvring rpc ublk_stop_disk '{"ublk_id": 3}'
	wait $noise && fail "fio did not notice"
	[ ! -e $disk ] || fail "$disk is still there"
	check "again" nvring rpc ublk_start_disk '{"bdev_name": "vol0", "ublk_id": 3}'
	check "it works again" verify $disk --size=4m
done
# buffered writes are on the disk when it is gone
dd if=/dev/urandom of=/run/pattern bs=1M count=4 status=none
check "write" dd if=/run/pattern of=$disk bs=1M conv=notrunc status=none
check "take it away" nvring rpc ublk_stop_disk '{"ublk_id": 3}'
check "it is on the disk" cmp -n $((4 << 20)) /run/pattern /run/vol0.img
# memory that went with a killed nvringd is not put under a device
check "ram" nvring rpc ublk_start_disk '{"bdev_name": "vol1"}'
daemon_dies
daemon --disk vol1=ram:8M --ublk vol1
same "a device of its own" "$(nvring rpc ublk_get_disks | grep -c '"adopted": *false')" 1
daemon_ends
