#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two containers of crun on two volumes of one SSD: each writes to its own block device and through its own socket, and
# cannot reach the other's. What nvringd counted meanwhile goes to the host, which knows the limits. SSD: the controller,
# with partitions vol0 and vol1; LIMIT0, LIMIT1: of the volumes, words of "nvring disk limit".
level=info
. /mnt/daemon.sh
. /mnt/containers-box.sh
modules vfio_iommu_type1 vfio_pci ublk_drv nvme

check "bind" "$NVRING" setup bind "$SSD"
daemon --config /mnt/nvringd.json
for n in 0 1; do
	await test -b "/dev/ublkb$n"
	box_make "box$n"
done

# counts NAME: what nvringd has counted by now, with its time
counts() { nvring rpc bdev_get_iostat >"/mnt/counts-$1.json" || fail "bdev_get_iostat"; }
# both WHAT COMMAND: in both containers at the same time; $n in it is the volume's number, $other the other node's
both() {
	for n in 0 1; do
		box_start "box$n" $n "n=$n other='$(box_numbers $((1 - n)))'; $2"
	done
	for n in 0 1; do
		box_ends "box$n" "$1"
	done
}
# sum FILE: of a volume, wherever it is
sum() { dd if="$1" bs=1M iflag=direct status=none | sha256sum | cut -d ' ' -f 1; }
# writing NAME: both, verified, while the counters are looked at
writing() {
	rm -f /run/box?/data/stop
	for n in 0 1; do
		box_start "box$n" $n "exec verifier /dev/vol$n 3600 8 1 /data/stop"
	done
	for n in 0 1; do
		await grep -qE 'VERIFIER tick [0-9]+ ops [1-9]' "$(box_output "box$n")"
	done
	counts "$1-0"
	sleep 5
	counts "$1-1"
	touch /run/box0/data/stop /run/box1/data/stop
	for n in 0 1; do
		box_ends "box$n" "verified, $1"
		tail -n 1 "$(box_output "box$n")"
	done
}

# Its own, and no other: a node of the other volume it may make, but not open.
# shellcheck disable=SC2016 # they are the container's
both "its own volume alone" '
	dd if=/dev/vol$n of=/dev/null bs=4k count=1 && mknod /dev/other b $other || exit 3
	[ "$(ls /run)" = vol$n.sock ] || exit 4
	! dd if=/dev/other of=/dev/null bs=4k count=1 || exit 5
	! dd if=/dev/zero of=/dev/other bs=4k count=1 || exit 6'
for n in 0 1; do
	same "refusals" "$(grep -c "can't open '/dev/other': Operation not permitted" "$(box_output "box$n")")" 2
done

writing limited
check "no limits" eval 'nvring disk limit vol0 --iops none && nvring disk limit vol1 --bps none'
writing free
# shellcheck disable=SC2086 # words
check "limits again" eval "nvring disk limit vol0 $LIMIT0 && nvring disk limit vol1 $LIMIT1"

# Through the sockets: what the block devices have, and then something else.
for n in 0 1; do
	printf -v "had$n" %s "$(sum "/dev/ublkb$n")"
	head -c 8M /dev/urandom >"/run/box$n/data/new"
done
counts copy-0
# shellcheck disable=SC2016
both "out of the socket and into it" 'disk_file save /run/vol$n.sock /data/copy && disk_file restore /run/vol$n.sock /data/new &&
	disk_file save /run/vol$n.sock /data/again && cmp /data/new /data/again'
counts copy-1
for n in 0 1; do
	had=had$n
	same "sum of what volume $n had" "$(sum "/run/box$n/data/copy")" "${!had}"
	same "sum of what it has" "$(sum "/dev/ublkb$n")" "$(sum "/run/box$n/data/new")"
done
# A third that has both copies one volume onto the other.
box_make clone
box_start clone "0 1" "disk_copy /run/vol0.sock /run/vol1.sock"
box_ends clone "from one volume onto the other"
same "sum of the clone" "$(sum /dev/ublkb1)" "$(sum /run/box0/data/new)"

daemon_ends
! dmesg | grep -E 'I/O error|blocked for more|WARNING|BUG|DMAR.*fault' || fail "the kernel complains"
# The kernel's own driver sees the same: the volumes were partitions of that SSD.
check "unbind" "$NVRING" setup unbind "$SSD"
for n in 1 2; do
	await test -b /dev/nvme0n1p$n
	same "sum of partition $n" "$(sum /dev/nvme0n1p$n)" "$(sum /run/box0/data/new)"
done
