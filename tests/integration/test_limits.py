#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Limits, groups and freezes with load on the disks. Judged by counts: no I/O too many in the time that has passed; how many
too few depends on the machine, so there it is only asked that they go on."""

import re
import subprocess
import threading
import time
import unittest

from daemon_rig import NVRING, PATIENCE, DaemonCase, RpcError, wait_for

DEPTH = 8
WINDOW = 0.25  # seconds that are counted at once
LIMIT_SECONDS = 5  # of a freeze that ends well before
# A change of the reactors' parts takes a period, and what was let through before the window ends in it.
SLACK_SECONDS = 0.02
BLOCK = 4096
BLOCKS = 64


class LoadCase(DaemonCase):
    def setUp(self):
        super().setUp()
        self.benches = []
        self.addCleanup(self._end_benches)

    def _end_benches(self):
        for bench in self.benches:
            if bench.poll() is None:
                bench.kill()
            bench.communicate(timeout=PATIENCE)

    def serve(self, *names, size="8M"):
        args = [a for name in names for a in ("--disk", f"{name}=ram:{size}", "--vhost-user-blk", f"{name}={name}.sock")]
        self.daemon = self.start(*args)
        return self.daemon

    def load(self, name="a", *options):
        """Verified I/O until the test ends it."""
        bench = subprocess.Popen(
            [NVRING, "bench", f"{name}.sock", "--rw", "randrw", "--mix", "50", "--verify", "--time", "60m", "--warmup", "0",
             "--depth", str(DEPTH), "--size", str(BLOCKS * BLOCK), *options],  # few blocks: most reads meet one that was written
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        bench.disk = name
        self.benches.append(bench)
        return bench

    def ends_well(self, *benches):
        """Ends the load, after so much of it that many blocks were written and read: nothing was lost, and all data is
        what was written."""
        for bench in benches:
            before = self.counts(bench.disk)
            wait_for("more I/O", lambda: all(a > b + 4 * BLOCKS for a, b in zip(self.counts(bench.disk), before)))
            bench.terminate()
        for bench in benches:
            out, err = bench.communicate(timeout=PATIENCE)
            self.assertEqual(bench.returncode, 0, out + err)
            verified = re.search(r"verified +(\d+) blocks, 0 bad", out)
            self.assertTrue(verified and int(verified[1]) > 0, out)

    def counts(self, *names):
        """Reads and writes that have ended, of all these disks."""
        stats = {d["name"]: d for d in self.daemon.call("bdev_get_iostat")["bdevs"]}
        return [sum(stats[n][f"num_{op}_ops"] for n in names) for op in ("read", "write")]

    def window(self, *names):
        """What ended within some time; and the time, rather too long than too short."""
        start = time.monotonic()
        before = self.counts(*names)
        time.sleep(WINDOW)
        after = self.counts(*names)
        return [b - a for a, b in zip(before, after)], time.monotonic() - start

    def is_kept(self, names, rate, burst=0, of=sum, queues=1):
        done, seconds = self.window(*names)
        return of(done) <= rate * (seconds + SLACK_SECONDS) + 2 * burst + 2 * DEPTH * queues * len(names)

    def keeps(self, *names, **limit):
        """In force soon (a change is a message to the reactors), and from then on; and I/O goes on."""
        wait_for(f"{limit} in force", lambda: self.is_kept(names, **limit))
        for _ in range(3):
            self.assertTrue(self.is_kept(names, **limit), limit)
        self.goes_on(*names)

    def goes_on(self, *names):
        for name in names:
            before = self.counts(name)
            bench = [bench for bench in self.benches if bench.disk == name][-1]

            def more():
                if bench.poll() is not None:
                    raise AssertionError(f"the load of {name} has ended, {bench.returncode}: {bench.communicate()}")
                return all(a > b for a, b in zip(self.counts(name), before))
            wait_for("I/O", more)

    def exceeds(self, rate, *names):
        """More than a limit of @rate would have let through."""
        wait_for(f"more than {rate} per second", lambda: not self.is_kept(names, rate))

    def waits(self, name="a"):
        return self.daemon.call("bdev_get_bdevs", name=name)[0]["qos_stats"]


class Limits(LoadCase):
    def test_set_changed_and_removed_under_load(self):
        self.serve("a")
        bench = self.load()
        self.goes_on("a")
        self.assertEqual(self.waits()["delayed"], 0)
        self.daemon.call("bdev_set_qos", name="a", iops=200)
        self.keeps("a", rate=200)
        stats = self.waits()
        self.assertGreater(stats["delayed"], 0)
        self.assertGreater(stats["throttled_us"], 0)
        self.assertLessEqual(stats["waiting"], DEPTH)
        wait_for("I/O that waits", lambda: self.waits()["waiting"])
        self.daemon.call("bdev_set_qos", name="a", iops=50)
        self.keeps("a", rate=50)
        self.daemon.call("bdev_set_qos", name="a", iops=None)
        self.exceeds(50, "a")
        wait_for("nothing that waits", lambda: not self.waits()["waiting"])
        delayed = self.waits()["delayed"]
        self.goes_on("a")
        self.assertEqual(self.waits()["delayed"], delayed)
        self.ends_well(bench)

    def test_of_bytes_and_of_one_direction(self):
        self.serve("a")
        bench = self.load()
        self.daemon.call("bdev_set_qos", name="a", write_bps=100 * BLOCK)
        self.keeps("a", rate=100, of=lambda done: done[1])
        self.daemon.call("bdev_set_qos", name="a", write_bps=None, read_iops=100)
        self.keeps("a", rate=100, of=lambda done: done[0])
        self.daemon.call("bdev_set_qos", name="a", read_iops=None, bps=200 * BLOCK, bps_burst=50 * BLOCK)
        self.keeps("a", rate=200, burst=50)
        self.daemon.call("bdev_set_qos", name="a", bps=None)
        self.ends_well(bench)

    def test_over_two_queues(self):
        self.serve("a")
        self.daemon.call("bdev_set_qos", name="a", iops=400)
        bench = self.load("a", "--queues", "2")
        self.keeps("a", rate=400, queues=2)
        self.daemon.call("bdev_set_qos", name="a", iops=None)
        self.ends_well(bench)

    def test_a_group_of_two(self):
        self.serve("a", "b")
        self.daemon.call("qos_create_group", name="g", iops=400)
        benches = [self.load("a"), self.load("b")]
        for name in "ab":
            self.goes_on(name)
            self.daemon.call("bdev_set_qos", name=name, group="g")
        self.keeps("a", "b", rate=400)
        # one of them besides on its own, the other with a minimum
        self.daemon.call("bdev_set_qos", name="a", iops=50)
        self.daemon.call("bdev_set_qos", name="b", min_iops=200)
        self.keeps("a", rate=50)
        self.keeps("a", "b", rate=400)
        self.daemon.call("qos_set_group", name="g", iops=200)
        self.keeps("a", "b", rate=200)
        stats = self.daemon.call("qos_get_groups")[0]["qos_stats"]
        self.assertGreater(stats["delayed"], 0)
        with self.assertRaisesRegex(RpcError, "group g has 2 disks"):
            self.daemon.call("qos_delete_group", name="g")
        self.daemon.call("bdev_set_qos", name="b", group=None, min_iops=None)
        self.exceeds(200, "b")
        self.keeps("a", rate=50)
        self.daemon.call("bdev_set_qos", name="a", group=None, iops=None)
        self.exceeds(50, "a")
        self.daemon.call("qos_delete_group", name="g")
        self.ends_well(*benches)

    def test_impossible_ones_change_nothing_under_load(self):
        self.serve("a")
        self.daemon.call("bdev_set_qos", name="a", iops=200)
        bench = self.load()
        for bad in ({"iops": 0}, {"iops": 5000, "read_bps": -1}, {"iops": 5000, "group": "none such"},
                    {"iops": 5000, "min_iops": 5}, {"iops": 5000, "write_iops_burst": 5}):
            with self.assertRaises(RpcError):
                self.daemon.call("bdev_set_qos", name="a", **bad)
        self.keeps("a", rate=200)
        self.daemon.call("bdev_set_qos", name="a", iops=None)
        self.ends_well(bench)

    def test_the_end_does_not_wait_for_a_limit(self):
        self.serve("a", "b")
        self.daemon.call("qos_create_group", name="g", iops=1)
        self.daemon.call("bdev_set_qos", name="a", iops=1, group="g")
        self.daemon.call("bdev_set_qos", name="b", group="g")
        self.load("a")
        self.load("b", "--queues", "2")
        wait_for("I/O that waits", lambda: self.waits("a")["waiting"])
        wait_for("I/O that waits", lambda: self.daemon.call("qos_get_groups")[0]["qos_stats"]["waiting"])
        self.daemon.call("vhost_delete_controller", ctrlr="a")
        self.daemon.call("bdev_delete", name="a")
        status, err = self.daemon.stop()
        self.assertEqual(status, 0, err)


class Freezes(LoadCase):
    def stands_still(self, *names):
        before = self.counts(*names)
        time.sleep(WINDOW)
        self.assertEqual(self.counts(*names), before)

    def nobody_is_there(self):
        """Until the socket would take another front-end."""
        wait_for("the end of the session", lambda: not self.daemon.call("vhost_get_controllers")[0]["sessions"])

    def test_nothing_goes_until_the_thaw(self):
        self.serve("a", "b")
        benches = [self.load("a", "--queues", "2"), self.load("b")]
        for _ in range(4):
            self.goes_on("a", "b")
            self.daemon.call("bdev_freeze", name="a")
            self.stands_still("a")
            self.goes_on("b")
            # limits that change meanwhile let nothing through
            self.daemon.call("bdev_set_qos", name="a", iops=5000)
            self.stands_still("a")
            self.daemon.call("bdev_set_qos", name="a", iops=None)
            self.stands_still("a")
            with self.assertRaisesRegex(RpcError, "^a: disk a is frozen: thaw it first$"):
                self.daemon.call("vhost_move_queue", ctrlr="a", queue=0, reactor=0)
            self.daemon.call("bdev_thaw", name="a")
        self.goes_on("a", "b")
        self.ends_well(*benches)

    def test_often(self):
        self.serve("a")
        bench = self.load("a", "--queues", "2")
        for _ in range(10):
            self.goes_on("a")
            for _ in range(20):
                self.daemon.call("bdev_freeze", name="a")
                self.daemon.call("bdev_thaw", name="a")
        self.ends_well(bench)

    def test_a_thaw_ends_a_freeze_that_is_not_complete(self):
        self.daemon = self.start("--disk", "a=fault:op=read,drop@ram:8M", "--vhost-user-blk", "a=a.sock")
        self.load("a")
        wait_for("dropped I/O", lambda: any(
            s["inflight_task_cnt"] == DEPTH for s in self.daemon.call("vhost_get_controllers")[0]["sessions"]))
        said = []

        def freeze():
            try:
                self.daemon.call("bdev_freeze", name="a")
            except RpcError as error:
                said.append(error.message)
        thread = threading.Thread(target=freeze)
        thread.start()
        wait_for("the freeze", lambda: self.daemon.call("bdev_get_bdevs")[0]["frozen"])
        with self.assertRaisesRegex(RpcError, "a freeze of the disk is under way"):
            self.daemon.call("bdev_freeze", name="a")
        self.assertTrue(thread.is_alive())
        self.daemon.call("bdev_thaw", name="a")
        thread.join(PATIENCE)
        self.assertEqual(said, ["the disk was thawed before its I/O had ended"])
        # and neither does the end wait for one
        thread = threading.Thread(target=self.cli, args=("disk", "freeze", "a"), kwargs={"status": None})
        thread.start()
        wait_for("the freeze", lambda: self.daemon.call("bdev_get_bdevs")[0]["frozen"])
        status, err = self.daemon.stop()
        self.assertEqual(status, 0, err)
        thread.join(PATIENCE)

    def test_a_freeze_that_takes_too_long_is_undone(self):
        self.daemon = self.start("--disk", "a=fault:op=read,drop@ram:8M", "--vhost-user-blk", "a=a.sock")

        def dropped():
            return any(s["inflight_task_cnt"] == DEPTH for s in self.daemon.call("vhost_get_controllers")[0]["sessions"])
        bench = self.load("a")
        wait_for("dropped I/O", dropped)
        with self.assertRaisesRegex(RpcError, "I/O of the disk did not end in time: it is thawed again"):
            self.daemon.call("bdev_freeze", name="a", timeout_ms=50)
        self.assertFalse(self.daemon.call("bdev_get_bdevs")[0]["frozen"])
        # the command ends before its own patience does, and leaves nothing frozen behind either
        wait_for("an answer", lambda: self.cli("disk", "freeze", "a", "--timeout", "1", status=None) ==
                 "nvring: I/O of the disk did not end in time: it is thawed again\n")
        self.assertFalse(self.daemon.call("bdev_get_bdevs")[0]["frozen"])
        # one that does not take long stays, whatever its limit was
        bench.kill()
        self.cli("disk", "faults", "a")
        self.nobody_is_there()
        bench = self.load("a")
        self.goes_on("a")
        self.daemon.call("bdev_freeze", name="a", timeout_ms=20000)
        self.stands_still("a")
        self.daemon.call("bdev_thaw", name="a")
        self.goes_on("a")
        # a limit dies with its freeze
        for _ in range(20):
            try:
                self.daemon.call("bdev_freeze", name="a", timeout_ms=1000 * LIMIT_SECONDS)
                self.daemon.call("bdev_thaw", name="a")
            except RpcError as error:  # the machine stood still so long
                self.assertIn("did not end in time", error.message)
        self.daemon.call("bdev_freeze", name="a")
        time.sleep(LIMIT_SECONDS + WINDOW)
        self.assertTrue(self.daemon.call("bdev_get_bdevs")[0]["frozen"])
        self.daemon.call("bdev_thaw", name="a")
        self.ends_well(bench)

    def test_the_end_does_not_wait_for_a_thaw(self):
        self.serve("a", "b", "c")
        self.daemon.call("bdev_set_qos", name="b", iops=100)
        for name in "abc":
            self.load(name)
            self.goes_on(name)
            self.daemon.call("bdev_freeze", name=name)
        self.daemon.call("vhost_delete_controller", ctrlr="a")
        self.daemon.call("bdev_delete", name="a")
        self.stands_still("b", "c")
        status, err = self.daemon.stop()
        self.assertEqual(status, 0, err)

    def test_a_front_end_that_leaves_comes_back_behind_the_thaw(self):
        self.serve("a")
        bench = self.load("a")
        self.goes_on("a")
        self.daemon.call("bdev_freeze", name="a")
        bench.kill()
        bench.communicate(timeout=PATIENCE)
        self.daemon.call("bdev_thaw", name="a")
        self.nobody_is_there()
        bench = self.load("a")
        self.exceeds(100, "a")
        self.ends_well(bench)


if __name__ == "__main__":
    unittest.main()
