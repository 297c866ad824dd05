#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The daemon ends in the middle of verified writes, by kill -9 or in good order: it comes back, nothing is lost."""

from lib import case

KILLS = 4
# some I/O lags behind what came later: what is under way at a kill is never just the newest
LAGGARDS = "p=0.1,delay=50ms"


class Crash(case.GuestCase):
    needs = frozenset({"crash"})

    def survive(self, cpus, packed, faults=""):
        running, socket = self.serve_one(256, faults=faults)
        vm = self.linux("crash.sh", cpus=cpus, verifier=True)
        vm.add_disk(socket, num_queues=cpus, packed=packed).start()
        vm.wait_mark("in use")
        for kill in range(KILLS):
            self.progress(vm)
            # from at once to longer than QEMU's reconnect interval
            self.restart(running.kill, running, vm, away=0.3 * kill)
        self.progress(vm)
        vm.say("stop")
        vm.finish()
        self.settle(running, vm)

    def test_restart_in_good_order(self):
        running, socket = self.serve_one(256)
        vm = self.linux("crash.sh", cpus=2, verifier=True)
        vm.add_disk(socket, num_queues=2).start()
        vm.wait_mark("in use")
        for _ in range(2):
            self.progress(vm)
            self.restart(running.stop, running, vm)
        self.progress(vm)
        vm.say("stop")
        vm.finish()
        self.settle(running, vm)

    def test_split(self):
        self.survive(1, "off")

    def test_packed(self):
        self.survive(1, "on")

    def test_out_of_order_split(self):
        self.survive(2, "off", LAGGARDS)

    def test_out_of_order_packed(self):
        self.survive(2, "on", LAGGARDS)

    def test_two_queues_split(self):
        self.survive(2, "off")

    def test_two_queues_packed(self):
        self.survive(2, "on")


if __name__ == "__main__":
    case.main()
