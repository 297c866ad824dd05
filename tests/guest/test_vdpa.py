#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own vDPA example, unmodified, with nvring's driver: back ends, its modes, what goes wrong. (The other guest tests run
through it as well: NVRING_GUEST_SERVER=dpdk-vdpa.)"""

import os
import pathlib
import re
import socket
import struct
import subprocess
import time

from lib import bootsector, case, process, server
from lib.errors import GuestError, Unavailable

KILLS = 3
MIB = 1 << 20
FREE_HUGE = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")


class ClientMode(server.DpdkVdpa):
    """It connects, QEMU listens."""

    words = ("--client",)

    def listens_on(self):
        return []


class Narrow(server.DpdkVdpa):
    """What the example offers is not widened."""

    extra = ",widen=0"


class WithBadDevices(server.DpdkVdpa):
    """Besides good devices some that cannot be."""

    bad = ("nonsense=1", "backend=ram:1M,que=4", "backend=file:/nonexistent/disk", "backend=ram:1M,cpus=1023")

    def argv(self):
        words = super().argv()
        at = words.index("--")
        more = [word for number, text in enumerate(self.bad) for word in ("--vdev", f"vdpa_nvring9{number},{text}")]
        return words[:at] + more + words[at:]


class HugePages(server.DpdkVdpa):
    """EAL's memory in hugepages, as DPDK is mostly run."""

    eal = ("-m", "64")


class InMemory(server.DpdkVdpa):
    """The same without a file."""

    eal = ("--in-memory", "-m", "64")


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise GuestError(f"in vain: {what}")
        time.sleep(0.02)


class VdpaCase(case.GuestCase):
    def setUp(self):
        super().setUp()
        self.server_class = server.DpdkVdpa

    def boot(self, running, path, image, **properties):
        """The boot sector reads and writes; the image shows it."""
        vm = self.vm(memory_mib=64)
        vm.add_disk(path, bootindex=0, **properties)
        vm.add("-device", "isa-debug-exit,iobase=0xf4,iosize=4").start()
        code = process.wait(vm.process, "the boot sector", 60)
        vm.console.join(10)
        if code != 1:
            raise GuestError(f"boot sector: {code}\n{vm.console.tail()}\n{running.tail()}")
        vm.stop()
        self.assertTrue(bootsector.written(image), "the image holds what the guest wrote")

    def serve_boot_image(self, server_class):
        self.server_class = server_class
        image = self.image(bootsector.IMAGE_MIB)
        bootsector.prepare(image)
        path = self.folder / "vol0.sock"
        return self.serve(server.Export("vol0", image, [path])), path, image


class Backends(VdpaCase):
    def use(self, uri, cpus, packed):
        path = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", None, [path], uri=uri))
        vm = self.linux("disk.sh", {"QUEUES": cpus, "PACKED": int(packed), "SERIAL": ""}, cpus=cpus)
        vm.add_disk(path, num_queues=cpus, packed="on" if packed else "off").start()
        vm.finish(240)
        self.settle(running, vm)

    def test_nvme_over_vfio_user(self):
        ssd = self.ssd(self.image(256))
        self.use(ssd.uri(1), 2, True)
        ssd.stop()

    def test_an_ssd_grows_under_io(self):
        ssd = self.ssd(self.image(64))
        path = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", None, [path], uri=ssd.uri(1)))
        sizes = [96 * MIB, 256 * MIB]
        vm = self.linux("resize.sh", {"SIZES": " ".join(map(str, sizes))}, verifier=True)
        vm.add_disk(path, num_queues=1).start()
        for size in sizes:
            vm.wait_mark(f"want {size}")
            ssd.ctl("resize", 1, size)
        vm.finish(120)
        self.settle(running, vm)
        ssd.stop()

    def test_ram(self):
        self.use("ram:256M", 1, False)


class Modes(VdpaCase):
    def test_not_widened(self):
        self.server_class = Narrow
        running, path = self.serve_one(64)
        vm = self.linux("vdpa-narrow.sh", verifier=True)
        vm.add_disk(path, num_queues=1).start()
        vm.finish(120)
        self.settle(running, vm)

    def test_client_mode_and_kills(self):
        """QEMU listens and waits; the example is killed, and comes back by itself."""
        self.server_class = ClientMode
        path = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", self.image(256), [path]))
        vm = self.linux("crash.sh", cpus=2, verifier=True)
        vm.add("-chardev", f"socket,id=c-d0,path={path},server=on",
               "-device", "vhost-user-blk-pci,id=d0,chardev=c-d0,num-queues=2").start()
        vm.wait_mark("in use")
        for _ in range(KILLS):
            self.progress(vm)
            running.kill()
            running.start()
        self.progress(vm)
        vm.say("stop")
        vm.finish(180)
        self.settle(running, vm)

    def huge(self, server_class):
        if not FREE_HUGE.exists() or int(FREE_HUGE.read_text()) < 64:
            raise Unavailable("no 64 free hugepages on this machine (vm.nr_hugepages)")
        running, path, image = self.serve_boot_image(server_class)
        self.boot(running, path, image, num_queues=2)
        self.settle(running)

    def test_hugepages(self):
        if " hugetlbfs " not in pathlib.Path("/proc/mounts").read_text():
            raise Unavailable("no hugetlbfs is mounted on this machine")
        self.huge(HugePages)

    def test_in_memory(self):
        self.huge(InMemory)


class Application(VdpaCase):
    """What the application sees: devices that cannot be, statistics, a second front-end, one QEMU after the other."""

    def test_bad_devices_are_one_line_each(self):
        running, path, image = self.serve_boot_image(WithBadDevices)
        said = running.log.read_text(errors="replace")
        for number, words in enumerate(["unknown argument", "unknown argument", "No such file", "CPU 1023 is not available"]):
            lines = [line for line in said.splitlines() if f"nvring: vdpa: vdpa_nvring9{number}: " in line]
            self.assertEqual(len(lines), 1, said)
            self.assertIn(words, lines[0])
        self.boot(running, path, image, num_queues=1)
        self.settle(running)

    def test_one_qemu_after_the_other(self):
        running, path, image = self.serve_boot_image(server.DpdkVdpa)
        for queues in (1, 4, 2):
            bootsector.prepare(image)
            self.boot(running, path, image, num_queues=queues)
        self.settle(running)

    def answer(self, running, pattern, *words):
        """What the example prints after a command."""
        seen = running.log.stat().st_size
        running.command(*words)
        read = lambda: running.log.read_bytes()[seen:].decode(errors="replace")
        wait_for(f"{pattern} after {' '.join(words)}:\n{running.tail()}", lambda: re.search(pattern, read()))
        return re.search(pattern, read())

    def test_list_and_statistics(self):
        running, path = self.serve_one(64)
        self.assertEqual(self.answer(running, r"vdpa_nvring0\t+(\d+)\t", "list")[1], "8")
        vm = self.linux("reset.sh", verifier=True).survive_reset()
        vm.add_disk(path, num_queues=1).start()
        vm.wait_mark("in use")
        first = int(self.answer(running, r"requests +(\d+)", "stats", "vdpa_nvring0", "0")[1])
        self.assertGreater(first, 0)
        wait_for("more requests", lambda: int(self.answer(running, r"requests +(\d+)", "stats", "vdpa_nvring0", "0")[1]) > first)
        vm.stop()
        self.settle(running)

    def test_a_second_front_end(self):
        """It is turned away, and the first one does not notice."""
        running, path = self.serve_one(256)
        vm = self.linux("crash.sh", verifier=True)
        vm.add_disk(path, num_queues=1).start()
        vm.wait_mark("in use")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as second:
            second.settimeout(20)
            second.connect(str(path))
            second.sendall(struct.pack("<III", 1, 1, 0))  # GET_FEATURES is answered before the driver knows
            self.assertEqual(len(second.recv(20)), 20)
            second.sendall(struct.pack("<III", 3, 1, 0))  # SET_OWNER
            self.assertEqual(second.recv(20), b"")
        self.assertIn("refused", running.log.read_text(errors="replace"))
        self.progress(vm)
        vm.say("stop")
        vm.finish(120)
        self.settle(running, vm)


class Hostile(VdpaCase):
    """Front-ends and drivers that lie; the program is vdpa_hostile.c."""

    def test_they_hurt_nobody(self):
        program = os.environ.get("VDPA_HOSTILE", "")
        if not os.path.exists(program):
            raise Unavailable("VDPA_HOSTILE names no program")
        paths = [self.folder / f"vol{number}.sock" for number in range(2)]
        running = self.serve(*(server.Export(path.stem, None, [path], uri="ram:16M") for path in paths))
        done = subprocess.run([program], check=False, timeout=600, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "VICTIM": str(paths[0]), "GOOD": str(paths[1]),
                                   "SERVER_PID": str(running.process.pid)})
        if done.returncode:
            raise GuestError(f"{done.stdout}\n{running.tail()}")
        self.settle(running)


if __name__ == "__main__":
    case.main()
