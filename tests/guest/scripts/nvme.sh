#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nvring's NVMe driver on the kernel's VFIO: data written through it is read back by the kernel's own driver, and the other way round.
# DISK: the program; SSD: the function.
disk() {
	local what=$1
	shift
	timeout 300 "$DISK" "$@" >/run/disk.out 2>&1 || { cat /run/disk.out; fail "$what"; }
	cat /run/disk.out
	echo "ok $what"
}

modules nvme vfio_iommu_type1 vfio_pci
await test -b /dev/nvme0n1
"$DISK" x 0 file 5 /run/five
"$DISK" x 0 file 6 /run/six
check "written by the kernel" dd if=/run/five of=/dev/nvme0n1 bs=1M oflag=direct status=none
pci_driver "$SSD" vfio-pci

disk "the kernel's data" "$SSD" 1 id verify 5
grep -q "^id n0.* 512-byte blocks 67108864 bytes" /run/disk.out || fail "id"
grep -q "closed, 0 regions left" /run/disk.out || fail "regions are left"
disk "write and verify" "$SSD" 1 write 6 verify 6
disk "interrupts" "$SSD" 1 sleep
# Not under I/O: QEMU 7.2 now and then uses a request after it has freed it, and dies. Resets under I/O are in nvme_faults and nvme_ssd.
disk "resets" "$SSD" 1 write 7 reset verify 7 reset reset write 8 reset verify 8
disk "again" "$SSD" 1 write 6

pci_driver "$SSD" nvme
await test -b /dev/nvme0n1
check "our data, read by the kernel" cmp -n 33554432 /run/six /dev/nvme0n1
pci_driver "$SSD" vfio-pci

timeout 300 "$DISK" "$SSD" 1 removal >/run/disk.out 2>&1 &
await grep -q unplug /run/disk.out
mark unplug
wait $! || { cat /run/disk.out; fail "removal"; }
grep -qx removal /run/disk.out || fail "removal: not seen"
await test ! -e /sys/bus/pci/devices/"$SSD"
hear stop
if dmesg | grep -i 'DMAR.*fault'; then
	fail "the IOMMU has seen what it should not"
fi
