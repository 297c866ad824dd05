#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""drivers/vfio on a real kernel's VFIO: an emulated NVMe SSD behind an emulated IOMMU, and all that can be wrong there."""

import os

from lib import case
from lib.errors import Unavailable

ALONE = "0000:01:00.0"
PAIR = ("0000:00:10.0", "0000:00:10.1")


class Vfio(case.GuestCase):
    def guest(self, script, bits):
        probe = os.environ.get("VFIO_PROBE")
        if not probe:
            raise Unavailable("VFIO_PROBE does not name the built vfio_probe")
        vm = self.linux(script, {"PROBE": probe, "BITS": bits, "ALONE": ALONE, "PAIR0": PAIR[0], "PAIR1": PAIR[1]},
                        iommu_bits=bits)
        vm.add_slot("slot0", 1).add_nvme("n0", self.image(16, "n0.img"), bus="slot0")
        vm.add_nvme("n1", self.image(16, "n1.img"), addr="0x10.0", multifunction="on")
        vm.add_nvme("n2", self.image(16, "n2.img"), addr="0x10.1")
        return vm.start()

    def use(self, bits):
        vm = self.guest("vfio.sh", bits)
        vm.wait_mark("unplug")
        vm.qmp("device_del", {"id": "n0"})
        vm.qmp.event("DEVICE_DELETED", match=lambda data: data.get("device") == "n0")
        vm.say("stop")
        vm.finish()

    def test_39_bits(self):
        self.use(39)

    def test_48_bits(self):
        self.use(48)

    def test_no_iommu(self):
        self.guest("vfio-no-iommu.sh", 0).finish()


if __name__ == "__main__":
    case.main()
