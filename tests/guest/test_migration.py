#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Live migration between two QEMUs, each with its own export of the one disk, under verified I/O."""

import time

from lib import accel, case, compiled, debian, initramfs, server
from lib.errors import GuestError
from lib.process import PATIENCE

SECONDS = 3600  # it is told to stop
PARAMETERS = {"max-bandwidth": 1 << 30, "downtime-limit": 1000}
HOPS = 3
TRIES = 5
PAGE_BYTES = 4096


def differing_pages(a, b):
    """The addresses of the pages in which two memories of one size differ."""
    chunk = PAGE_BYTES * 256
    for start in range(0, len(a), chunk):
        if a[start:start + chunk] == b[start:start + chunk]:
            continue
        for page in range(start, min(start + chunk, len(a)), PAGE_BYTES):
            if a[page:page + PAGE_BYTES] != b[page:page + PAGE_BYTES]:
                yield page


class Migration(case.GuestCase):
    needs = frozenset({"migrate"})

    def guest(self, name, socket, cpus, packed):
        kernel = debian.kernel()
        image = initramfs.mini(kernel, [("verifier", compiled.verifier())])
        vm = self.vm(name, cpus=cpus, memory_mib=256).make_migratable()
        vm.boot_mini(kernel, image, f"verifier /dev/vda {SECONDS} 4 8 /run/stop")
        return vm.add_disk(socket, num_queues=cpus, packed=packed)

    def migrate(self, cpus, packed="off"):
        """The guest goes from one export to the other and back, HOPS times in all."""
        sockets = [self.folder / "a.sock", self.folder / "b.sock"]
        running = self.serve(server.Export("vol0", self.image(64), sockets))
        guest = self.guest("guest0", sockets[0], cpus, packed).start()
        self.progress(guest)
        self.pages = self.device_pages(guest)
        for hop in range(1, HOPS + 1):
            guest = self.hop(guest, lambda name: self.guest(name, sockets[hop % 2], cpus, packed), f"guest{hop}")
        self.end(guest)
        self.settle(running, guest)

    def hop(self, source, make, name):
        """One migration. The target goes on only when both memories have been compared; TCG's losses make it void."""
        for attempt in range(TRIES):
            target = make(f"{name}-{attempt}")
            self.move(source, target)
            lost = self.lost_by_tcg(source, target)
            if not lost:
                source.qmp("quit")
                source.stop()
                self.go_on(target)
                return target
            print(f"void: {lost}")
            target.stop()
            self.go_on(source)
        raise GuestError(f"{TRIES} migrations in a row with other pages than the device's that differ: {lost}")

    def move(self, source, target):
        address = f"unix:{self.folder}/{target.name}.migrate"
        target.add("-S", "-incoming", address).start()
        target.qmp("query-status")
        source.qmp("migrate-set-parameters", PARAMETERS)
        source.qmp("migrate", {"uri": address})
        self.await_completion(source)
        self.await_paused(target)

    def go_on(self, guest):
        guest.qmp("cont")
        self.progress(guest, 4)

    @staticmethod
    def device_pages(guest):
        """Addresses of the pages that only the device writes to."""
        pages = {int(number, 16) * PAGE_BYTES
                 for found in guest.console.find(r"VERIFIER into ([0-9a-f ]+)") for number in found[1].split()}
        if not pages or 0 in pages:
            raise GuestError(f"the verifier has not told its pages\n{guest.console.tail()}")
        return pages

    def lost_by_tcg(self, source, target):
        """Which pages differ that a CPU may have written; it is an error if one of the device's does.

        What a device writes and does not mark in the dirty log is a page that is not the same on both sides.
        """
        with source.memory() as old, target.memory() as new:
            pages = list(differing_pages(old, new))
        text = f"{len(pages)} pages: " + " ".join(f"{page:#x}" for page in pages[:16])
        if self.pages.intersection(pages):
            raise GuestError(f"{target.name} lacks what the device wrote to {source.name}; {text}")
        if pages and accel.choose() != "tcg":
            raise GuestError(f"{target.name} has not the memory of {source.name}; {text}")
        return text if pages else ""

    @staticmethod
    def await_paused(target):
        deadline = time.monotonic() + PATIENCE
        while (state := target.qmp("query-status")["status"]) != "paused":
            if time.monotonic() > deadline:
                raise GuestError(f"{target.name}: {state}, not paused")
            time.sleep(0.02)

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
        target.finish()

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
