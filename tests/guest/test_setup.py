#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring setup on a real kernel with an IOMMU and NVMe controllers: status, refusals, there and back."""

import json
import os
import shutil

from lib import case
from lib.errors import Unavailable

SECTORS = 2048


def partitioned(path):
    """An MBR with one partition from sector 2048 to the end."""
    size = path.stat().st_size // 512
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + SECTORS.to_bytes(4, "little") + (size - SECTORS).to_bytes(4, "little")
    with open(path, "r+b") as image:
        image.seek(446)
        image.write(entry)
        image.seek(510)
        image.write(b"\x55\xaa")
    return path


class Setup(case.GuestCase):
    def variables(self):
        program = os.environ.get("NVRING") or shutil.which("nvring")
        if not program:
            raise Unavailable("NVRING names no program")
        return {"NVRING": program, "HASDRIVERCTL": int(bool(shutil.which("driverctl")))}

    def read(self, vm, name):
        return {entry["bdf"]: entry for entry in json.loads((vm.share / f"{name}.json").read_text())}

    def test_there_and_back(self):
        vm = self.linux("setup.sh", self.variables(), iommu_bits=39)
        vm.add_nvme("S0", self.image(64, "free.img"), addr="0x10")
        vm.add_nvme("S1", partitioned(self.image(64, "used.img")), addr="0x11")
        vm.add_nvme("S2", self.image(64, "shared.img"), addr="0x12.0", multifunction="on")
        vm.add("-device", "virtio-rng-pci,addr=0x12.1").start()
        vm.finish()

        before = self.read(vm, "before")
        self.assertEqual(sorted(before), ["0000:00:10.0", "0000:00:11.0", "0000:00:12.0"])
        free = before["0000:00:10.0"]
        self.assertEqual((free["vendor"], free["device"], free["driver"]), ("1b36", "0010", "nvme"))
        self.assertEqual(free["block_devices"], [free["controller"] + "n1"])
        self.assertTrue(free["bindable"])
        self.assertIn("0000:00:12.1 (virtio-pci)", before["0000:00:12.0"]["reason"])
        mounted = self.read(vm, "mounted")["0000:00:11.0"]
        self.assertFalse(mounted["bindable"])
        self.assertIn("is mounted on /run/m", mounted["reason"])
        bound = self.read(vm, "bound")["0000:00:10.0"]
        self.assertEqual((bound["driver"], bound["bound"], bound["controller"], bound["block_devices"]),
                         ("vfio-pci", True, None, []))
        self.assertEqual(bound["iommu_group"], free["iommu_group"])

    def test_without_an_iommu(self):
        vm = self.linux("setup-no-iommu.sh", self.variables())
        vm.add_nvme("S0", self.image(64), addr="0x10").start()
        vm.finish()
        found = {f["check"]: f["result"] for f in json.loads((vm.share / "doctor.json").read_text())}
        self.assertEqual([found[check] for check in ("NVMe", "IOMMU", "VFIO")], ["PASS", "FAIL", "PASS"])


if __name__ == "__main__":
    case.main()
