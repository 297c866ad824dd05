#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The real QEMU front-end in under a second: SeaBIOS boots a 512-byte guest from the disk, starting only ring 0."""

from lib import bootsector, case, process, server
from lib.errors import GuestError

STEPS = {0: "", 1: "reading", 2: "what it read is not what the host wrote", 3: "writing", 4: "reading back",
         5: "what it read back is not what it wrote"}


class Boot(case.GuestCase):
    def boot(self, on_ssd=False, **properties):
        image = self.image(bootsector.IMAGE_MIB)
        bootsector.prepare(image)
        socket = self.folder / "vol0.sock"
        ssd = self.ssd(image) if on_ssd else None
        running = self.serve(server.Export("vol0", image, [socket], uri=ssd and ssd.uri(1)))
        vm = self.vm(memory_mib=64)
        vm.add_disk(socket, bootindex=0, **properties)
        vm.add("-device", "isa-debug-exit,iobase=0xf4,iosize=4").start()
        code = process.wait(vm.process, "the boot sector")
        vm.console.join(10)
        if code != 1:
            step = STEPS.get(code >> 1, f"QEMU ended with {code}")
            raise GuestError(f"boot sector: {step}\n{vm.console.tail()}\n{running.tail()}")
        self.settle(running, vm)
        if ssd:
            ssd.stop()
        self.assertTrue(bootsector.written(image), "the image holds what the guest wrote")


class BootSector(Boot):
    """SeaBIOS knows split rings only; packed=on must not keep it from its disk."""

    def test_one_queue(self):
        self.boot(num_queues=1)

    def test_four_queues_of_which_one_is_started(self):
        self.boot(num_queues=4)

    def test_packed_offered(self):
        self.boot(num_queues=2, packed="on")


class OnSsd(Boot):
    """The whole way through the NVMe driver, to a software SSD."""

    needs = frozenset({"nvme"})

    def test_two_queues(self):
        self.boot(on_ssd=True, num_queues=2)


if __name__ == "__main__":
    case.main()
