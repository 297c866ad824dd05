#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvringd serves the kernel's vDPA bus: /dev/vdX without QEMU between, in a guest whose kernel has VDUSE."""

import os
import shutil

from lib import case
from lib.errors import Unavailable

# some I/O lags behind what came later: what is under way at a kill is never just the newest
LAGGARDS = "fault:p=0.1,delay=50ms@file:/run/vol0.img"


class Vduse(case.GuestCase):
    def guest(self, script, environment=None, cpus=2, **options):
        programs = {name: os.environ.get(name) for name in ("NVRINGD", "NVRING", "NVRING_SSD")}
        if not all(programs.values()):
            raise Unavailable("NVRINGD, NVRING and NVRING_SSD do not name the programs")
        vm = self.linux(script, {**programs, **(environment or {})}, newer_kernel=True, cpus=cpus, memory_mib=1024,
                        **options)
        for shared in ("daemon.sh", "vduse-daemon.sh"):
            shutil.copy(case.SCRIPTS / shared, vm.share)
        return vm.start()

    def data(self, **environment):
        vm = self.guest("vduse-data.sh", environment, cpus=4)
        vm.finish()

    def test_ram_packed(self):
        self.data(BACKEND="ram:96M", OPTIONS="", LAYOUT="packed", MEMLOCK="unlimited", UMEM="true")

    def test_file_split(self):
        self.data(BACKEND="file:/run/vol0.img", OPTIONS="--no-packed", LAYOUT="split", MEMLOCK="8192", UMEM="false")

    def test_ssd(self):
        """The SSD reaches the requests' memory: it is ours."""
        self.data(BACKEND="nvme+vfio-user:/run/ssd.sock/1", OPTIONS="", LAYOUT="packed", MEMLOCK="unlimited",
                  UMEM="true")

    def test_vhost(self):
        if not os.environ.get("VDPA_PROBE"):
            raise Unavailable("VDPA_PROBE does not name the program")
        vm = self.guest("vduse-vhost.sh", {"VDPA_PROBE": os.environ["VDPA_PROBE"]})
        vm.finish()

    def crash(self, **environment):
        vm = self.guest("vduse-crash.sh", {"ENDS": "KILL TERM KILL KILL", **environment}, verifier=True)
        vm.finish()

    def test_crash_packed(self):
        self.crash(BACKEND=LAGGARDS, OPTIONS="", MEMLOCK="unlimited", UMEM="true")

    def test_crash_split(self):
        self.crash(BACKEND=LAGGARDS, OPTIONS=",no-packed", MEMLOCK="8192", UMEM="false")

    def test_crash_split_umem(self):
        self.crash(BACKEND="file:/run/vol0.img", OPTIONS=",no-packed", MEMLOCK="unlimited", UMEM="true")

    def test_refusals(self):
        vm = self.guest("vduse-refuse.sh")
        vm.finish(io_errors=True)

    def test_life(self):
        vm = self.guest("vduse-life.sh", verifier=True)
        vm.finish(io_errors=True)


if __name__ == "__main__":
    case.main()
