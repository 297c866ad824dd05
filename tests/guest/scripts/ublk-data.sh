#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Data there and back through ublk on BACKEND, with all the operations, several queues, and a file system.
. /mnt/attach-daemon.sh
modules ublk_drv
truncate -s 96M /run/vol0.img
daemon --disk vol0="$BACKEND" --ublk vol0=5,queues=2,depth=32
disk=/dev/ublkb5
same "size" "$(blockdev --getsize64 $disk)" $((96 << 20))
same "queues" "$(ls /sys/block/ublkb5/mq | wc -l)" 2
same "depth" "$(cat /sys/block/ublkb5/queue/nr_requests)" 32
same "cache" "$(cat /sys/block/ublkb5/queue/write_cache)" "$CACHE"
check "verify" verify $disk --size=64m --numjobs=1
check "verify on both queues" verify $disk --size=24m --numjobs=2 --offset_increment=32m
check "odd sizes" verify $disk --size=8m --bsrange=512-300k --blockalign=512
operations $disk
file_system $disk
check "RPC" nvring rpc ublk_get_disks
grep -q '"bdev_name": *"vol0"' /run/check.out || fail "ublk_get_disks: $(cat /run/check.out)"
quiet
daemon_ends
[ ! -e $disk ] || fail "$disk stays"
daemon --disk-ro vol0="$BACKEND" --ublk vol0
same "read-only" "$(blockdev --getro /dev/ublkb0)" 1
refuse "write" dd if=/run/pattern of=/dev/ublkb0 bs=4k count=1 oflag=direct status=none
check "read" dd if=/dev/ublkb0 of=/dev/null bs=1M status=none
daemon_ends
same "records left" "$(ls /run/nvring/attach)" ""
