#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring setup on a fake sysfs: tables, JSON, dry runs, refusals in one line. (A real kernel: tests/guest/test_setup.py.)"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from daemon_rig import NVRING, PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
SSD, USED, NIC = "0000:01:00.0", "0000:02:00.0", "0000:03:00.0"


class Setup(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="nvring-"))
        self.addCleanup(shutil.rmtree, self.root)
        for driver in ("nvme", "vfio-pci", "e1000e"):
            self.put(f"sys/bus/pci/drivers/{driver}/unbind", "")
        self.put("sys/bus/pci/drivers_probe", "")
        self.put("proc/self/mountinfo", "22 1 2:0 / /srv rw - ext4 /dev/nvme1n1 rw\n")
        self.put("proc/swaps", "Filename Type Size Used Priority\n")
        self.add(SSD, "0x8086", "0x0953", "0x010802", "nvme", 11, "nvme0")
        self.add(USED, "0x144d", "0xa808", "0x010802", "nvme", 12, "nvme1")
        self.add(NIC, "0x8086", "0x10d3", "0x020000", "e1000e", 13)

    def put(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def add(self, bdf, vendor, device, class_, driver, group, ctrl=None):
        at = f"sys/devices/pci0000:00/{bdf}"
        for name, text in {"vendor": vendor, "device": device, "class": class_, "numa_node": "-1",
                           "driver_override": "(null)"}.items():
            self.put(f"{at}/{name}", text + "\n")
        devices = self.root / "sys/bus/pci/devices"
        members = self.root / f"sys/kernel/iommu_groups/{group}/devices"
        for folder in (devices, members):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / bdf).symlink_to(self.root / at)
        (self.root / at / "driver").symlink_to(self.root / "sys/bus/pci/drivers" / driver)
        (self.root / at / "iommu_group").symlink_to(members.parent)
        if ctrl:
            disk = f"{ctrl}n1"
            self.put(f"{at}/nvme/{ctrl}/{disk}/dev", f"{ctrl[-1].replace('1', '2')}:0\n")
            self.put(f"dev/{disk}", "")
            for folder in ("sys/block", "sys/class/block"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                (self.root / folder / disk).symlink_to(self.root / at / f"nvme/{ctrl}/{disk}")

    def run_it(self, *args, status=0, **environment):
        clean = {k: v for k, v in os.environ.items()
                 if k not in ("PCI_ALLOWED", "PCI_BLOCKED", "TARGET_USER", "DRIVER_OVERRIDE")}
        done = subprocess.run([NVRING, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False,
                              env={**clean, "NVRING_ROOT": str(self.root), **environment})
        self.assertEqual(done.returncode, status, (args, done.stderr))
        return done

    def setup(self, *args, **environment):
        return self.run_it("setup", *args, **environment).stdout

    def refuse(self, reason, *args, **environment):
        done = self.run_it("setup", *args, status=1, **environment)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, rf"\Anvring: .*{reason}.*\n\Z")

    def test_status(self):
        rows = [re.split("  +", line) for line in self.setup("status").splitlines()]
        self.assertEqual(rows[0], ["Type", "BDF", "Vendor", "Device", "NUMA", "Driver", "Device", "Block devices",
                                   "IOMMU group", "Can be bound"])
        self.assertEqual(rows[1], ["NVMe", SSD, "8086", "0953", "-", "nvme", "nvme0", "nvme0n1", "11", "yes"])
        self.assertEqual(rows[2][:3], ["NVMe", USED, "144d"])
        self.assertEqual(rows[2][-1], "no: /dev/nvme1n1 is mounted on /srv; mend: umount /srv")
        self.assertEqual(len(rows), 3)

    def test_status_json(self):
        ssd, used = json.loads(self.setup("status", "--json"))
        self.assertEqual({k: ssd[k] for k in ("bdf", "vendor", "device", "numa", "driver", "controller", "block_devices",
                                              "iommu_group", "bound", "bindable", "reason")},
                         {"bdf": SSD, "vendor": "8086", "device": "0953", "numa": None, "driver": "nvme",
                          "controller": "nvme0", "block_devices": ["nvme0n1"], "iommu_group": 11, "bound": False,
                          "bindable": True, "reason": None})
        self.assertFalse(used["bindable"])
        self.assertIn("mounted on /srv", used["reason"])

    def test_status_of_nothing(self):
        self.assertEqual(self.setup("status", NVRING_ROOT="/nonexistent"), "no NVMe controller on this machine\n")
        self.assertEqual(json.loads(self.setup("status", "-j", NVRING_ROOT="/nonexistent")), [])

    def test_dry_run(self):
        pci = f"{self.root}/sys/bus/pci"
        lines = [f"echo vfio-pci > {pci}/devices/{SSD}/driver_override",
                 f"echo {SSD} > {pci}/devices/{SSD}/driver/unbind",
                 f"echo {SSD} > {pci}/drivers_probe",
                 f"driverctl set-override {SSD} vfio-pci",
                 f"chown root {self.root}/dev/vfio/11"]
        args = ("bind", "1:0.0", SSD, "--dry-run", "--persist", "--user", "root")
        self.assertEqual(self.setup(*args).splitlines(), lines)
        self.assertEqual(json.loads(self.setup(*args, "--json")), lines)
        self.assertEqual((self.root / "sys/bus/pci/devices" / SSD / "driver_override").read_text(), "(null)\n")
        self.assertEqual((self.root / "sys/bus/pci/drivers_probe").read_text(), "")
        self.assertEqual(self.setup("unbind", SSD, "--dry-run"), "")  # it is where it would go

    def test_environment(self):
        dry = ("bind", "--dry-run")
        self.assertIn(SSD, self.setup(*dry, PCI_ALLOWED=f" {SSD} "))
        self.assertIn("chown root", self.setup(*dry, PCI_ALLOWED=SSD, TARGET_USER="root"))
        self.assertIn("echo e1000e >", self.setup(*dry, SSD, DRIVER_OVERRIDE="e1000e"))
        self.refuse("in PCI_BLOCKED", *dry, SSD, PCI_BLOCKED=f"{USED} {SSD}")
        self.refuse("not in PCI_ALLOWED", *dry, SSD, PCI_ALLOWED=USED)
        self.refuse("not in PCI_ALLOWED", *dry, SSD, PCI_ALLOWED="none")
        blocked = json.loads(self.setup("status", "--json", PCI_BLOCKED=SSD))[0]
        self.assertEqual((blocked["bindable"], blocked["reason"]), (False, f"{SSD} is in PCI_BLOCKED"))

    def test_refusals(self):
        self.refuse("which\\? Give addresses", "bind")
        self.refuse("'nvme0' is no PCI address", "bind", "nvme0")
        self.refuse("0000:09:00.0: no such PCI device", "bind", SSD, "09:00.0")
        self.refuse(f"{NIC} .*class 020000.* is no NVMe controller; --force", "bind", NIC)
        self.refuse("mounted on /srv; mend: umount", "bind", SSD, USED)
        self.refuse("driver uio_pci_generic is not loaded; mend: modprobe", "bind", SSD, "--driver", "uio_pci_generic")
        self.refuse("'../x' is no name of a driver", "bind", SSD, "--driver", "../x")
        self.refuse("no user nobody-of-that-name", "bind", SSD, "--user", "nobody-of-that-name")
        self.refuse("needs driverctl", "bind", SSD, "--persist", PATH="/nonexistent")
        self.assertIn(NIC, self.setup("bind", NIC, "--force", "--dry-run"))
        # Nobody obeys in a fake sysfs: the kernel did not do it, and everything is put back.
        self.refuse("vfio-pci did not take it", "bind", SSD)
        self.assertEqual((self.root / "sys/bus/pci/devices" / SSD / "driver_override").read_text()[:1], "\n")
        if os.getuid() != 0:
            (self.root / "sys/bus/pci/drivers_probe").chmod(0o444)
            self.refuse("Permission denied; mend: do it as root", "bind", SSD)

    def test_doctor(self):
        def found(**environment):
            env = {**os.environ, "NVRING_ROOT": str(self.root), **environment}
            done = subprocess.run([NVRING, "doctor", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  text=True, timeout=PATIENCE, check=False, env=env)
            checks = {f["check"]: (f["result"], f["found"], f["mend"]) for f in json.loads(done.stdout)}
            self.assertEqual(done.returncode, int("FAIL" in [result for result, _, _ in checks.values()]))
            return checks
        none = found(NVRING_ROOT="/nonexistent")
        self.assertEqual([none[c][0] for c in ("NVMe", "IOMMU", "VFIO")], ["INFO"] * 3)
        some = found()
        self.assertEqual(some["NVMe"][:2], ("PASS", "2 controllers, 1 free to be used"))
        self.assertEqual([some[c][0] for c in ("IOMMU", "VFIO")], ["PASS"] * 2)
        shutil.rmtree(self.root / "sys/bus/pci/drivers/vfio-pci")
        self.assertEqual(found()["VFIO"][::2], ("FAIL", "modprobe vfio-pci"))
        shutil.rmtree(self.root / "sys/kernel/iommu_groups")
        self.assertEqual(found()["IOMMU"][0], "FAIL")
        self.put("proc/swaps", "Filename\n/dev/nvme0n1 partition\n")  # now nobody could use any: no failure
        self.assertEqual([found()[c][0] for c in ("NVMe", "IOMMU", "VFIO")], ["INFO"] * 3)

    def complete(self, line):
        script = ('source "$0"; COMP_LINE=$1 COMP_POINT=${#1}; read -ra COMP_WORDS <<<"${1//:/ : }";'
                  '[[ $1 != *" " ]] || COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1));'
                  '_nvring; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, str(ROOT / "tools/completion/nvring"), line],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE,
                              env={**os.environ, "NVRING_ROOT": str(self.root),
                                   "PATH": f"{pathlib.Path(NVRING).parent}:{os.environ['PATH']}"})
        return done.stdout.split()

    def test_completion(self):
        self.assertEqual(self.complete("nvring setup bind "), [SSD, USED])
        self.assertEqual(self.complete("nvring setup bind 0000:0"), ["01:00.0", "02:00.0"])
        self.assertEqual(self.complete("nvring setup bind 0000:02:"), ["00.0"])
        self.assertEqual(self.complete(f"nvring setup unbind {SSD} 0000:02"), ["02:00.0"])
        self.assertEqual(self.complete("nvring setup bind --dr"), ["--driver", "--dry-run"])


if __name__ == "__main__":
    unittest.main()
