#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# No IOMMU: one line that says what to do. PROBE: the program; ALONE: the function.
modules nvme vfio_iommu_type1 vfio_pci
if "$PROBE" "$ALONE" ids >/run/probe.out 2>&1; then
	fail "taken without an IOMMU"
fi
cat /run/probe.out
grep -q "no IOMMU group: .*VT-d.*intel_iommu=on.*(EOPNOTSUPP)" /run/probe.out || fail "not explained"
