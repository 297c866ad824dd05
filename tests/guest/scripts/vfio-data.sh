#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Data of real controllers there and back: written by the kernel's driver and read through nvring, written through nvring and
# read by the kernel. ALONE has a namespace of 512-byte blocks and one of 4096, OTHER one of 512. NBD_DISK: a
# vhost-user-blk socket as a block device.
. /mnt/vfio-daemon.sh

for disk in "$ALONE 1" "$ALONE 2" "$OTHER 1"; do
	# shellcheck disable=SC2086 # two words
	await has_node $disk
done
a=$(node_of "$ALONE" 1) b=$(node_of "$ALONE" 2) c=$(node_of "$OTHER" 1)
for node in $a $b $c; do
	block=/sys/block/${node#/dev/}
	printf '%s %s %s\n' "$(cat "$block/queue/logical_block_size")" "$(blockdev --getsize64 "$node")" \
		"$(cat "$block/device/serial")" | tr -s ' ' >>/mnt/kernel.txt
done
cat "/sys/bus/pci/devices/$ALONE/nvme/"*/model >>/mnt/kernel.txt
cat "/sys/bus/pci/devices/$ALONE/nvme/"*/firmware_rev >>/mnt/kernel.txt

# By the kernel
mkdir -p /run/m
check "mkfs" mkfs.ext4 -q "$a"
check "mount" mount "$a" /run/m
for n in 1 2 3; do
	head -c $((n * 300001)) /dev/urandom >/run/m/file$n
done
(cd /run/m && sha256sum file* >sums)
check "unmount" umount /run/m
head -c 2M /dev/urandom >/mnt/random
check "blocks of 4096 bytes" dd if=/mnt/random of="$b" bs=1M oflag=direct status=none

check "bind" "$NVRING" setup bind "$ALONE" "$OTHER"
daemon --disk "a=nvme:$ALONE/1" --disk "b=nvme:$ALONE/2" --disk "c=nvme:$OTHER/1" --vhost-user-blk a=/run/a.sock \
	--vhost-user-blk b=/run/b.sock --vhost-user-blk c=/run/c.sock
nvring -j disk list >/mnt/disks.json || fail "disk list"
nvring nvme id-ctrl "$ALONE" -o json >/mnt/id-ctrl.json || fail "id-ctrl"

# By the same kernel, as a file system on our own front-end
nbd a 0
check "mount what the kernel wrote" mount -o ro /dev/nbd0 /run/m
check "its checksums" sh -c 'cd /run/m && sha256sum --quiet -c sums'
umount /run/m
nbd b 1
same "blocks of b" "$(cat /sys/block/nbd1/queue/logical_block_size)" 4096
check "their bytes" cmp -n 2M /mnt/random /dev/nbd1
nbd c 2
check "mkfs" mkfs.ext4 -q /dev/nbd2
check "mount" mount -o discard /dev/nbd2 /run/m
check "fio, verified" fio --name=v --directory=/run/m --ioengine=libaio --direct=1 --rw=randrw --bsrange=4k-64k --size=8M \
	--iodepth=16 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --minimal
rm /run/m/v.0.0 || fail "fio's file"
for n in 1 2 3; do
	head -c $((n * 200003)) /dev/urandom >/run/m/file$n
done
(cd /run/m && sha256sum file* >/run/sums)
check "unmount" umount /run/m
check "trim" blkdiscard -f -o 0 -l 1M /dev/nbd1
for n in 0 1 2; do
	nbd_ends $n
done

check "bench, split" bench b --time 2s --verify-state /run/b.state --size 8M
check "bench, packed" bench b --time 2s --verify-state /run/b.state --size 8M --eventfd --packed
daemon_ends
check "unbind" "$NVRING" setup unbind "$ALONE" "$OTHER"

# And by the kernel again
for disk in "$ALONE 1" "$ALONE 2" "$OTHER 1"; do
	# shellcheck disable=SC2086
	await has_node $disk
done
check "bench's stamps" timeout 300 "$NVRING" bench "file:$(node_of "$ALONE" 2)?direct=1" --no-progress --check --verify-state /run/b.state --size 8M
check "fsck" fsck.ext4 -f -n "$(node_of "$OTHER" 1)"
check "mount what nvring wrote" mount -o ro "$(node_of "$OTHER" 1)" /run/m
check "checksums" sh -c 'cd /run/m && sha256sum --quiet -c /run/sums'
umount /run/m
no_dma_faults
