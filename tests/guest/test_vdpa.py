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
from lib.process import PATIENCE, wait_for

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


class Relayed(server.DpdkVdpa):
    """Its disks are those of a running nvringd, whose control socket URI names."""

    def devices(self):
        return [(export.sockets[0], f"backend={export.uri},queues=4") for export in self.exports]


class RelayedNarrow(Relayed):
    """What the example offers is not widened: no inflight region, among others."""

    def devices(self):
        return [(path, f"{arguments},widen=0") for path, arguments in super().devices()]


class HugePages(server.DpdkVdpa):
    """EAL's memory in hugepages, as DPDK is mostly run."""

    eal = ("-m", "64")


class InMemory(server.DpdkVdpa):
    """The same without a file."""

    eal = ("--in-memory", "-m", "64")


class VdpaCase(case.GuestCase):
    def setUp(self):
        super().setUp()
        self.server_class = server.DpdkVdpa

    def boot(self, running, path, image, **properties):
        """The boot sector reads and writes; the image shows it."""
        vm = self.vm(memory_mib=64)
        vm.add_disk(path, bootindex=0, **properties)
        vm.add("-device", "isa-debug-exit,iobase=0xf4,iosize=4").start()
        code = process.wait(vm.process, "the boot sector")
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
        vm.finish()
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
        vm.finish()
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
        vm.finish()
        self.settle(running, vm)

    def test_client_mode_and_kills(self):
        """QEMU listens and waits; the example is killed, and comes back by itself."""
        self.server_class = ClientMode
        path = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", self.image(256), [path]))
        vm = self.linux("crash.sh", cpus=2, verifier=True)
        vm.add_disk(path, link="server=on", num_queues=2).start()
        vm.wait_mark("in use")
        for _ in range(KILLS):
            self.progress(vm)
            self.restart(running.kill, running, vm)
        self.progress(vm)
        vm.say("stop")
        vm.finish()
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
        vm.finish()
        self.settle(running, vm)


class Relay(VdpaCase):
    """One nvringd that owns an SSD serves a socket and a DPDK application at the same time."""

    def doors(self):
        """The daemon, its door and DPDK's, each to a namespace of the one SSD."""
        ssd = self.ssd(self.image(64, "a.img"), self.image(128, "b.img"))
        home = self.folder / "daemon"
        home.mkdir()
        own, other = self.folder / "own.sock", self.folder / "dpdk.sock"
        daemon = server.Nvringd(home, [server.Export("vol0", None, [own], uri=ssd.uri(1)),
                                       server.Export("vol1", None, [], uri=ssd.uri(2))])
        self.addCleanup(daemon.abandon)
        daemon.start()
        self.server_class = Relayed
        running = self.serve(server.Export("vol1", None, [other], uri=f"nvringd:{daemon.rpc_path}/vol1"))
        return ssd, daemon, running, (own, other)

    @staticmethod
    def exports(daemon):
        return {entry["ctrlr"]: entry for entry in daemon.rpc("vhost_get_controllers")}

    def quit(self, running):
        """EAL is cleaned up, and with it our device."""
        running.command("quit")
        self.assertEqual(process.wait(running.process, running.program), 0, running.tail())

    def test_one_daemon_two_doors(self):
        ssd, daemon, running, doors = self.doors()
        self.assertEqual(self.exports(daemon)["vdpa_nvring0.vol1"]["backend_specific"]["block"]["bdev"], "vol1")
        vm = self.linux("two.sh", {"SIZES": f"{64 * MIB} {128 * MIB}"}, cpus=2, verifier=True)
        for number, path in enumerate(doors):
            vm.add_disk(path, f"d{number}", num_queues=2)
        vm.start().finish()
        vm.stop()
        self.quit(running)
        self.assertEqual(list(self.exports(daemon)), ["vol0-0"])
        daemon.stop()
        ssd.stop()

    def test_a_killed_application_takes_its_export_over_again(self):
        ssd, daemon, running, doors = self.doors()
        vm = self.linux("reset.sh", verifier=True).survive_reset()
        vm.add_disk(doors[1], num_queues=2).start()
        vm.wait_mark("in use")

        def end():
            running.kill()
            self.assertIn("vdpa_nvring0.vol1", self.exports(daemon))
        self.restart(end, running, vm)
        vm.qmp("system_reset")
        vm.finish()
        vm.stop()
        self.quit(running)
        daemon.stop()
        ssd.stop()

    def test_what_the_daemon_refuses_is_said(self):
        ssd, daemon, running, _ = self.doors()
        for number, (words, says) in enumerate((
                (f"backend=nvringd:{daemon.rpc_path}/nosuch", 'no disk named "nosuch"'),
                (f"backend=nvringd:{self.folder}/nobody/vol0", "cannot reach nvringd on"),
                (f"backend=nvringd:{daemon.rpc_path}/vol0,iops=10", "limits of nvringd's disks are set there"),
                ("backend=nvringd:vol0", "is no nvringd:CONTROL-SOCKET/DISK"))):
            class Bad(server.DpdkVdpa):
                def devices(self):
                    return [(self.folder / "bad.sock", words)]
            home = self.folder / f"bad{number}"
            home.mkdir()
            bad = Bad(home, [])
            self.addCleanup(bad.abandon)
            bad.start()
            wait_for(f"{says}:\n{bad.tail()}", lambda: says in bad.log.read_text(errors="replace"))
            bad.abandon()
        self.quit(running)
        daemon.stop()
        ssd.stop()


class RelayKilled(VdpaCase):
    """The nvringd behind the application is killed and comes back under I/O; neither QEMU nor the application does anything."""

    # some I/O lags behind what came later: what is under way at a kill is never just the newest
    laggards = "p=0.1,delay=50ms"

    def killed(self, daemon, running, count):
        """`count` times: gone from at once to for longer than the device's attempts are apart."""
        back = lambda: running.log.read_text(errors="replace").count("nvringd is back after")
        for kill in range(count):
            seen = back()
            daemon.kill()
            time.sleep(0.5 * kill)
            daemon.start()
            wait_for("another session", lambda seen=seen: back() > seen)
            yield

    def survive(self, cpus, packed, server_class=Relayed):
        home = self.folder / "daemon"
        home.mkdir()
        daemon = server.Nvringd(home, [server.Export("vol0", self.image(256), [], faults=self.laggards)])
        self.addCleanup(daemon.abandon)
        daemon.start()
        self.server_class = server_class
        path = self.folder / "dpdk.sock"
        running = self.serve(server.Export("vol0", None, [path], uri=f"nvringd:{daemon.rpc_path}/vol0"))
        vm = self.linux("vdpa-killed.sh", {"PACKED": int(packed)}, cpus=cpus, verifier=True)
        vm.add_disk(path, num_queues=cpus, packed="on" if packed else "off").start()
        vm.wait_mark("in use")
        self.progress(vm)
        for _ in self.killed(daemon, running, KILLS + 1):
            self.progress(vm)
        vm.say("stop")
        vm.wait_mark("fio")
        for _ in self.killed(daemon, running, KILLS):
            # a round that had begun before, and a whole one
            for _ in range(2):
                vm.console.wait("ok fio|GUEST-RC", PATIENCE, after=len(vm.console.lines))
        vm.say("enough")
        vm.finish()
        vm.stop()
        said = running.log.read_text(errors="replace")
        for words in ("nvringd has ended the session", "nvringd is back after"):
            self.assertEqual(said.count(words), 2 * KILLS + 1, said)
        self.assertEqual(said.count("new vhost user connection"), 1, said)
        self.settle(running)
        daemon.stop()

    def test_split(self):
        self.survive(2, False)

    def test_packed(self):
        self.survive(2, True)

    def test_without_an_inflight_region_of_the_front_end(self):
        self.survive(1, False, RelayedNarrow)

    def test_the_guest_leaves_while_it_is_away(self):
        """The front-end's stop gets no answer from anybody, within its bound; the next one is served."""
        home = self.folder / "daemon"
        home.mkdir()
        image = self.image(64)
        daemon = server.Nvringd(home, [server.Export("vol0", image, [])])
        self.addCleanup(daemon.abandon)
        daemon.start()
        self.server_class = Relayed
        path = self.folder / "dpdk.sock"
        running = self.serve(server.Export("vol0", None, [path], uri=f"nvringd:{daemon.rpc_path}/vol0"))
        vm = self.linux("reset.sh", name="first", verifier=True).survive_reset()
        vm.add_disk(path, num_queues=2).start()
        vm.wait_mark("in use")
        daemon.kill()
        vm.stop()
        os.truncate(image, 0)
        os.truncate(image, 64 * MIB)
        bootsector.prepare(image)
        daemon.start()
        self.boot(running, path, image, num_queues=1)
        self.settle(running)
        daemon.stop()


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
