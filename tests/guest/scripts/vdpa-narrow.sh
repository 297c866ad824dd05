#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What the application offers is all there is: no flush, so each write is durable when it is done; no discard; one kind of ring.
disk=/dev/vda
await test -b $disk
queue=/sys/block/vda/queue
features=$(cat /sys/block/vda/device/features)

same "FLUSH" "${features:9:1}" 0
same "DISCARD" "${features:13:1}" 0
same "packed ring" "${features:34:1}" 0
same "cache" "$(cat $queue/write_cache)" "write through"
head -c 4M /dev/urandom >/run/random
check "write" dd if=/run/random of=$disk bs=1M oflag=direct status=none
echo 3 >/proc/sys/vm/drop_caches
check "content" cmp -n 4M /run/random $disk
check "verified" /run/verifier $disk 3 4 8
