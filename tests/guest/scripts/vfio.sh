#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# An NVMe function through drivers/vfio on the kernel's VFIO. PROBE: the program; BITS: of the IOMMU; ALONE: the function that
# is alone in its group and in a slot; PAIR0, PAIR1: two of one group.
# probe WHAT WANTED ARGUMENTS…: the output has a line that begins with WANTED
probe() {
	local what=$1 wanted=$2
	shift 2
	timeout 300 "$PROBE" "$@" >/run/probe.out 2>&1 || { cat /run/probe.out; fail "$what"; }
	grep -q "^$wanted" /run/probe.out || { cat /run/probe.out; fail "$what: no line '$wanted'"; }
	echo "ok $what: $(tail -n 1 /run/probe.out)"
}
# says WHAT PATTERN COMMAND…: the command fails and tells PATTERN, in one line
says() {
	local what=$1 wanted=$2
	shift 2
	! "$@" >/run/probe.out 2>&1 || fail "$what: succeeded"
	grep -q "$wanted" /run/probe.out || { cat /run/probe.out; fail "$what: does not say '$wanted'"; }
	same "$what: lines" "$(grep -c '^error' /run/probe.out)" 1
	cat /run/probe.out
}
# limited KIB COMMAND…: may lock so much memory
limited() {
	local kib=$1
	shift
	setpriv --bounding-set=-ipc_lock prlimit --memlock="$((kib * 1024)):$((kib * 1024))" timeout 300 "$@"
}

modules nvme vfio_iommu_type1 vfio_pci
await test -e /sys/bus/pci/drivers/nvme/"$ALONE"
says "not bound" "driver nvme: nvring setup bind $ALONE (EOPNOTSUPP)" "$PROBE" "$ALONE" ids
pci_driver "$ALONE" -
says "bound to nobody" "no driver at all.*(EOPNOTSUPP)" "$PROBE" "$ALONE" ids
says "no such function" "no such PCI function.*(ENODEV)" "$PROBE" 0000:1f:1f.7 ids
pci_driver "$ALONE" vfio-pci

probe "ids" "ids 1b36:0010 class 010802" "$ALONE" ids
probe "registers" "registers CAP [0-9a-f]* VS 0001" "$ALONE" registers
probe "DMA and interrupt" "admin serial n0 " "$ALONE" admin
probe "reset" "reset CC 0 CSTS 0" "$ALONE" reset
probe "vectors" "vectors 65 of 65, then 1, then 0" "$ALONE" vectors
probe "4 GiB and more" "map 260 regions of 16 MiB up to 1[0-9a-f]\{8\}$" "$ALONE" map 260 16 "$BITS"
probe "all of it in one go" "admin serial n0 " "$ALONE" ids registers reset vectors admin reset admin map 8 2 "$BITS"

# limits: all fits below what is asked for; a low soft limit is raised; a low hard one is explained
says "memlock, later" "error: region 1: Cannot allocate memory" limited 6144 "$PROBE" "$ALONE" map 2 4 "$BITS"
grep -q "4096 KiB must be locked.*4096 KiB are locked already.*6144 KiB.*ulimit -l unlimited; LimitMEMLOCK=infinity" \
	/run/probe.out || fail "memlock: not explained"
says "memlock, at once" "8192 KiB must be locked.*limit of locked memory is 6144 KiB.*(ENOMEM)" \
	limited 6144 "$PROBE" -m 8 "$ALONE" ids
setpriv --bounding-set=-ipc_lock prlimit --memlock=65536:16777216 timeout 300 "$PROBE" "$ALONE" map 2 4 "$BITS" \
	>/run/probe.out 2>&1 || { cat /run/probe.out; fail "soft limit not raised"; }
echo "ok soft limit raised: $(cat /run/probe.out)"

# held by somebody else
mkfifo /run/hold
"$PROBE" "$ALONE" hold </run/hold >/run/hold.out 2>&1 &
exec 7>/run/hold
await grep -q hold /run/hold.out
says "held" "/dev/vfio/[0-9]* is held by process $! (vfio_probe).*(EBUSY)" "$PROBE" "$ALONE" ids
exec 7>&-
wait $! || fail "the holder"

# a group of two of which the kernel uses one
pci_driver "$PAIR0" vfio-pci
same "group of the pair" "$(readlink /sys/bus/pci/devices/"$PAIR0"/iommu_group)" "$(readlink /sys/bus/pci/devices/"$PAIR1"/iommu_group)"
says "blocked" "holds $PAIR1, too, which the driver nvme uses.*(EBUSY)" "$PROBE" "$PAIR0" ids
pci_driver "$PAIR1" vfio-pci
probe "pair" "ids 1b36:0010" "$PAIR0" ids
pci_driver "$PAIR1" nvme

# asked back: until the function is let go the device stays
timeout 300 "$PROBE" "$ALONE" registers removal >/run/probe.out 2>&1 &
await grep -q unplug /run/probe.out
mark unplug
wait $! || { cat /run/probe.out; fail "removal"; }
grep -qx removal /run/probe.out || fail "removal: not seen"
await test ! -e /sys/bus/pci/devices/"$ALONE"
if dmesg | grep -i 'DMAR.*fault'; then
	fail "the IOMMU has seen what it should not"
fi
hear stop # the host is told of the end after the function has gone here
