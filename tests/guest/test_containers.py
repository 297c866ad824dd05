#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Containers on volumes of one SSD that nvringd drives, in a guest: what is whose, and limits that hold."""

import json
import os
import shutil
import subprocess

from lib import case
from lib.errors import GuestError, Unavailable

SSD = "0000:00:10.0"
VOLUME_MIB = 8
IOPS = 30
BPS = 2 << 20
# Counted when they end, taken from the budget when they start: at most so many lie between.
IN_FLIGHT = 32
IN_FLIGHT_BYTES = 128 << 10


def config():
    """Both ways of both volumes, as docs/containers.md tells."""
    def disk(number, **limits):
        return {"name": f"vol{number}", "uri": f"nvme:{SSD}/1?part=name:vol{number}", **limits}
    return {
        "disks": [disk(0, iops=IOPS), disk(1, bps=BPS)],
        "attach": [{"disk": f"vol{n}", "as": "ublk", "id": n} for n in (0, 1)],
        "exports": [{"disk": f"vol{n}", "socket": f"/run/vol{n}.sock"} for n in (0, 1)],
    }


class Span:
    """What nvringd counted of each volume between two looks, and in what time."""

    def __init__(self, share, name):
        self.name = name
        before, after = (json.loads((share / f"counts-{name}-{i}.json").read_text()) for i in (0, 1))
        self.seconds = (after["ticks"] - before["ticks"]) / after["tick_rate"]
        was, now = before["bdevs"], after["bdevs"]
        self.ios = self._grown(was, now, "ios", 0)
        self.bytes = self._grown(was, now, "bytes", 1)
        self.delayed = [now[n]["qos_stats"]["delayed"] - was[n]["qos_stats"]["delayed"] for n in (0, 1)]

    @staticmethod
    def _grown(was, now, key, number):
        return sum(now[number]["operations"][op][key] - was[number]["operations"][op][key]
                   for op in now[number]["operations"])

    def within(self):
        """Whether (vol0, vol1) did no more than their limits give in that time."""
        return (self.ios <= IOPS * self.seconds + IN_FLIGHT,
                self.bytes <= BPS * self.seconds + IN_FLIGHT * IN_FLIGHT_BYTES)

    def __str__(self):
        return (f"{self.name}: {self.ios} I/Os of vol0, {self.bytes} bytes of vol1 in {self.seconds:.2f} s, "
                f"{self.delayed} had to wait")


class Containers(case.GuestCase):
    def guest(self):
        programs = {name: os.environ.get(name) for name in ("NVRINGD", "NVRING", "DISK_FILE", "DISK_COPY")}
        if not all(programs.values()):
            raise Unavailable("NVRINGD, NVRING, DISK_FILE and DISK_COPY do not name the programs")
        if not shutil.which("crun"):
            raise Unavailable("crun is not installed")
        limits = {"LIMIT0": f"--iops {IOPS}", "LIMIT1": f"--bps {BPS}"}
        vm = self.linux("containers.sh", {**programs, **limits, "SSD": SSD}, newer_kernel=True, cpus=2, memory_mib=1024,
                        iommu_bits=48, verifier=True)
        for shared in ("daemon.sh", "containers-box.sh"):
            shutil.copy(case.SCRIPTS / shared, vm.share)
        (vm.share / "nvringd.json").write_text(json.dumps(config()))
        vm.add_nvme("n0", self.two_partitions(), addr="0x10")
        return vm.start()

    def two_partitions(self):
        image = self.image(2 * VOLUME_MIB + 2)
        table = "label: gpt\n" + "".join(f"size={VOLUME_MIB}MiB, name=vol{n}\n" for n in (0, 1))
        try:
            subprocess.run(["sfdisk", "-q", image], input=table, check=True, text=True, stderr=subprocess.PIPE)
        except FileNotFoundError as error:
            raise Unavailable("sfdisk is not installed") from error
        except subprocess.CalledProcessError as error:
            raise GuestError(f"sfdisk: {error.stderr}") from error
        return image

    def test_two_volumes(self):
        vm = self.guest()
        vm.finish()
        limited, free, copy = (Span(vm.share, name) for name in ("limited", "free", "copy"))
        print(limited, free, copy, sep="\n")
        for span in (limited, copy):
            self.assertEqual(span.within(), (True, True), span)
            self.assertTrue(all(span.delayed), span)
        self.assertEqual(free.delayed, [0, 0], free)
        if any(free.within()):
            raise Unavailable(f"the machine does no more without limits than with them: {free}")


if __name__ == "__main__":
    case.main()
