#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Queues that move by themselves from busy data threads to others, and what keeps them where they are."""

import os
import re
import socket
import time
import unittest

from daemon_rig import PATIENCE, LoadCase, RpcError, wait_for


class Balance(LoadCase):
    def start_two(self, *args):
        """A daemon with two reactors."""
        daemon = self.start(*args)
        if len(daemon.call("framework_get_reactors")["reactors"]) < 2:
            self.skipTest("one CPU, one reactor")
        return daemon

    def heap(self, daemon, reactor=0):
        """Both queues onto one reactor."""
        wait_for("two queues", lambda: len(self.places(daemon)) == 2)
        for queue in (0, 1):
            daemon.call("vhost_move_queue", ctrlr="a", queue=queue, reactor=reactor)
        self.assertEqual(self.places(daemon), {0: reactor, 1: reactor})

    @staticmethod
    def moves(daemon):
        return daemon.call("reactor_get_rebalance")["moves"]

    def end(self, bench):
        bench.terminate()
        bench.communicate(timeout=PATIENCE)

    def load(self, daemon, *options):
        """Requests that cost the daemon much and the front-end little."""
        bench = self.endless("a.sock", "--queues", "2", "--depth", "64", "--bs", "512k", *options)
        self.wait_for_io(daemon)
        return bench

    def test_cpus_of_an_export(self):
        daemon = self.start_two("--disk", "a=ram:64M")
        first, second = [r["lcore"] for r in daemon.call("framework_get_reactors")["reactors"]][:2]
        self.cli("export", "create", "a", "a.sock", "--cpus", second)
        self.assertEqual(daemon.call("vhost_get_controllers")[0]["cpus"], str(second))
        self.assertRegex(self.cli("export", "show", "a"), rf"\nCPUs +{second}\n")
        bench = self.load(daemon)
        wait_for("two queues", lambda: len(self.places(daemon)) == 2)
        self.assertEqual(self.places(daemon), {0: 1, 1: 1})
        said = self.cli("vhost", "move", "a", "0", "0", status=1)
        self.assertIn(f"a: may not run on reactor 0 (CPU {first}): its CPUs are {second}\n", said)
        daemon.call("vhost_move_queue", ctrlr="a", queue=0, reactor=1)
        self.cli("export", "create", "a", "b.sock", "--name", "b", "--cpus", f"{second},{first}")
        self.assertEqual(daemon.call("vhost_get_controllers")[1]["cpus"],
                         f"{first}-{second}" if second == first + 1 else f"{first},{second}")
        time.sleep(14)  # it would be time to move, did it not have to stay
        self.assertEqual(self.places(daemon), {0: 1, 1: 1})
        self.assertEqual(self.moves(daemon), 0)
        self.end(bench)

    def test_cpus_that_cannot_be(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("one CPU")
        first, second = cpus[:2]
        none = f"cpus: no data thread runs on CPU {second} (they run on {first}; see --cpus)"
        bad = ((second, none), (f"{first},{second}", none), (f"{first},999", "cpus: CPU 999 is not online"),
               ("0-99999", "is no list of CPUs"), ("x", '"x" is no list of CPUs'))
        daemon = self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock", "--cpus", first)
        for cpus, said in bad:
            text = self.cli("export", "create", "a", "b.sock", "--name", "b", "--cpus", cpus, status=1)
            self.assertEqual(text.count("\n"), 1, text)
            self.assertIn(said, text)
        self.assertEqual([e["ctrlr"] for e in daemon.call("vhost_get_controllers")], ["a"])
        self.assertFalse(self.path("b.sock").exists())
        daemon.stop()
        for cpus, said in bad:
            cpus = str(cpus).replace(",", ",,")
            text = self.refused("--disk", "a=ram:8M", "--vhost-user-blk", f"a=a.sock,cpus={cpus}", "--cpus", first,
                                "--no-rpc")
            self.assertEqual(text.count("\n"), 1, text)
            self.assertIn(said, text)
            self.assertFalse(self.path("a.sock").exists())

    def test_a_heap_is_spread_unless_switched_off(self):
        daemon = self.start_two("--disk", "a=ram:64M", "--vhost-user-blk", "a=a.sock", "--rebalance", "off")
        bench = self.load(daemon)
        self.heap(daemon)
        time.sleep(14)  # on, it takes some 13: the queues rest, then three periods
        self.assertEqual(self.moves(daemon), 0)
        self.assertEqual(self.places(daemon), {0: 0, 1: 0})
        daemon.call("reactor_set_rebalance", enabled=True)
        wait_for("a move", lambda: self.moves(daemon))
        self.assertEqual(sorted(self.places(daemon).values()), [0, 1])
        self.end(bench)
        _, err = daemon.stop()
        self.assertRegex(err, r"a: queue [01] moved from reactor 0 \(\d+ % busy, \d+ % of it this queue's\) to reactor 1")
        self.assertEqual(len(re.findall("moved from", err)), 1, err)


class Storm(LoadCase):
    """All that changes where and how a queue is served, at once, under verified writes."""

    def storm(self, disk, *options):
        daemon = self.start("--disk", f"a={disk}", "--vhost-user-blk", "a=a.sock,queues=4")
        reactors = len(daemon.call("framework_get_reactors")["reactors"])
        bench = self.endless("a.sock", "--rw", "randrw", "--verify", "--queues", "4", "--depth", "32",
                           "--warmup", "0", *options)
        self.wait_for_queues(daemon, 4)
        modes, moved = ("poll", "interrupt", "adaptive"), 0
        for rounds in range(40):
            # each on its own: some in poll mode, some asleep
            for reactor in range(reactors):
                daemon.call("reactor_set_mode", id=reactor, mode=modes[(rounds + reactor) % 3])
            if rounds % 8 == 0:
                # all onto one: what the balancer is to undo
                moved += self.heap(daemon, rounds // 8 % reactors)
            daemon.call("reactor_set_rebalance", enabled=rounds % 4 != 3)
            time.sleep(0.4)
        self.end_verified(bench)
        self.assertGreater(moved, 3)
        self.assertEqual(daemon.stop()[0], 0)

    def heap(self, daemon, reactor):
        """The queues that run onto one reactor; how many went."""
        moved = 0
        for queue in range(4):
            try:
                daemon.call("vhost_move_queue", ctrlr="a", queue=queue, reactor=reactor)
                moved += 1
            except RpcError as error:  # -EBUSY: the balancer was there first
                if "busy: try again" not in error.message:
                    raise
            except socket.timeout:
                self.fail(f"queue {queue} does not get to reactor {reactor}: {daemon.call('vhost_get_controllers')}, "
                          f"{daemon.call('nvring_get_inflight')}, {daemon.call('framework_get_reactors')}")
        return moved

    def test_file(self):
        self.storm(f"file:{self.image()}")

    def test_memory_packed(self):
        self.storm("ram:16M", "--packed", "--eventfd")


if __name__ == "__main__":
    unittest.main()
