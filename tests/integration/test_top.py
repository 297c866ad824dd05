#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring top: figures of a daemon under load, and the live view on a terminal."""

import codecs
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import unittest

from daemon_rig import NVRING, PATIENCE, DaemonCase, wait_for


class TopCase(DaemonCase):
    def serve(self):
        return self.start("--disk", "v=null:64M", "--vhost-user-blk", "v=v.sock")

    def load(self):
        """Reads until the test ends, and some of them have been served when this returns."""
        bench = subprocess.Popen([NVRING, "bench", str(self.path("v.sock")), "--rw", "randread", "--depth", "8",
                                  "--time", "3600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(bench.wait, PATIENCE)
        self.addCleanup(bench.kill)
        wait_for("I/O", lambda: json.loads(self.cli("disk", "stats", "-j"))["bdevs"][0]["num_read_ops"] > 100)
        return bench


class Once(TopCase):
    def look(self, *args):
        return json.loads(self.cli("top", "--once", "--json", *args))

    def test_under_load(self):
        daemon = self.serve()
        self.load()
        top = self.look()
        self.assertEqual(top["pid"], daemon.process.pid)
        self.assertGreaterEqual(top["seconds"], 1)
        (disk,) = top["disks"]
        self.assertEqual((disk["name"], disk["fresh"], disk["errors"]), ("v", False, 0))
        ios = disk["read"]["ios_per_s"]
        self.assertGreater(ios, 0)
        self.assertAlmostEqual(disk["read"]["bytes_per_s"] / ios, 4096, delta=200)
        self.assertGreater(disk["read"]["p50_ns"], 0)
        self.assertGreaterEqual(disk["read"]["p99_ns"], disk["read"]["p50_ns"])
        nothing = {"p50_ns": 0, "p99_ns": 0}
        self.assertEqual(disk["write"], {"ios_per_s": 0, "bytes_per_s": 0, **nothing, "scheduler": nothing,
                                         "driver": nothing, "notification": nothing})
        # a null disk with room for all: nobody waits, the driver has them all the time
        self.assertEqual(disk["read"]["scheduler"], nothing)
        self.assertEqual(disk["read"]["driver"], {key: disk["read"][key] for key in nothing})
        self.assertGreater(disk["read"]["notification"]["p50_ns"], 0)
        self.assertGreaterEqual(disk["read"]["notification"]["p99_ns"], disk["read"]["notification"]["p50_ns"])
        self.assertTrue(all(q["export"] == "v" and not q["fresh"] for q in top["queues"]), top)
        # the looks at disks and queues lie a moment apart: on a busy machine, a long one
        requests = sum(q["requests_per_s"] for q in top["queues"])
        self.assertGreater(requests, ios / 4)
        self.assertLess(requests, ios * 4)
        served = {q["reactor"] for q in top["queues"]}
        self.assertEqual(sum(r["queues"] for r in top["reactors"]), len(top["queues"]))
        self.assertEqual([r["name"] for r in top["reactors"]][-1], "nvringd")
        self.assertEqual(len({r["id"] for r in top["reactors"]}), len(top["reactors"]))
        for r in top["reactors"]:
            self.assertAlmostEqual(r["busy_percent"] + r["polling_percent"] + r["asleep_percent"], 100, delta=0.1)
            if r["id"] in served:
                self.assertGreater(r["busy_percent"], 0)

    def test_idle(self):
        self.start("--disk", "v=null:64M", "--disk", "w=null:1M", "--vhost-user-blk", "v=v.sock")
        top = self.look("--interval", "0.1")
        self.assertEqual([d["name"] for d in top["disks"]], ["v", "w"])
        self.assertEqual([d["read"]["ios_per_s"] for d in top["disks"]], [0, 0])
        self.assertEqual(top["queues"], [])

    def test_other_operations_and_errors(self):
        self.start("--disk", "v=fault:op=read,p=1,error=EIO@null:64M", "--vhost-user-blk", "v=v.sock")
        before = self.daemons[0].call("bdev_get_iostat", latency_buckets=True)["bdevs"][0]["operations"]["read"]
        self.assertEqual(before["latency_buckets"], [])
        subprocess.run([NVRING, "bench", str(self.path("v.sock")), "--rw", "randread", "--ios", "5"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        after = self.daemons[0].call("bdev_get_iostat", latency_buckets=True)["bdevs"][0]["operations"]["read"]
        self.assertEqual(sum(n for _, n in after["latency_buckets"]), after["ios"])
        self.assertGreater(after["ios"], 0)
        self.assertNotIn("latency_buckets", self.daemons[0].call("bdev_get_iostat")["bdevs"][0]["operations"]["read"])

    def test_limits(self):
        daemon = self.start("--disk", "v=null:64M", "--vhost-user-blk", "v=v.sock", "--disk", "w=null:64M")
        top = self.look("--interval", "0.1")
        for disk in top["disks"]:
            self.assertEqual([disk[key] for key in ("limits", "frozen", "delayed_per_s", "throttled_percent", "waiting")],
                             [{}, False, 0, 0, 0])
        self.assertNotIn("THROTTLED", self.cli("top", "--once", "--interval", "0.1"))
        self.assertEqual(top["groups"], [])
        daemon.call("qos_create_group", name="gold", iops=1000000)
        daemon.call("bdev_set_qos", name="v", iops=100, read_bps="10M", group="gold")
        self.load()
        disk, other = self.look()["disks"]
        self.assertEqual(disk["limits"], {"iops": 100, "read_bps": 10 << 20, "group": "gold"})
        self.assertGreater(disk["delayed_per_s"], 0)
        self.assertGreater(disk["throttled_percent"], 0)
        self.assertLessEqual(disk["waiting"], 8)  # the depth of the load
        self.assertEqual((other["limits"], other["delayed_per_s"]), ({}, 0))
        # who is under no limit but that of the group waits there
        daemon.call("bdev_set_qos", name="v", iops=None, read_bps=None)
        daemon.call("qos_set_group", name="gold", iops=50)
        top = self.look()
        (group,) = top["groups"]
        self.assertEqual((group["name"], group["disks"], group["limits"]), ("gold", 1, {"iops": 50}))
        self.assertGreater(group["delayed_per_s"], 0)
        self.assertGreater(group["throttled_percent"], 0)
        self.assertLessEqual(group["waiting"], 8)
        self.assertEqual(top["disks"][0]["limits"], {"group": "gold"})
        daemon.call("bdev_set_qos", name="v", iops=100, read_bps="10M")
        daemon.call("bdev_freeze", name="w")
        out = self.cli("top", "--once")
        self.assertRegex(out, r"(?m)^DISK +DELAYED/s +THROTTLED % +WAITING +LIMITS$")
        self.assertRegex(out, r"(?m)^v +\d+(\.\d)? +\d+\.\d +\d +iops 100, read_bps 10 MiB/s, group gold$")
        self.assertRegex(out, r"(?m)^w +0 +0\.0 +0 +frozen$")
        self.assertRegex(out, r"(?m)^GROUP +DISKS +DELAYED/s +THROTTLED % +WAITING +LIMITS$")
        self.assertRegex(out, r"(?m)^gold +1 +\d+(\.\d)? +\d+\.\d +\d +iops 50$")

    def test_tables(self):
        self.serve()
        self.load()
        out = self.cli("top", "--once", "--interval=0.5")
        self.assertRegex(out, r"(?m)^REACTOR +NAME +CPU +MODE +BUSY % +POLLING % +ASLEEP % +QUEUES$")
        self.assertRegex(out, r"(?m)^v +[1-9]\d*(\.\d)? ")
        self.assertRegex(out, r"(?m)^v +0 +\d+ +(\d+|-) +[1-9]\d*(\.\d)? .* \d+$")
        self.assertRegex(out, r"(?m)^ +\d+  nvringd +- ")
        self.assertNotIn("\x1b", out)
        out = self.cli("top", "--once", "--interval=0.5", "--latency")
        self.assertRegex(out, r"(?m)^DISK +OPERATION +IO/s +P50 +P99 +SCHED P50 +P99 +DRIVER P50 +P99 +NOTIFY P50 +P99$")
        self.assertRegex(out, r"(?m)^v +read +[1-9]\d*(\.\d)?  .* - +- .*s$")
        self.assertNotRegex(out, r"(?m)^v +write ")
        self.assertNotIn("READ/s", out)

    def test_time_in_the_scheduler(self):
        self.start("--disk", "v=fault:delay=2ms@null:64M?depth=1", "--vhost-user-blk", "v=v.sock")
        self.load()
        read = self.look()["disks"][0]["read"]
        self.assertGreater(read["driver"]["p50_ns"], 1_900_000)
        self.assertGreater(read["scheduler"]["p50_ns"], read["driver"]["p50_ns"])
        self.assertGreater(read["p50_ns"], read["scheduler"]["p50_ns"])

    def test_refusals(self):
        for args, said in ((["--json"], "nvring: --json needs --once: a live view is for people\n"),
                           ([], "nvring: the live view needs a terminal: use --once\n"),
                           (["--interval", "0"], "nvring: --interval: seconds from 0.1 to 3600, not '0'\n"),
                           (["--interval", "nan"], "nvring: --interval: seconds from 0.1 to 3600, not 'nan'\n"),
                           (["--once", "--interval", "1s"], "nvring: --interval: seconds from 0.1 to 3600, not '1s'\n"),
                           (["--twice"], "nvring: unknown option '--twice' (try 'nvring top --help')\n")):
            self.assertEqual(self.cli("top", *args, status=2), said)

    def test_no_daemon(self):
        self.assertIn("is nvringd running?", self.cli("top", "--once", status=3))


class Terminal:
    """nvring on a terminal of its own; what it has written so far is in `text`."""

    def __init__(self, *args, term="xterm", rows=24, columns=120):
        self.master, slave = pty.openpty()
        self.columns = columns
        self.resize(rows, slave)
        self.before = termios.tcgetattr(slave)
        self.text = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may come in pieces, too
        self.process = subprocess.Popen([NVRING, *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={**os.environ, "TERM": term, "LC_ALL": "C.UTF-8"})
        self.slave = slave

    def resize(self, rows, fd=None):
        fcntl.ioctl(fd if fd is not None else self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, self.columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.05)[0]:
            self.text += self.decoder.decode(os.read(self.master, 65536))
        return self.text

    def press(self, keys):
        os.write(self.master, keys)

    def forget(self):
        self.read()
        self.text = ""

    def redrawn(self):
        """The whole screen: ncurses itself writes only what has changed. One that comes in pieces is asked for again."""
        self.forget()
        self.press(b"\x0c")
        return self.read()

    def shows(self, what, but_not=None):
        """In one screen: a slow one is asked for again while the last still comes."""
        try:
            wait_for(what, lambda: what in self.redrawn() and (not but_not or but_not not in self.text))
        except AssertionError:
            raise AssertionError(f"{what!r} is not in {self.text!r}") from None

    def ends(self):
        """Its exit status; reads meanwhile, so that it can write."""
        wait_for("the end of nvring top", lambda: (self.read(), self.process.poll() is not None)[1])
        return self.process.returncode

    def is_restored(self):
        self.read()
        return termios.tcgetattr(self.slave) == self.before and self.text.rfind("\x1b[?1049l") > self.text.rfind("\x1b[?1049h")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        os.close(self.master)
        os.close(self.slave)


class Live(TopCase):
    def open(self, *args, **options):
        terminal = Terminal("-s", self.path("rpc.sock"), "top", "--interval", "0.1", *args, **options)
        self.addCleanup(terminal.close)
        return terminal

    def test_draws_and_quits(self):
        self.serve()
        self.load()
        terminal = self.open()
        for what in ("BUSY %", "READ/s", "REQUESTS/s", "q quit"):
            terminal.shows(what)
        self.assertNotEqual(termios.tcgetattr(terminal.slave), terminal.before)
        terminal.press(b"q")
        self.assertEqual(terminal.ends(), 0)
        self.assertTrue(terminal.is_restored(), terminal.text)

    def test_where_the_latencies_come_from(self):
        self.serve()
        self.load()
        terminal = self.open()
        terminal.shows("READ/s")
        terminal.press(b"l")
        terminal.shows("DRIVER P50", but_not="READ/s")
        terminal.press(b"l")
        terminal.shows("READ/s", but_not="DRIVER P50")
        terminal.press(b"q")
        self.assertEqual(terminal.ends(), 0)
        terminal = self.open("--latency")
        terminal.shows("NOTIFY P50", but_not="READ/s")

    def test_wide_characters_are_cut_by_columns(self):
        wide = "\u78c1" * 20
        os.symlink(self.path("."), self.path(wide))
        self.serve()
        terminal = Terminal("-s", self.path(wide) / "rpc.sock", "top", "--interval", "0.1", columns=115)
        self.addCleanup(terminal.close)
        terminal.shows("BUSY %")
        self.daemons[-1].stop(signal.SIGTERM)
        terminal.shows(f"{wide}/rpc.sock")  # more than 115 bytes, fewer columns
        terminal.press(b"\x1bOC" * 8)  # 64 columns to the right: somewhere among them, or in the middle of one
        terminal.shows("\u78c1/rpc.sock", but_not="Trying again")
        self.assertNotIn("\ufffd", terminal.text)

    def test_scrolls_and_follows_the_size(self):
        self.start(*(word for i in range(40) for word in ("--disk", f"disk{i}=null:1M")))
        terminal = self.open()
        terminal.shows("disk3", but_not="disk39")
        terminal.press(b"\x1b[6~" * 5)
        terminal.shows("disk39")
        terminal.press(b"\x1b[5~" * 9)
        terminal.shows("BUSY %", but_not="disk39")
        terminal.press(b"\x1bOB" * 60)
        terminal.shows("disk39")
        terminal.press(b"\x1bOC")
        terminal.shows("QUEUE  REACTOR", but_not="EXPORT")
        terminal.press(b"\x1bOD" * 2 + b"\x1bOA" * 60)
        terminal.shows("nvringd, pid", but_not="disk39")
        terminal.resize(80)
        terminal.shows("disk39")
        terminal.resize(1)
        terminal.resize(2)
        terminal.press(b"x\x1b[6~q")
        self.assertEqual(terminal.ends(), 0)

    def test_outlives_the_daemon(self):
        daemon = self.serve()
        terminal = self.open()
        terminal.shows("BUSY %")
        daemon.stop(signal.SIGTERM)
        terminal.shows("Trying again: cannot reach nvringd")
        self.assertIsNone(terminal.process.poll())
        self.serve()
        terminal.shows("BUSY %")
        terminal.press(b"q")
        self.assertEqual(terminal.ends(), 0)

    def test_signals_give_the_terminal_back(self):
        self.serve()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's way is inherited
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            terminal = self.open()
            terminal.shows("BUSY %")
            terminal.process.send_signal(signo)
            self.assertEqual(terminal.ends(), -signo)
            self.assertTrue(terminal.is_restored(), terminal.text)

    def test_a_daemon_that_hangs(self):
        daemon = self.serve()
        terminal = self.open("--timeout", "2")
        terminal.shows("BUSY %")
        daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(daemon.process.send_signal, signal.SIGCONT)
        terminal.shows("timed out")
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.ends(), -signal.SIGTERM)
        self.assertTrue(terminal.is_restored(), terminal.text)
        daemon.process.send_signal(signal.SIGCONT)

    def test_no_daemon_and_no_known_terminal(self):
        terminal = self.open()
        self.assertEqual(terminal.ends(), 3)
        self.assertIn("is nvringd running?", terminal.read())
        self.assertNotIn("\x1b", terminal.text)
        self.serve()
        terminal = self.open(term="nosuchterm")
        self.assertEqual(terminal.ends(), 2)
        self.assertIn("no terminal that is known (TERM=nosuchterm)", terminal.read())


if __name__ == "__main__":
    unittest.main()
