#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What happens to a disk in its life: it grows, its guest is reset, it is read-only, it has a neighbour."""

import hashlib
import os

from lib import case, server

MIB = 1 << 20


class Life(case.GuestCase):
    def test_it_grows_under_io(self):
        if "resize" not in self.server_class.abilities:
            self.skipTest(f"{self.server_class.program} does not tell of a new size")
        running, socket = self.serve_one(64)
        sizes = [96 * MIB, 256 * MIB]
        vm = self.linux("resize.sh", {"SIZES": " ".join(map(str, sizes))}, verifier=True)
        vm.add_disk(socket, num_queues=1).start()
        for size in sizes:
            vm.wait_mark(f"want {size}")
            running.resize("vol0", size)
        vm.finish()
        self.settle(running, vm)
        self.assertEqual(os.path.getsize(self.folder / "disk.img"), sizes[-1])

    def test_its_guest_is_reset(self):
        running, socket = self.serve_one()
        vm = self.linux("reset.sh", verifier=True).survive_reset()
        vm.add_disk(socket, num_queues=1).start()
        vm.wait_mark("in use")
        vm.qmp("system_reset")
        vm.finish()
        self.assertEqual(len(vm.console.find("GUEST-UP")), 2, "the guest has booted twice")
        self.settle(running, vm)

    def test_its_guest_dies(self):
        """QEMU is killed in the middle of I/O; the daemon does not mind, the next guest finds the disk working."""
        running, socket = self.serve_one()
        for name in ("first", "second"):
            vm = self.linux("reset.sh", name=name, verifier=True)
            vm.add_disk(socket, num_queues=1).start()
            vm.wait_mark("in use")
            vm.process.kill()
            vm.process.wait()
        vm = self.linux("reset.sh", name="third", verifier=True)
        (vm.share / "random").write_bytes((self.folder / "second.share" / "random").read_bytes())
        vm.add_disk(socket, num_queues=1).start()
        vm.finish()
        self.settle(running, vm)

    def test_it_is_read_only(self):
        image = self.image(16)
        content = os.urandom(16 * MIB)
        image.write_bytes(content)
        socket = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", image, [socket], read_only=True))
        vm = self.linux("readonly.sh", {"SUM": hashlib.sha256(content).hexdigest()})
        vm.add_disk(socket, num_queues=1).start()
        vm.finish()
        self.settle(running, vm)
        self.assertEqual(image.read_bytes(), content)

    def test_it_has_a_neighbour(self):
        exports = [server.Export(name, self.image(mib, f"{name}.img"), [self.folder / f"{name}.sock"])
                   for name, mib in (("vol0", 64), ("vol1", 128))]
        running = self.serve(*exports)
        vm = self.linux("two.sh", {"SIZES": f"{64 * MIB} {128 * MIB}"}, cpus=2, verifier=True)
        for number, export in enumerate(exports):
            vm.add_disk(export.sockets[0], f"d{number}", num_queues=2)
        vm.start().finish()
        self.settle(running, vm)


if __name__ == "__main__":
    case.main()
