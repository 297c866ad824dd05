#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Disks that merge neighbours, driven from one end to the other: what is written is there, and errors stay where they are."""

import json
import unittest

from daemon_rig import DaemonCase
from test_nvme import NvmeCase

BLOCK = 4096


class Merge(DaemonCase):
    def serve(self, uri, *options):
        self.start("--disk", f"a={uri}", "--vhost-user-blk", "a=a.sock", *options)

    def stats(self):
        return self.daemons[-1].call("bdev_get_iostat", name="a")["bdevs"][0]

    def bench(self, *args, status=0):
        return self.cli("bench", self.path("a.sock"), "--bs", BLOCK, "--seed", 5, *args, status=status)

    def test_sequential_io_is_merged_and_right(self):
        for layout in ("--ring=128", "--packed"):
            self.serve(f"file:{self.image(megabytes=16)}?merge=1")
            self.bench("--rw", "write", "--ios", 4096, "--verify", layout)
            stats = self.stats()
            self.assertEqual((stats["num_write_ops"], stats["operations"]["write"]["errors"]), (4096, 0))
            self.assertEqual(stats["bytes_written"], 4096 * BLOCK)
            # the first 32 writes, and reads of the verification, are one batch
            self.assertGreaterEqual(stats["merged"], 2 * 31)
            self.assertLess(stats["merged"], stats["num_write_ops"] + stats["num_read_ops"])
            self.assertEqual(self.daemons[-1].stop()[0], 0)

    def test_it_is_off_unless_asked_for(self):
        for uri in ("file:{}", "file:{}?merge=0"):
            self.serve(uri.format(self.image()))
            self.bench("--rw", "write", "--ios", 2000, "--verify")
            self.assertEqual(self.stats()["merged"], 0)
            self.assertEqual(self.daemons[-1].stop()[0], 0)

    def test_all_kinds_mixed(self):
        self.serve(f"file:{self.image(megabytes=4)}?merge=1&direct=0")
        state = self.path("state")
        for rw in ("rw", "randrw", "write"):
            self.bench("--rw", rw, "--ios", 5000, "--flush-every", 50, "--discard", 2, "--write-zeroes", 2,
                       "--verify-state", state)
        self.assertGreater(self.stats()["merged"], 0)

    def test_a_bad_block_fails_alone(self):
        self.serve(f"fault:op=read,range=1M-1028K,error=EIO@file:{self.image(megabytes=4)}?merge=1")
        self.bench("--rw", "read", "--ios", 1024, status=1)
        stats = self.stats()
        self.assertGreater(stats["merged"], 0)
        self.assertEqual((stats["num_read_ops"], stats["operations"]["read"]["errors"]), (1024, 1))
        self.assertEqual(stats["bytes_read"], 1023 * BLOCK)

    def test_the_option_is_kept(self):
        uri = f"file:{self.image()}?merge=1"
        self.serve(uri)
        self.assertEqual([d["uri"] for d in json.loads(self.cli("config", "show"))["disks"]], [uri])

    def test_a_wrong_option_is_refused(self):
        for text, said in (("merge=2", "option merge=2: 0 or 1 is expected"), ("merge=1&merge=1", "is given twice"),
                           ("merg=1", "unknown option 'merg' (known: block, depth, merge)")):
            self.assertIn(said, self.refused("--disk", f"a=ram:8M?{text}", "--vhost-user-blk", "a=a.sock"))


class Nvme(NvmeCase):
    def test_sequential_io(self):
        """Its driver has page seams: the generator's buffers lie one behind the other."""
        address = self.ssd("ssd", ("16M",))
        daemon = self.start("--disk", f"s=nvme+{address}/1?merge=1", "--vhost-user-blk", "s=s.sock")
        for size in (512, BLOCK):
            self.cli("bench", self.path("s.sock"), "--rw", "write", "--bs", size, "--ios", 4096, "--verify")
        stats = daemon.call("bdev_get_iostat", name="s")["bdevs"][0]
        self.assertGreater(stats["merged"], 0)
        self.assertEqual(stats["operations"]["write"]["errors"] + stats["operations"]["read"]["errors"], 0)


if __name__ == "__main__":
    unittest.main()
