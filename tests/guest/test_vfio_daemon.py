#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvringd drives real controllers over the kernel's VFIO: data there and back, sleep, resets, removal."""

import json
import os
import shutil

from lib import case
from lib.errors import Unavailable

ALONE = "0000:01:00.0"
OTHER = "0000:00:10.0"


class VfioDaemon(case.GuestCase):
    def guest(self, script, bits):
        programs = {name: os.environ.get(name) for name in ("NVRINGD", "NVRING", "NBD_DISK")}
        if not all(programs.values()):
            raise Unavailable("NVRINGD, NVRING and NBD_DISK do not name the programs")
        vm = self.linux(script, {**programs, "ALONE": ALONE, "OTHER": OTHER}, cpus=2, memory_mib=768,
                        iommu_bits=bits)
        for shared in ("daemon.sh", "vfio-daemon.sh"):
            shutil.copy(case.SCRIPTS / shared, vm.share)
        vm.add_slot("slot0", 1)
        vm.add_nvme("n0", self.image(32, "n0-1.img"), (self.image(32, "n0-2.img"), 4096), bus="slot0")
        vm.add_nvme("n1", self.image(48, "n1-1.img"), addr="0x10")
        return vm.start()

    def there_and_back(self, bits):
        vm = self.guest("vfio-data.sh", bits)
        vm.finish()
        *kernel, model, firmware = (vm.share / "kernel.txt").read_text().splitlines()
        disks = json.loads((vm.share / "disks.json").read_text())
        ours = [f"{disk['block_size']} {disk['size_bytes']} {serial}" for disk, serial in zip(disks, ("n0", "n0", "n1"))]
        self.assertEqual(ours, [line.strip() for line in kernel])
        identity = json.loads((vm.share / "id-ctrl.json").read_text())
        self.assertEqual([identity[key].strip() for key in ("sn", "mn", "fr")], ["n0", model.strip(), firmware.strip()])

    def test_39_bits(self):
        self.there_and_back(39)

    def test_48_bits(self):
        self.there_and_back(48)

    def test_life(self):
        vm = self.guest("vfio-life.sh", 48)
        vm.wait_mark("unplug")
        vm.qmp("device_del", {"id": "n0"})
        vm.qmp.event("DEVICE_DELETED", match=lambda data: data.get("device") == "n0")
        vm.say("unplugged")
        vm.finish()
        before, after = (json.loads((vm.share / f"{name}.json").read_text())["reactors"] for name in ("before", "after"))
        self.assertGreater(sum(new["sleeps"] for new in after), sum(old["sleeps"] for old in before))
        for old, new in zip(before, after):
            # who does not sleep spins for as long
            self.assertGreater(new["sleep"] - old["sleep"], new["idle"] - old["idle"])


if __name__ == "__main__":
    case.main()
