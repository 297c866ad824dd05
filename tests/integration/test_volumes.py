#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Volumes of a pool: made, served, resized, removed; refused in one line; and the same after a restart."""

import json
import os
import signal
import subprocess
import time
import unittest

from daemon_rig import NVRING, PATIENCE, LoadCase, RpcError, wait_for


class Volumes(LoadCase):
    def setUp(self):
        super().setUp()
        self.path("pool").mkdir()

    def start_pool(self, *args):
        return self.start("--pool", "p=dir:pool", *args)

    def names(self):
        return [v["name"] for v in json.loads(self.cli("volume", "list", "-j"))]

    def refuse(self, said, *args):
        error = self.cli(*args, status=1)
        self.assertEqual(error.count("\n"), 1)
        self.assertIn(said, error)

    def test_a_life(self):
        daemon = self.start_pool()
        self.cli("volume", "create", "v", "8M")
        self.cli("volume", "create", "w", "1M", "--pool", "p")
        self.refuse("pool/v is there already", "volume", "create", "v", "8M")
        socket = self.cli("volume", "export", "v").strip()
        self.assertEqual(socket, str(self.path("volumes/v/vhost.sock")))
        self.cli("bench", socket, "--rw", "write", "--ios", "1000", "--verify")
        self.cli("volume", "resize", "v", "16M")
        self.assertEqual(daemon.call("bdev_get_bdevs", name="v")[0]["size_bytes"], 16 << 20)
        self.refuse("ask for it (shrink)", "volume", "resize", "v", "4M")
        self.refuse("ask for it (shrink)", "volume", "resize", "w", "512K")
        self.cli("volume", "resize", "w", "512K", "--shrink")
        self.assertEqual(self.cli("volume", "list").splitlines()[0].split(),
                         ["VOLUME", "POOL", "SIZE", "USED", "DISK", "PEER", "SOCKET"])
        rows = [line.split() for line in self.cli("volume", "list").splitlines()[1:]]
        self.assertEqual([rows[0][:4], rows[0][-3:]], [["v", "p", "16", "MiB"], ["v", "-", socket]])
        self.assertEqual([rows[1][:4], rows[1][-3:]], [["w", "p", "512", "KiB"], ["-", "-", "-"]])
        self.assertEqual(self.cli("pool", "list").splitlines()[1].split()[:2], ["p", "2"])
        self.refuse(f"v is served as disk v on {socket}: end that first", "volume", "remove", "v")
        self.cli("volume", "unexport", "v")
        self.assertFalse(self.path("volumes/v").exists())
        self.refuse("v is not served", "volume", "unexport", "v")
        self.cli("volume", "remove", "v")
        self.assertEqual(self.names(), ["w"])
        self.assertEqual(os.listdir(self.path("pool")), ["w"])
        self.refuse("no volume named \"v\"", "volume", "remove", "v")

    def test_in_use_by_a_front_end(self):
        self.start_pool()
        self.cli("volume", "create", "v", "8M")
        socket = self.cli("volume", "export", "v").strip()
        bench = self.bench(socket, "--rw", "randread", "--time", "60")
        wait_for("a peer", lambda: json.loads(self.cli("volume", "list", "-j"))[0]["exports"][0]["peer_pid"])
        who = f"v is in use by process {bench.pid} (nvring), connected to {socket}"
        self.refuse(who, "volume", "remove", "v")
        self.refuse(who, "volume", "unexport", "v")
        self.cli("volume", "unexport", "v", "--force")
        bench.kill()
        bench.communicate(timeout=PATIENCE)
        self.cli("volume", "remove", "v")

    def test_in_use_by_another_process(self):
        self.start_pool()
        self.cli("volume", "create", "v", "8M")
        with open(self.path("pool/v/disk.img"), "rb"):
            who = f"v is in use by process {os.getpid()} ("
            self.refuse(who, "volume", "remove", "v")
            self.refuse(who, "volume", "export", "v")
            self.refuse(who, "volume", "resize", "v", "16M")
        self.assertEqual(self.path("pool/v/disk.img").stat().st_size, 8 << 20)
        self.assertEqual(json.loads(self.cli("disk", "list", "-j")), [])
        self.cli("volume", "remove", "v")

    def test_a_restart(self):
        """What the directory holds is there again; what was served, when it was saved."""
        daemon = self.start("--config", self.config())
        self.cli("volume", "create", "v", "8M")
        self.cli("volume", "create", "w", "8M")
        socket = self.cli("volume", "export", "v").strip()
        self.cli("config", "save")
        self.assertEqual(json.loads(self.path("c.json").read_text())["pools"],
                         [{"name": "p", "uri": f"dir:{self.path('pool')}"}])
        daemon.process.kill()
        daemon.wait()
        self.path("pool/.new-x").mkdir()
        self.start("--config", self.path("c.json"))
        self.assertEqual(self.names(), ["v", "w"])
        self.assertFalse(self.path("pool/.new-x").exists())
        self.assertEqual(json.loads(self.cli("volume", "list", "-j"))[0]["exports"][0]["socket"], socket)
        self.refuse("v is served as disk v", "volume", "remove", "v")
        self.cli("volume", "unexport", "v")
        self.cli("volume", "remove", "v")

    def config(self):
        path = self.path("c.json")
        path.write_text(json.dumps({"pools": [{"name": "p", "uri": f"dir:{self.path('pool')}"}]}))
        return path

    def test_two_pools(self):
        self.path("other").mkdir()
        daemon = self.start_pool("--pool", "q=dir:other")
        self.refuse("there are several pools: name one", "volume", "create", "v", "8M")
        self.refuse("no such pool", "volume", "create", "v", "8M", "--pool", "r")
        self.cli("volume", "create", "v", "8M", "--pool", "q")
        self.refuse("other/v is there already", "volume", "create", "v", "8M", "--pool", "p")
        self.cli("volume", "resize", "v", "9M")
        self.refuse("no volume named \"v\" in pool p", "volume", "remove", "v", "--pool", "p")
        self.assertEqual([v["pool"] for v in daemon.call("volume_list")], ["q"])
        self.assertEqual(daemon.call("volume_list", pool="p"), [])
        daemon.stop()
        subprocess.run(["cp", "-a", self.path("other/v"), self.path("pool/v")], check=True)
        self.start_pool("--pool", "q=dir:other")
        self.refuse("v is in pool p and in pool q: name one", "volume", "remove", "v")
        self.cli("volume", "export", "v", "--pool", "q")
        self.refuse("there is another disk named \"v\"", "volume", "export", "v", "--pool", "p")
        self.cli("volume", "remove", "v", "--pool", "p")
        self.assertEqual(self.names(), ["v"])

    def test_what_is_left_alone(self):
        self.start_pool("--disk", "d=ram:8M")
        self.path("pool/mine").mkdir()
        self.path("pool/mine/disk.img").write_text("precious")
        self.refuse("pool/mine is there already", "volume", "create", "mine", "8M")
        for command in (("remove", "mine"), ("resize", "mine", "8M"), ("export", "mine")):
            self.refuse("pool/mine is no volume: nvring did not make it", "volume", *command)
        self.assertEqual(self.path("pool/mine/disk.img").read_text(), "precious")
        self.cli("volume", "create", "d", "8M")
        self.refuse("there is another disk named \"d\"", "volume", "export", "d")
        self.cli("volume", "create", "v", "8M")
        self.refuse("/no/such/v.sock", "volume", "export", "v", "/no/such/v.sock")
        self.assertEqual([d["name"] for d in json.loads(self.cli("disk", "list", "-j"))], ["d"])

    def test_pools_that_cannot_be(self):
        self.start_pool()
        for args, said in ((("--pool", "q=dir:pool"), "pool: another nvringd has this pool"),
                           (("--pool", "q=dir:/no/such"), "/no/such: No such file or directory"),
                           (("--pool", "q=pool"), "\"pool\" is no pool, did you mean dir:pool?"),
                           (("--pool", "q"), "must be NAME=dir:PATH"),
                           (("--pool", "q:=dir:pool"), "a name consists of letters, digits and . _ -")):
            error = self.refused(*args)
            self.assertEqual(error.count("\n"), 1, error)
            self.assertIn(said, error)

    def test_at_the_same_time(self):
        """Many commands for one volume at once: each is done or refused, and what is left is one of the two."""
        daemon = self.start_pool()
        for _ in range(10):
            commands = [subprocess.Popen([NVRING, "-s", str(daemon.rpc), "volume", *words], stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True)
                        for words in (["create", "v", "8M"], ["export", "v"], ["remove", "v"], ["create", "v", "4M"],
                                      ["unexport", "v"], ["resize", "v", "12M"])]
            for command in commands:
                self.assertLessEqual(command.communicate(timeout=PATIENCE)[0].count("\n"), 1)
            listed = daemon.call("volume_list")
            self.assertLessEqual({v["name"] for v in listed}, {"v"})
            if daemon.call("bdev_get_bdevs"):
                self.cli("volume", "unexport", "v")
            self.assertEqual(daemon.call("bdev_get_bdevs"), [])
            self.assertEqual(sorted(os.listdir(self.path("pool"))), [v["name"] for v in listed])
            if listed:
                self.cli("volume", "remove", "v")

    def test_killed_at_any_time(self):
        """nvringd killed while volumes come and go: each is whole or not there."""
        for i in range(8):
            daemon = self.start_pool()
            worker = subprocess.Popen(
                ["bash", "-c", 'while "$0" -s "$1" volume create v 1M && "$0" -s "$1" volume remove v; do :; done', NVRING,
                 str(daemon.rpc)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.01 + 0.013 * i)
            daemon.process.send_signal(signal.SIGKILL)
            daemon.wait()
            worker.wait(timeout=PATIENCE)
            daemon = self.start_pool()
            self.assertEqual(os.listdir(self.path("pool")), self.names())
            for name in self.names():
                self.assertEqual(self.path(f"pool/{name}/disk.img").stat().st_size, 1 << 20)
                self.cli("volume", "remove", name)
            daemon.stop()

    def test_no_room_for_it(self):
        """A size that no file can have: one line, and nothing is left."""
        daemon = self.start_pool()
        with self.assertRaises(RpcError) as caught:
            daemon.call("volume_create", name="v", size=(1 << 63) - 4096)
        self.assertIn("pool/v: cannot be made: ", caught.exception.message)
        self.assertEqual(os.listdir(self.path("pool")), [])


if __name__ == "__main__":
    unittest.main()
