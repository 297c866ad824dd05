#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The queues of a disk move between the daemon's reactors under verified writes."""

from lib import case

ROUNDS = 3


class Move(case.GuestCase):
    needs = frozenset({"inspect"})

    @staticmethod
    def places(running):
        session = running.rpc("vhost_get_controllers")[0]["sessions"][0]
        return {q["index"]: q["reactor"] for q in session["queues"] if q["started"]}

    def move_all(self, packed):
        running, socket = self.serve_one(256)
        reactors = len(running.rpc("framework_get_reactors")["reactors"])
        if reactors < 2:
            self.skipTest("one CPU, one reactor")
        vm = self.linux("crash.sh", cpus=4, verifier=True)
        vm.add_disk(socket, num_queues=4, packed=packed).start()
        vm.wait_mark("in use")
        name = running.rpc("vhost_get_controllers")[0]["ctrlr"]
        for _ in range(ROUNDS):
            self.progress(vm)
            before = self.places(running)
            self.assertEqual(len(before), 4)
            for queue, reactor in before.items():
                running.rpc("vhost_move_queue", ctrlr=name, queue=queue, reactor=(reactor + 1) % reactors)
            after = self.places(running)
            self.assertEqual(after, {queue: (reactor + 1) % reactors for queue, reactor in before.items()})
        self.progress(vm)
        vm.say("stop")
        vm.finish()
        self.settle(running, vm)

    def test_split(self):
        self.move_all("off")

    def test_packed(self):
        self.move_all("on")


if __name__ == "__main__":
    case.main()
