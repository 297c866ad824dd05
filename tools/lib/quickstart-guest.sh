#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs in the guest of tools/quickstart: uses the disk as a person would and says what it sees ("TELL what: how it went").
disk=/dev/vda
tell() { echo "TELL $1: $2"; }
await test -b $disk

size=$(blockdev --getsize64 $disk)
tell "$disk" "$((size >> 20)) MiB, serial $(cat /sys/block/vda/serial), $(ls /sys/block/vda/mq | wc -l) queues"
check "mkfs.ext4" mkfs.ext4 -q -F $disk
tell "mkfs.ext4" "done"
mkdir -p /run/disk
check "mount" mount $disk /run/disk
for n in 1 2 3 4; do
	head -c 8M /dev/urandom >/run/disk/file$n || fail "write"
done
(cd /run/disk && sha256sum file*) >/run/sums
tell "written" "4 files, 32 MiB"
check "umount" umount /run/disk
check "fsck" fsck.ext4 -f -n $disk
tell "fsck.ext4" "clean"
echo 3 >/proc/sys/vm/drop_caches
check "mount again" mount $disk /run/disk
check "checksums" sh -c 'cd /run/disk && sha256sum --quiet -c /run/sums'
tell "verified" "the checksums match after a new mount"

iops() {
	fio --name=x --filename=/run/disk/fio --size=64M --bs=4k --iodepth=32 --ioengine=libaio --direct=1 --rw="$1" \
		--time_based --runtime=3 --minimal | cut -d';' -f"$2"
}
if command -v fio >/dev/null; then
	fio --name=fill --filename=/run/disk/fio --size=64M --bs=1M --rw=write --direct=1 --minimal >/dev/null
	tell "fio read" "$(iops randread 8) IOPS (4 KiB, random, depth 32)"
	tell "fio write" "$(iops randwrite 49) IOPS (4 KiB, random, depth 32)"
fi
check "umount at the end" umount /run/disk
