#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Queues that move by themselves from busy data threads to others, and what keeps them where they are."""

import re
import time
import unittest

from daemon_rig import PATIENCE, LoadCase, wait_for


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
        bench = self.bench("a.sock", "--queues", "2", "--depth", "64", "--bs", "512k", "--time", "200", *options)
        self.wait_for_io(daemon)
        return bench

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


if __name__ == "__main__":
    unittest.main()
