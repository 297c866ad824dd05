#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring's NVMe driver on a real kernel's VFIO: an emulated SSD behind an emulated IOMMU."""

import os

from lib import case
from lib.errors import Unavailable

SSD = "0000:01:00.0"


class Nvme(case.GuestCase):
    def use(self, bits):
        disk = os.environ.get("NVME_DISK")
        if not disk:
            raise Unavailable("NVME_DISK does not name the built nvme_disk")
        vm = self.linux("nvme.sh", {"DISK": disk, "SSD": SSD}, iommu_bits=bits)
        vm.add_slot("slot0", 1).add_nvme("n0", self.image(64, "n0.img"), bus="slot0")
        vm.start()
        vm.wait_mark("unplug")
        vm.qmp("device_del", {"id": "n0"})
        vm.qmp.event("DEVICE_DELETED", match=lambda data: data.get("device") == "n0")
        vm.say("stop")
        vm.finish()

    def test_39_bits(self):
        self.use(39)

    def test_48_bits(self):
        self.use(48)


if __name__ == "__main__":
    case.main()
