#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Disks of nvringd as block devices of the kernel that it runs on, in a guest whose kernel has ublk and NBD."""

import os
import shutil

from lib import case
from lib.errors import Unavailable

# some I/O lags behind what came later: what is under way at a kill is never just the newest
LAGGARDS = "fault:p=0.1,delay=50ms@file:/run/vol0.img"

SSD = "0000:00:10.0"


class Attach(case.GuestCase):
    def guest(self, script, environment=None, cpus=2, ssd=(), **options):
        programs = {name: os.environ.get(name) for name in ("NVRINGD", "NVRING")}
        if not all(programs.values()):
            raise Unavailable("NVRINGD and NVRING do not name the programs")
        vm = self.linux(script, {**programs, **(environment or {})}, newer_kernel=True, cpus=cpus, memory_mib=1024,
                        **options)
        for shared in ("daemon.sh", "attach-daemon.sh"):
            shutil.copy(case.SCRIPTS / shared, vm.share)
        if ssd:
            vm.add_nvme("n0", *ssd, addr="0x10")
        return vm.start()

    def test_ublk_ram(self):
        self.guest("ublk-data.sh", {"BACKEND": "ram:96M", "CACHE": "write through"}).finish(io_errors=True)

    def test_ublk_file(self):
        self.guest("ublk-data.sh", {"BACKEND": "file:/run/vol0.img", "CACHE": "write back"}).finish(io_errors=True)

    def crash(self, kind, module, node, nodes, kills):
        vm = self.guest("attach-crash.sh", {"KIND": kind, "MODULE": module, "NODE": node, "NODES": nodes, "KILLS": kills,
                                            "BACKEND": LAGGARDS}, verifier=True)
        vm.finish()

    def test_ublk_crash(self):
        self.crash("ublk", "ublk_drv", "ublkb", 1, 4)

    def test_ublk_life(self):
        self.guest("ublk-life.sh").finish(io_errors=True)

    def test_nbd(self):
        self.guest("nbd-data.sh").finish(io_errors=True)

    def test_nbd_crash(self):
        self.crash("nbd", "nbd", "nbd", 16, 2)

    def test_fuse(self):
        self.guest("attach-fuse.sh").finish(io_errors=True)

    def test_command(self):
        self.guest("attach-command.sh").finish(io_errors=True)

    def plugin(self):
        programs = {name: os.environ.get(name) for name in ("NVRING_VOLUME", "HTTP_POST")}
        if not all(programs.values()):
            raise Unavailable("NVRING_VOLUME and HTTP_POST do not name the programs")
        return programs

    def test_volume_plugin(self):
        self.guest("volume-plugin.sh", self.plugin()).finish(io_errors=True)

    def test_volume_ssd(self):
        ssd = [self.image(40)]
        self.guest("volume-ssd.sh", {**self.plugin(), "SSD": SSD}, ssd=ssd, iommu_bits=48).finish()


if __name__ == "__main__":
    case.main()
