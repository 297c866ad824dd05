#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No line of memory is written by two data threads while they do I/O: every store of the daemon is looked at.

nvringd runs in valgrind's lackey, which writes down each instruction, each store, and which thread has the processor. Queues of
one disk are driven, in turn on the one reactor and on the other. From when all run until they have done some requests each, the lines
of memory that one thread has written are compared with those of the other: they have none in common. What the kernel and the SSD write is
not seen.

By hand, of a trace that was kept: test_lines.py TRACE [FROM [TO]] (bytes)
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from daemon_rig import NVRINGD, LoadCase, listens, wait_for

LINE_BYTES = 64
REQUESTS = 50  # of each queue
ASK_EVERY = 0.5  # seconds: a question costs the daemon more than a request
UNDER_VALGRIND = 600  # seconds: fifty times slower, and not alone on the machine
CONTROL = 1  # the first thread
# fair-sched: one thread runs at a time, and one that spins would keep the others waiting for its place
LACKEY = ("valgrind", "--tool=lackey", "--fair-sched=try", "--trace-mem=yes", "--trace-sched=yes")
# Not looked at: registers of a device, which no cache holds (the doorbells of two queues lie on one line), and the data of
# a disk in memory, where the guest says who writes which block.
NOT_OURS = ("/memfd:nvring-ssd-bar0", "/memfd:nvring-ram")
# Symbols are looked up once, before: the loader keeps them where every thread writes.
ENVIRONMENT = {"LD_BIND_NOW": "1"}


class Writers:
    """Of each line of memory: the threads that wrote to it, and the instructions that did."""

    def __init__(self, trace):
        """@trace: lackey's output, lines of bytes. What comes before the first change of thread is nobody's."""
        self.lines = collections.defaultdict(lambda: collections.defaultdict(set))
        self.stores = collections.Counter()
        thread = instruction = None
        for text in trace:
            if text.startswith(b"I "):
                instruction = text[2:].split(b",")[0]
            elif text.startswith((b" S", b" M")):
                if thread is not None:
                    self.store(thread, instruction, text[2:])
            elif b"acquired lock" in text:
                thread = int(re.search(rb"SCHED\[(\d+)\]", text).group(1))

    def store(self, thread, instruction, text):
        address, size = text.split(b",")
        address = int(address, 16)
        self.stores[thread] += 1
        for line in range(address // LINE_BYTES, (address + int(size) - 1) // LINE_BYTES + 1):
            self.lines[line][thread].add(int(instruction, 16))

    def shared(self):
        """{address: {thread: instructions}} of the lines that two threads other than the first have written."""
        return {line * LINE_BYTES: threads for line, threads in sorted(self.lines.items())
                if len(set(threads) - {CONTROL}) > 1}


def part(path, start=0, end=None):
    with open(path, "rb") as file:
        file.seek(start)
        return file.read() if end is None else file.read(end - start)


class Maps:
    """The files that a process has mapped, to tell what an instruction is of, and a line."""

    def __init__(self, pid):
        self.ranges = []
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="ascii", errors="replace").splitlines():
            words = line.split(maxsplit=5)
            if len(words) == 6 and words[5].startswith("/"):
                first, last = (int(x, 16) for x in words[0].split("-"))
                self.ranges.append((first, last, int(words[2], 16), words[5]))

    def is_not_ours(self, address):
        return any(first <= address < last and path.startswith(NOT_OURS) for first, last, _, path in self.ranges)

    def name(self, address):
        for first, last, off, path in self.ranges:
            if first <= address < last:
                done = subprocess.run(["addr2line", "-f", "-s", "-e", path, hex(address - first + off)], check=False,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                return f"{os.path.basename(path)}: " + " ".join(done.stdout.split("\n")[:2])
        return hex(address)


class Reading(unittest.TestCase):
    """Does it find what it is to find?"""

    TRACE = b""" S 1000,8
--7--   SCHED[2]:  acquired lock (VG_(client_syscall)[async])
I  0400,3
 S 1008,8
 L 1040,8
I  0403,4
 M 107c,4
--7--   SCHED[2]: releasing lock (VG_(vg_yield)) -> VgTs_Yielding
--7--   SCHED[3]:  acquired lock (VG_(vg_yield))
I  0500,3
 S %s,8
 L 1008,8
--7--   SCHED[1]:  acquired lock (VG_(vg_yield))
I  0600,3
 S 1010,4
 S 2000,4
"""

    def shared(self, address):
        return Writers((self.TRACE % address).splitlines()).shared()

    def test_apart(self):
        self.assertEqual(self.shared(b"1080"), {})
        self.assertEqual(self.shared(b"0ff8"), {})
        self.assertEqual(self.shared(b"2000"), {})  # shared with the control thread: that is no data path

    def test_on_one_line(self):
        self.assertEqual(set(self.shared(b"1038")), {0x1000})
        self.assertEqual(self.shared(b"1040"), {0x1040: {2: {0x403}, 3: {0x500}}})

    def test_across_two_lines(self):
        self.assertEqual(set(self.shared(b"103c")), {0x1000, 0x1040})
        self.assertEqual(set(self.shared(b"0ffc")), {0x1000})


class Lines(LoadCase):
    def setUp(self):
        super().setUp()
        if b"__asan_init" in part(NVRINGD) or b"__tsan_init" in part(NVRINGD):
            self.skipTest("valgrind runs no program of a sanitizer")
        if not shutil.which("valgrind"):
            self.skipTest("no valgrind here")
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one CPU, one reactor")

    def requests(self, daemon):
        """Of each queue that runs."""
        sessions = daemon.call("vhost_get_controllers")[0]["sessions"]
        return [q["requests"] for q in sessions[0]["queues"] if q["started"]] if sessions else []

    def none_is_shared(self, disk, *options, mode="interrupt", queues=4):
        trace = self.path("trace")
        daemon = self.start("--disk", f"a={disk}", "--vhost-user-blk", f"a=a.sock,queues={queues}", "--mode", mode, "--rebalance", "off",
                            wrap=(*LACKEY, f"--log-file={trace}"), env=ENVIRONMENT)
        bench = self.endless("a.sock", "--queues", queues, "--depth", "8", "--eventfd", "--rw", "randrw", "--bs", "512", *options)

        def all_did(n, since):
            self.assertIsNone(bench.poll(), bench.poll() is not None and bench.communicate())
            done = self.requests(daemon)
            return len(done) == queues and all(now >= then + n for now, then in zip(done, since))
        wait_for("the queues", lambda: all_did(20, [0] * queues), ASK_EVERY, UNDER_VALGRIND)
        self.assertEqual(set(self.places(daemon).values()), {0, 1})
        start, first = trace.stat().st_size, self.requests(daemon)
        wait_for("requests", lambda: all_did(REQUESTS, first), ASK_EVERY, UNDER_VALGRIND)
        end = trace.stat().st_size
        maps = Maps(daemon.process.pid)
        bench.terminate()
        bench.communicate()
        daemon.stop()
        writers = Writers(part(trace, start, end).splitlines())
        busy = [t for t, n in writers.stores.items() if t != CONTROL and n > 100 * REQUESTS]
        self.assertGreaterEqual(len(busy), 2, writers.stores)  # both are in the picture
        found = []
        for address, threads in writers.shared().items():
            who = {t: sorted({maps.name(i) for i in code}) for t, code in threads.items()}
            if not maps.is_not_ours(address):
                found.append(f"{address:#x}: " + "; ".join(f"thread {t}: {', '.join(names)}" for t, names in who.items()))
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_memory(self):
        self.none_is_shared("ram:16M", "--packed", mode="adaptive")

    def test_file(self):
        self.none_is_shared(f"file:{self.image()}")

    def test_nvme(self):
        self.image("ssd.img", 64)
        ssd = subprocess.Popen([os.environ["NVRING_SSD"], "--socket", self.path("ssd.sock"), "--ns", "ssd.img"], cwd=self.folder,
                               stdin=subprocess.DEVNULL)
        self.addCleanup(ssd.wait)
        self.addCleanup(ssd.terminate)
        wait_for("the SSD", lambda: listens(self.path("ssd.sock")))
        self.none_is_shared(f"nvme+vfio-user:{self.path('ssd.sock')}/1")


if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
        for at, who in Writers(part(sys.argv[1], *map(int, sys.argv[2:])).splitlines()).shared().items():
            print(hex(at), {t: [hex(i) for i in sorted(code)] for t, code in who.items()})
    else:
        unittest.main()
