#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts in which nvringd drives NVMe controllers over the kernel's VFIO: what it takes to run it there.
# NVRINGD, NVRING, NBD_DISK: the programs; ALONE: a controller in a slot; OTHER: another.
modules nvme vfio_iommu_type1 vfio_pci nbd
level=info
. /mnt/daemon.sh

# node_of BDF NSID: the kernel's block device
node_of() { ls "/sys/bus/pci/devices/$1/nvme/"*/ 2>/dev/null | sed -nE "s/^nvme([0-9]+)(c[0-9]+)?n$2\$/\/dev\/nvme\1n$2/p"; }
has_node() { [ -b "$(node_of "$1" "$2")" ]; }
# bench SOCKET OPTION…: verified I/O by our own front-end
bench() {
	local socket=$1
	shift
	$load timeout 300 "$NVRING" bench "/run/$socket.sock" --no-progress --verify --rw randrw --mix 50 --warmup 0 "$@"
}
# load SOCKET OPTION…: the same in the background, as process $!, until SIGTERM tells it to end
load() { load=exec bench "$@" --time 300s & }
# nbd SOCKET N: its disk is /dev/nbdN
nbd() {
	"$NBD_DISK" "/run/$1.sock" "/dev/nbd$2" >"/run/nbd$2.out" 2>&1 &
	eval "nbd$2=$!"
	await grep -qv '^0$' "/sys/block/nbd$2/size"
}
# nbd_ends N: in good order
nbd_ends() {
	local pid=nbd$1
	"$NBD_DISK" - "/dev/nbd$1" || fail "nbd$1"
	wait "${!pid}" || { cat "/run/nbd$1.out"; fail "nbd$1"; }
}
# runs NAME: a front-end of that export is there and its queue runs
runs() { nvring export show "$1" | grep -q " running "; }
no_dma_faults() {
	if dmesg | grep -i 'DMAR.*fault'; then
		fail "the IOMMU has seen what it should not"
	fi
}
# how often the controller BDF has interrupted
interrupts() { grep "vfio-msix.*$1" /proc/interrupts | awk '{ for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }'; }
