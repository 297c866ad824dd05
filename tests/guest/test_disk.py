#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest formats, mounts, checks and verifies a disk: one and two CPUs, split and packed rings."""

from lib import case


class Disk(case.GuestCase):
    def use(self, cpus, packed):
        if packed and "packed" not in self.server_class.abilities:
            self.skipTest(f"{self.server_class.program} has no packed rings")
        running, socket = self.serve_one()
        serial = "vol0" if "serial" in self.server_class.abilities else ""
        vm = self.linux("disk.sh", {"QUEUES": cpus, "PACKED": int(packed), "SERIAL": serial}, cpus=cpus)
        vm.add_disk(socket, num_queues=cpus, packed="on" if packed else "off").start()
        vm.finish()
        self.settle(running, vm)

    def test_one_cpu_split(self):
        self.use(1, False)

    def test_one_cpu_packed(self):
        self.use(1, True)

    def test_two_cpus_split(self):
        self.use(2, False)

    def test_two_cpus_packed(self):
        self.use(2, True)


if __name__ == "__main__":
    case.main()
