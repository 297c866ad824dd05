#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk used as people use it: file system, files, checksums; then fio, discard and write zeroes on the raw device.
# QUEUES, PACKED (0 or 1), SERIAL ("" = any)
disk=/dev/vda
await test -b $disk
queue=/sys/block/vda/queue

same "queues" "$(ls /sys/block/vda/mq | wc -l)" "$QUEUES"
features=$(cat /sys/block/vda/device/features)
same "packed ring" "${features:34:1}" "$PACKED"
[ -z "$SERIAL" ] || same "serial" "$(cat /sys/block/vda/serial)" "$SERIAL"
cat /sys/block/vda/serial >/dev/null || fail "serial cannot be read"

check "mkfs.ext4" mkfs.ext4 -q -F $disk
mkdir /run/m
check "mount" mount $disk /run/m
for n in 1 2 3 4 5 6 7 8; do
	head -c $((n * 100003)) /dev/urandom >/run/m/file$n
	mkdir -p /run/m/folder$n
	cp /run/m/file$n /run/m/folder$n/copy
done
(cd /run/m && find . -type f -name '[fc]*' -exec sha256sum {} + >/run/sums)
check "unmount" umount /run/m
check "fsck" fsck.ext4 -f -n $disk
check "mount again" mount -o ro $disk /run/m
check "checksums after the mount" sh -c 'cd /run/m && sha256sum --quiet -c /run/sums'
check "unmount again" umount /run/m

fio_verify() {
	fio --name=verify --filename=$disk --ioengine=libaio --direct=1 --rw=randrw --bsrange=4k-64k --size="$1" \
		--cpus_allowed="$2" --iodepth=32 --verify=crc32c --verify_fatal=1 --minimal
}
for cpu in $(seq 0 $((QUEUES - 1))); do # each has a queue
	check "fio randrw on CPU $cpu, verified" fio_verify $((8 / QUEUES))M "$cpu"
done

head -c 4M /dev/urandom >/run/random
zeroes() { cmp -n "$2" -i "$1:0" $disk /dev/zero; }
[ "$(cat $queue/discard_max_bytes)" -gt 0 ] || fail "the disk offers no discard"
[ "$(cat $queue/write_zeroes_max_bytes)" -gt 0 ] || fail "the disk offers no write zeroes"
check "write" dd if=/run/random of=$disk bs=1M oflag=direct status=none
check "discard" blkdiscard -f -o 1M -l 1M $disk
check "write zeroes" blkdiscard -f -z -o 2M -l 1M $disk
echo 3 >/proc/sys/vm/drop_caches
check "before the hole" cmp -n 1M /run/random $disk
check "zeroes are zeroes" zeroes 2M 1M
check "after the hole" cmp -n 1M -i 3M /run/random $disk

for cache in "write through" "write back"; do
	echo "$cache" >/sys/block/vda/cache_type || fail "cache_type cannot be switched to $cache"
	same "cache" "$(cat $queue/write_cache)" "$cache"
	check "write, $cache" dd if=/run/random of=$disk bs=1M conv=fsync status=none
	echo 3 >/proc/sys/vm/drop_caches
	check "content" cmp -n 4M /run/random $disk
done
