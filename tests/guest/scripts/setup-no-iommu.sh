#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nvring setup where there is no IOMMU: refused, and the controller stays with its driver.
bdf=0000:00:10.0
modules nvme vfio_pci
"$NVRING" setup bind $bdf 2>/run/err && fail "bound without an IOMMU"
grep -q "$bdf has no IOMMU group; mend: .*intel_iommu=on" /run/err || fail "$(cat /run/err)"
same "driver" "$(basename "$(readlink /sys/bus/pci/devices/$bdf/driver)")" nvme
"$NVRING" doctor --json >/mnt/doctor.json
same "exit status of doctor" $? 1
