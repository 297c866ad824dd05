#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Disks whose way fails under load: it is survived, or ends in time; all data is what was written."""

import os
import signal
import subprocess
import time
import unittest

from daemon_rig import NVRING, PATIENCE, RpcError, wait_for
from test_limits import DEPTH, LoadCase
from test_nvme import NvmeCase

NVRING_SSD = os.environ.get("NVRING_SSD", "nvring-ssd")
OUTAGE_NS = 1000000000
STANDSTILL = 13  # seconds, in which the keeper asks for the status: longer than the first answer of a server may take


class PathCase(LoadCase):
    name = "a"

    def stats(self):
        return self.daemon.call("bdev_get_iostat", name=self.name)["bdevs"][0]

    def errors(self):
        return sum(op["errors"] for op in self.stats()["operations"].values())

    def was_requeued(self, more_than=0):
        return wait_for("I/O that comes back", lambda: self.stats()["requeued"] > more_than)

    def fails(self, *options):
        """A load that cannot go on; what it says."""
        done = subprocess.run([NVRING, "bench", f"{self.name}.sock", "--ios", "32", "--depth", str(DEPTH), "--warmup", "0", *options],
                              cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stdout

    def verified(self, *options):
        self.cli("bench", self.path(f"{self.name}.sock"), "--rw", "randrw", "--ios", "4000", "--depth", DEPTH, "--verify", *options)


class Fault(PathCase):
    def serve_faulty(self, rules="", on="ram:8M", **granted):
        self.daemon = self.start("--disk", f"a=fault:{rules}@{on}", "--vhost-user-blk", "a=a.sock")
        if granted:
            self.daemon.call("bdev_set_qos", name="a", **granted)

    def rules(self, rules=""):
        self.daemon.call("fault_set_rules", name="a", **({"rules": rules} if rules else {}))

    def test_a_second_without_a_way(self):
        self.serve_faulty()
        bench = self.load("a", "--queues", "2", "--flush-every", "20")
        self.goes_on("a")
        self.rules("path,for=1s")
        self.was_requeued()
        self.goes_on("a")
        self.assertEqual(self.errors(), 0)
        # the I/O that it began with had to wait for all of it, and the time is in the latency: before the driver had it
        for part in ("latency_ns", "scheduler_ns"):  # soon: that of the other queue, which began later, may end first
            wait_for(part, lambda: max(op[part]["max"] for op in self.stats()["operations"].values()) >= 0.9 * OUTAGE_NS)
        self.assertIn("REQUEUED", self.cli("disk", "stats", "a"))
        self.ends_well(bench)
        self.assertEqual(self.errors(), 0)

    def test_some_fail(self):
        for rules in ("path,first=200", "path,p=5%,seed=3", "op=write,path,every=9", "op=flush,path,p=50%"):
            self.serve_faulty(rules, on="file:" + str(self.image(megabytes=8)) + "?merge=1")
            self.verified("--rw", "rw", "--flush-every", "50", "--size", "1M", "--ios", "2000")
            self.assertGreater(self.stats()["requeued"], 0, rules)
            self.assertEqual(self.errors(), 0)
            self.assertEqual(self.daemon.stop()[0], 0)

    def test_large_io_in_pieces(self):
        self.serve_faulty("path,p=30%", on="file:" + str(self.image(megabytes=16)))
        self.verified("--bs", "1M", "--size", "16M", "--ios", "200")
        self.assertGreater(self.stats()["requeued"], 0)

    def test_within_a_limit(self):
        self.serve_faulty("path,p=10%", iops=2000)
        bench = self.load()
        self.was_requeued(20)
        self.keeps("a", rate=2000)
        self.daemon.call("bdev_set_qos", name="a", iops=None)
        self.ends_well(bench)
        self.assertEqual(self.errors(), 0)

    def test_it_fails_when_its_time_is_over(self):
        self.serve_faulty("path,error=ENODEV", path_timeout_ms=300)
        self.assertRegex(self.cli("disk", "limit", "a"), r"path_timeout_ms +300\.0 ms")
        self.fails()
        stats = self.stats()
        self.assertGreater(stats["operations"]["read"]["errors"], 0)
        self.assertGreater(stats["requeued"], 0)
        self.assertGreaterEqual(stats["operations"]["read"]["latency_ns"]["max"], 0.28 * OUTAGE_NS)
        self.rules()
        self.verified()

    def test_off(self):
        self.serve_faulty("path", path_timeout_ms=0)
        self.assertRegex(self.cli("disk", "limit", "a"), r"path_timeout_ms +off")
        self.fails()
        self.assertEqual(self.stats()["requeued"], 0)
        # the default is half a minute; off again, what waits fails
        self.cli("disk", "limit", "a", "--path-timeout-ms", "none")
        self.assertRegex(self.cli("disk", "limit", "a"), r"path_timeout_ms +30 s \(default\)")
        bench = self.load()
        self.was_requeued()
        self.cli("disk", "limit", "a", "--path-timeout-ms", "0")
        wait_for("errors", self.errors)
        bench.terminate()
        bench.communicate(timeout=PATIENCE)

    def stuck(self):
        """A load whose I/O waits for the way, for half a minute if nobody ends it."""
        bench = self.load("a", "--queues", "2")
        self.goes_on("a")
        before = self.stats()["requeued"]
        self.rules("path")
        self.was_requeued(before)
        return bench

    def test_the_end_does_not_wait_for_the_way(self):
        self.serve_faulty()
        bench = self.stuck()
        self.daemon.call("vhost_delete_controller", ctrlr="a")
        bench.communicate(timeout=PATIENCE)
        self.daemon.call("bdev_delete", name="a")
        self.daemon.call("bdev_create", name="a", uri="fault:@ram:8M")
        self.daemon.call("vhost_create_blk_controller", ctrlr="a", dev_name="a", socket=str(self.path("a.sock")))
        bench = self.stuck()
        self.assertEqual(self.daemon.stop()[0], 0)
        bench.communicate(timeout=PATIENCE)

    def test_frozen_and_moved_meanwhile(self):
        self.serve_faulty()
        bench = self.load("a", "--queues", "2")
        self.goes_on("a")
        self.rules("path")
        self.was_requeued()
        self.assertIs(self.daemon.call("bdev_freeze", name="a"), True)  # the device has none of it
        self.rules()
        frozen = self.counts("a")
        self.assertEqual(self.counts("a"), frozen)
        self.daemon.call("bdev_thaw", name="a")
        self.goes_on("a")
        before = self.stats()["requeued"]
        self.rules("path,for=1s")
        self.was_requeued(before)
        for queue in (0, 1):
            try:
                self.daemon.call("vhost_move_queue", ctrlr="a", queue=queue, reactor=0)
            except RpcError as err:  # it is there, or there is no other reactor
                self.assertNotIn("no queue", err.message)
        self.goes_on("a")
        self.ends_well(bench)
        self.assertEqual(self.errors(), 0)


class Nvme(PathCase, NvmeCase):
    name = "s"

    def serve_ssd(self, *options):
        self.ctl_path = self.path("ctl")
        address = self.ssd("ssd", ("8M",), "--ctl", self.ctl_path, *options)
        self.daemon = self.start("--disk", f"s=nvme+{address}/1", "--vhost-user-blk", "s=s.sock")

    def ctl(self, *words):
        done = subprocess.run([NVRING_SSD, "ctl", self.ctl_path, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def outage(self, status):
        """All I/O fails with it, each more often than the driver by itself tries again, until some have waited long."""
        before = self.stats()["requeued"]
        self.ctl("fault", f"queue=io,status={status}")
        self.was_requeued(before + 5 * DEPTH)

    def survives(self, *statuses):
        bench = self.load("s", "--queues", "2", "--flush-every", "20")
        self.goes_on("s")
        for status in statuses:
            self.outage(status)
            self.ctl("fault-remove", "all")
            self.goes_on("s")
        self.ends_well(bench)
        self.assertEqual(self.errors(), 0)

    def test_a_while_without_a_way(self):
        self.serve_ssd()
        self.survives("path-error", "path-inaccessible", "path-transition", "path-lost", "path-internal", "path-host", "0x37f")

    def test_two_threads_on_one_queue(self):
        self.serve_ssd("--queues", "1")
        self.survives("path-error", "path-transition")

    def test_a_second_without_a_way(self):
        """I/O that fails for as long as that, and is tried all the time."""
        self.serve_ssd()
        bench = self.load("s")
        self.goes_on("s")
        self.ctl("fault", "queue=io,status=path-error")
        self.was_requeued()
        time.sleep(OUTAGE_NS / 1e9)
        self.ctl("fault-remove", "all")
        self.goes_on("s")
        self.assertEqual(self.errors(), 0)
        wait_for("waiters", lambda: 0.8 * OUTAGE_NS <= max(op["latency_ns"]["max"] for op in self.stats()["operations"].values()))
        self.ends_well(bench)

    def test_a_reset_meanwhile(self):
        self.serve_ssd()
        bench = self.load("s")
        self.goes_on("s")
        self.outage("path-error")
        self.cli("nvme", "reset", "s", "--force", "--force-exported")
        self.ctl("fault-remove", "all")
        self.goes_on("s")
        self.ends_well(bench)
        self.assertEqual(self.errors(), 0)

    def test_it_fails_when_its_time_is_over(self):
        self.serve_ssd("--fault", "queue=io,status=path-error")
        self.daemon.call("bdev_set_qos", name="s", path_timeout_ms=300)
        self.fails()
        self.assertGreater(self.errors(), 0)
        self.assertGreater(self.stats()["requeued"], 0)
        self.ctl("fault-remove", "all")
        self.verified("--size", "256k")

    def test_an_ssd_that_stands_still_is_waited_for(self):
        """As long as I/O may take: a process that gets no CPU is not dead."""
        self.serve_ssd()
        bench = self.load("s")
        self.goes_on("s")
        self.ssds[0].send_signal(signal.SIGSTOP)
        time.sleep(STANDSTILL)
        self.ssds[0].send_signal(signal.SIGCONT)
        self.goes_on("s")
        self.ends_well(bench)
        self.assertEqual(self.errors(), 0)

    def test_an_ssd_that_goes_is_not_waited_for(self):
        self.serve_ssd("--fault", "queue=io,status=path-error")
        self.daemon.call("bdev_set_qos", name="s", path_timeout_ms=86400000)
        bench = self.load("s")
        self.was_requeued(DEPTH)
        self.assertEqual(self.errors(), 0)
        self.ctl("remove")
        wait_for("the end of all of them", lambda: self.errors() >= DEPTH)
        bench.terminate()
        bench.communicate(timeout=PATIENCE)

    def test_do_not_retry_is_believed(self):
        self.serve_ssd("--fault", "queue=io,status=path-error,dnr")
        self.fails()
        self.assertEqual(self.stats()["requeued"], 0)


if __name__ == "__main__":
    unittest.main()
