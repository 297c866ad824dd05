#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest on nvringd's NVMe driver and the software SSD: used, resized, the daemon killed, every fault of the SSD."""

import time

from lib import case, server
from lib.errors import GuestError
from lib.process import PATIENCE

MIB = 1 << 20
KILLS = 4


class SsdCase(case.GuestCase):
    needs = frozenset({"nvme"})

    def serve_ssd(self, size_mib, uri_options="", ssd_options=()):
        """An SSD with one namespace and nvringd on it; returns both, and the disk's socket."""
        ssd = self.ssd(self.image(size_mib), options=ssd_options)
        socket = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", None, [socket], uri=ssd.uri(1, uri_options)))
        return ssd, running, socket

    def wait_log(self, running, words):
        """Until the daemon has said WORDS."""
        end = time.monotonic() + PATIENCE
        while words not in running.log.read_text(errors="replace"):
            if time.monotonic() > end:
                raise GuestError(f"the daemon does not say '{words}':\n{running.tail()}")
            time.sleep(0.02)

    def wait_fired(self, ssd, rule):
        end = time.monotonic() + PATIENCE
        while not ssd.fired(rule):
            if time.monotonic() > end:
                raise GuestError(f"fault rule {rule} does not fire: {ssd.ctl('faults')}")
            time.sleep(0.02)


class SsdDisk(SsdCase):
    def use(self, cpus, packed, *ssd_options):
        ssd, running, socket = self.serve_ssd(256, ssd_options=ssd_options)
        vm = self.linux("disk.sh", {"QUEUES": cpus, "PACKED": int(packed), "SERIAL": "vol0"}, cpus=cpus)
        vm.add_disk(socket, num_queues=cpus, packed="on" if packed else "off").start()
        vm.finish()
        counters = ssd.ctl("counters")
        busy = [queue["id"] for queue in counters["queues"] if queue["id"] and queue["commands"] > 8]
        self.assertEqual(len(busy), min(cpus, len(running.rpc("framework_get_reactors")["reactors"])), counters["queues"])
        self.assertEqual((counters["bad_doorbells"], counters["data_errors"]), (0, 0))
        self.settle(running, vm)
        ssd.stop()

    def test_one_cpu_split(self):
        """With all that the SSD can have, too."""
        self.use(1, False, "--sgl", "--dbbuf", "--hmb", "1M,2M")

    def test_two_cpus_packed(self):
        """Two virtqueues on two reactors, each with an I/O queue of its own."""
        self.use(2, True)

    def test_it_grows_under_io(self):
        ssd, running, socket = self.serve_ssd(64)
        sizes = [96 * MIB, 256 * MIB]
        vm = self.linux("resize.sh", {"SIZES": " ".join(map(str, sizes))}, verifier=True)
        vm.add_disk(socket, num_queues=1).start()
        for size in sizes:
            vm.wait_mark(f"want {size}")
            ssd.ctl("resize", 1, size)
        vm.finish()
        self.settle(running, vm)
        ssd.stop()

    def test_the_daemon_dies(self):
        """What the SSD still has of the dead must not land on what the next daemon writes."""
        ssd, running, socket = self.serve_ssd(256, ssd_options=["--fault", "op=write,p=10%,delay=300ms"])
        vm = self.linux("crash.sh", cpus=2, verifier=True)
        vm.add_disk(socket, num_queues=2).start()
        vm.wait_mark("in use")
        for kill in range(KILLS):
            self.progress(vm)
            # from at once to longer than QEMU's reconnect interval
            self.restart(running.kill, running, vm, away=0.3 * kill)
        self.progress(vm)
        self.assertEqual(ssd.ctl("counters")["clients"], KILLS + 1)
        vm.say("stop")
        vm.finish()
        self.settle(running, vm)
        ssd.stop()


class SsdFaults(SsdCase):
    def test_what_the_guest_does_not_notice(self):
        """Retries, aborts, resets: the verifier goes on, sees no error and no wrong data."""
        ssd, running, socket = self.serve_ssd(256, "timeout=1000")
        vm = self.linux("crash.sh", cpus=2, verifier=True)
        vm.add_disk(socket, num_queues=2).start()
        vm.wait_mark("in use")
        for rule in ("op=write,first=3,status=interrupted", "op=read,first=1,status=ns-not-ready,crd=1",
                     "op=write,first=1,delay=20s",  # beyond the deadline; can be aborted
                     "op=read,first=1,drop",  # cannot: the controller is reset
                     "op=write,first=2,drop", "op=write,first=1,cfs", "op=read,first=1,hang"):
            self.progress(vm, 1)
            self.wait_fired(ssd, ssd.fault(rule))
        self.progress(vm)
        vm.say("stop")
        vm.finish()
        log = running.log.read_text()
        for words in ("takes longer than", "reset: commands do not end", "reset: it reports a fatal error"):
            self.assertIn(words, log)
        self.settle(running, vm)
        ssd.stop()

    def errors(self, ssd, socket, rule, running):
        """A guest with a disk on SSD: errors at the start of the disk, then RULE and nothing but errors. The guest's name is VM."""
        vm = self.linux("ssd-errors.sh", cpus=2, verifier=True)
        vm.add_disk(socket, num_queues=2).start()
        vm.wait_mark("in use")
        self.wait_fired(ssd, ssd.fault(rule))
        self.wait_log(running, "its I/O ends with errors")
        vm.finish(io_errors=True)
        return vm

    def test_what_the_guest_is_told(self):
        """Errors of single blocks, and a controller that lies: that is its end."""
        ssd, running, socket = self.serve_ssd(64, "timeout=1000", ["--fault", "op=read,lba=98304-98312,status=read-error,dnr",
                                                                   "--fault", "op=write,lba=98312-98320,status=write-fault,dnr"])
        self.errors(ssd, socket, "first=1,dup", running).stop()
        running.stop()
        running.start()
        ssd.ctl("fault-remove", "all")
        ssd.fault("op=read,lba=98304-98312,status=read-error,dnr")
        ssd.fault("op=write,lba=98312-98320,status=write-fault,dnr")
        vm = self.errors(ssd, socket, "op=read,first=1,badcid", running)
        self.settle(running, vm)
        ssd.stop()

    def two(self, script):
        """A guest with a disk on an SSD and one on another."""
        ssds = [self.ssd(self.image(64, f"{name}.img"), name=name) for name in ("ssd0", "ssd1")]
        exports = [server.Export(f"vol{n}", None, [self.folder / f"vol{n}.sock"], uri=ssd.uri(1, "timeout=1000"))
                   for n, ssd in enumerate(ssds)]
        running = self.serve(*exports)
        vm = self.linux(script, cpus=2, verifier=True)
        for number, export in enumerate(exports):
            vm.add_disk(export.sockets[0], f"d{number}", num_queues=2)
        vm.start().wait_mark("in use")
        return ssds, running, vm

    def test_it_is_removed(self):
        """By surprise, under I/O: errors, for the next guest, too; the other disk does not notice."""
        ssds, running, vm = self.two("ssd-gone.sh")
        ssds[0].ctl("remove")
        self.wait_log(running, "its I/O ends with errors")
        vm.wait_mark("gone")
        running.rpc("framework_get_reactors")
        vm.say("stop")
        vm.say("end")
        vm.finish(io_errors=True)
        second = self.linux("ssd-failed.sh", name="second")
        second.add_disk(self.folder / "vol0.sock", num_queues=1).start()
        second.finish(io_errors=True)
        self.settle(running, vm, second)
        for ssd in ssds:
            ssd.stop()

    def test_it_is_killed(self):
        """kill -9 of the SSD's process is removal; a new one is there for the next nvringd, and the guest goes on."""
        ssds, running, vm = self.two("ssd-gone.sh")
        ssds[0].kill()
        self.wait_log(running, "its I/O ends with errors")
        vm.wait_mark("gone")
        ssds[0].start()
        vm.say("stop")
        vm.wait_mark("verified")
        running.stop()
        running.start()
        vm.say("back")
        vm.wait_mark("works again")
        vm.say("end")
        vm.finish(io_errors=True)
        self.settle(running, vm)
        for ssd in ssds:
            ssd.stop()


if __name__ == "__main__":
    case.main()
