#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Data there and back through the kernel's NBD client, with all the operations, several connections, and a file system.
. /mnt/attach-daemon.sh
says "modprobe nbd" "$NVRINGD" --no-rpc --log-level error --disk vol0=ram:8M --nbd vol0
modules nbd
truncate -s 96M /run/vol0.img
daemon --disk vol0=file:/run/vol0.img --disk vol1=ram:8M --nbd vol0=3,queues=2
disk=/dev/nbd3
same "size" "$(blockdev --getsize64 $disk)" $((96 << 20))
same "queues" "$(ls /sys/block/nbd3/mq | wc -l)" 2
same "cache" "$(cat /sys/block/nbd3/queue/write_cache)" "write back"
says "nbd3 is taken" "$NVRINGD" --no-rpc --log-level error --disk a=ram:8M --nbd a=3
check "verify" verify $disk --size=64m
check "verify on both connections" verify $disk --size=24m --numjobs=2 --offset_increment=32m
operations $disk
file_system $disk
quiet
check "mkfs" mkfs.ext4 -q $disk
check "mount" mount $disk /run/fs
says "mounted" nvring rpc nbd_stop_disk '{"nbd_id": 3}'
check "umount" umount /run/fs
noise $disk
check "take it away under I/O" nvring rpc nbd_stop_disk '{"nbd_id": 3}'
wait $noise && fail "fio did not notice"
same "node" "$(nvring rpc nbd_start_disk '{"bdev_name": "vol0", "nbd_id": 3}')" '"/dev/nbd3"'
check "it works again" verify $disk --size=4m
same "the kernel's choice" "$(nvring rpc nbd_start_disk '{"bdev_name": "vol1", "readonly": true}')" '"/dev/nbd0"'
same "read-only" "$(blockdev --getro /dev/nbd0)" 1
daemon_ends
same "size afterwards" "$(cat /sys/block/nbd3/size)" 0
same "records left" "$(ls /run/nvring/attach)" ""
