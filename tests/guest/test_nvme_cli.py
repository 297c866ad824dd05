#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The verbs of nvring over VFIO beside nvme-cli on the kernel's driver: one emulated controller, key by key."""

import json
import os
import pathlib
import shutil
import sys

from lib import case
from lib.errors import Unavailable

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from shim_server import same  # noqa: E402 # pylint: disable=wrong-import-position

BDF = "0000:01:00.0"
PAGES = ("id-ctrl", "list-ns", "fw-log", "id-ns", "ns-descs")
COUNTING = ("smart-log", "error-log")  # keys alone: the values go on


class NvmeCli(case.GuestCase):
    def test_one_controller_two_ways(self):
        nvring = os.environ.get("NVRING")
        if not nvring or not shutil.which("nvme") or not shutil.which("smartctl"):
            raise Unavailable("NVRING does not name the program, or nvme-cli or smartmontools is missing")
        vm = self.linux("nvme-cli.sh", {"NVRING": nvring, "BDF": BDF}, iommu_bits=39)
        vm.add_slot("slot0", 1).add_nvme("n0", self.image(64, "n0.img"), self.image(32, "n1.img"), bus="slot0")
        vm.start()
        vm.finish()
        self.share = vm.share
        for by in ("nvring", "exec"):
            for page in PAGES:
                theirs, ours = self.told("kernel", page), self.told(by, page)
                if page == "fw-log":
                    (theirs,), (ours,) = theirs.values(), ours.values()
                self.assertTrue(same(ours, theirs) or ours == theirs, f"{by} {page}:\n{ours}\n{theirs}")
            for page in COUNTING:
                self.assertEqual(self.shape(self.told(by, page)), self.shape(self.told("kernel", page)), page)
            for feature in (2, 4, 6):
                self.assertEqual(self.text(by, f"get-feature-f{feature}"), self.text("kernel", f"get-feature-f{feature}"))
        for key in ("model_name", "serial_number", "firmware_version", "nvme_total_capacity", "nvme_version"):
            self.assertEqual(self.told("exec", "smartctl").get(key), self.told("kernel", "smartctl").get(key), key)
        self.assertEqual(sorted(d["DevicePath"] for d in self.told("exec", "list")["Devices"]),
                         ["/dev/nvme0n1", "/dev/nvme0n2"])
        # "NVMe status: Invalid Field in Command: …(0x4002)": the name and the number are the specification's
        ours, theirs = self.text("nvring", "error"), self.text("kernel", "error")
        self.assertEqual(ours.split(":")[1], theirs.split(":")[1])
        self.assertEqual(ours.split("(")[-1], theirs.split("(")[-1])

    def told(self, by, page):
        return json.loads((self.share / f"{by}-{page}.json").read_text())

    def text(self, by, page):
        return (self.share / f"{by}-{page}.txt").read_text()

    def shape(self, value):
        if isinstance(value, dict):
            return {k: self.shape(v) for k, v in value.items() if not k.startswith("temperature_sensor_")}
        return [self.shape(v) for v in value[:1]] if isinstance(value, list) else None


if __name__ == "__main__":
    case.main()
