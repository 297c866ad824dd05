#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Live migration between two QEMUs, each with its own export of the one disk, under verified I/O."""

import time

from lib import case, compiled, debian, initramfs, server
from lib.errors import GuestError

SECONDS = 300
PATIENCE = 120
PARAMETERS = {"max-bandwidth": 1 << 30, "downtime-limit": 1000}


class Migration(case.GuestCase):
    needs = frozenset({"migrate"})

    def guest(self, name, socket, cpus, packed):
        kernel = debian.kernel()
        image = initramfs.mini(kernel, [("verifier", compiled.verifier())])
        vm = self.vm(name, cpus=cpus, memory_mib=256)
        vm.boot_mini(kernel, image, f"verifier /dev/vda {SECONDS} 4 8 /run/stop")
        return vm.add_disk(socket, num_queues=cpus, packed=packed)

    def migrate(self, cpus, packed="off"):
        sockets = [self.folder / "a.sock", self.folder / "b.sock"]
        running = self.serve(server.Export("vol0", self.image(64), sockets))
        source = self.guest("source", sockets[0], cpus, packed).start()
        source.console.wait(r"VERIFIER second 2 ops [1-9]", 120)
        address = f"unix:{self.folder}/migrate.sock"
        target = self.guest("target", sockets[1], cpus, packed).add("-incoming", address).start()
        target.qmp("query-status")
        source.qmp("migrate-set-parameters", PARAMETERS)
        source.qmp("migrate", {"uri": address})
        self.await_completion(source)
        source.qmp("quit")
        for _ in range(3):
            target.console.wait(r"VERIFIER second \d+ ops [1-9]", 60, after=len(target.console.lines))
        self.end(target)
        self.settle(running, source, target)

    @staticmethod
    def await_completion(source):
        deadline = time.monotonic() + PATIENCE
        while (state := source.qmp("query-migrate")).get("status") != "completed":
            if state.get("status") in ("failed", "cancelled") or time.monotonic() > deadline:
                raise GuestError(f"migration: {state}")
            time.sleep(0.1)
        print(f"downtime {state['downtime']} ms, total {state['total-time']} ms")

    @staticmethod
    def end(target):
        """The target's verifier must come to its end, reading all it ever wrote."""
        target.type_line("stop")
        target.finish(60)

    def test_split(self):
        self.migrate(1)

    def test_two_queues(self):
        self.migrate(2)

    def test_packed(self):
        if "packed" not in self.server_class.abilities:
            self.skipTest("no packed rings")
        self.migrate(1, "on")


if __name__ == "__main__":
    case.main()
