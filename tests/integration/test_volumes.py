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
from test_nvme import NvmeCase


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
                         ["VOLUME", "POOL", "SIZE", "USED", "OFFSET", "DISK", "PEER", "SOCKET"])
        rows = [line.split() for line in self.cli("volume", "list").splitlines()[1:]]
        self.assertEqual([rows[0][:4], rows[0][-4:]], [["v", "p", "16", "MiB"], ["-", "v", "-", socket]])
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
        bench = self.endless(socket, "--rw", "randread")
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


class Parts(NvmeCase):
    """A namespace that is cut into partitions."""

    def setUp(self):
        super().setUp()
        self.uri = f"nvme+{self.ssd(namespaces=('64M',))}/1"
        self.image = self.path("ssd-1.img")

    def refuse(self, said, *args):
        error = self.cli(*args, status=1)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertIn(said, error)

    def volumes(self):
        return {v["name"]: (v["offset_bytes"] >> 20, v["size_bytes"] >> 20) for v in json.loads(self.cli("volume", "list", "-j"))}

    def start_pool(self, *args):
        return self.start("--pool", f"p={self.uri}", *args)

    def test_a_life(self):
        daemon = self.start_pool()
        self.refuse("is no pool yet; mend: nvring pool init p", "volume", "create", "v", "8M")
        self.assertIn("is no pool yet", self.cli("pool", "list"))
        self.cli("pool", "init", "p")
        self.refuse("is a pool already", "pool", "init", "p", "--force")
        self.cli("volume", "create", "v", "8M")
        self.cli("volume", "create", "w", "4M")
        self.assertEqual(self.volumes(), {"v": (1, 8), "w": (9, 4)})
        socket = self.cli("volume", "export", "v").strip()
        self.cli("bench", socket, "--rw", "write", "--ios", "1000", "--verify")
        self.refuse("v is served as disk v", "volume", "remove", "v")
        self.refuse("resized only while it is not", "volume", "resize", "v", "9M")
        self.cli("volume", "resize", "w", "20M")
        self.refuse("ask for it (shrink)", "volume", "resize", "w", "1M")
        self.cli("volume", "unexport", "v")
        self.refuse("0 bytes are free right behind it", "volume", "resize", "v", "9M")
        self.cli("volume", "remove", "v")
        self.cli("volume", "create", "x", "2M")
        self.assertEqual(self.volumes(), {"w": (9, 20), "x": (1, 2)})
        self.assertEqual(self.cli("pool", "list").splitlines()[1].split()[:2], ["p", "2"])
        daemon.stop()
        table = json.loads(subprocess.run(["sfdisk", "--json", self.image], check=True, capture_output=True, timeout=PATIENCE).stdout)
        self.assertEqual(sorted((p["name"], p["start"] // 2048, p["size"] // 2048) for p in table["partitiontable"]["partitions"]),
                         [("w", 9, 20), ("x", 1, 2)])
        said = subprocess.run(["sfdisk", "--verify", self.image], check=True, capture_output=True, text=True, timeout=PATIENCE)
        self.assertIn("No errors detected", said.stdout + said.stderr)

    def test_a_restart(self):
        """nvringd is killed: what is in the table is there again, and a disk by the volume's URI is the volume served."""
        daemon = self.start_pool()
        self.cli("pool", "init", "p")
        self.cli("volume", "create", "v", "8M")
        socket = self.cli("volume", "export", "v").strip()
        daemon.process.kill()
        daemon.wait()
        daemon = self.start_pool("--disk", f"v={self.uri}?part=name:v")
        self.assertEqual(self.volumes(), {"v": (1, 8)})
        self.assertEqual(json.loads(self.cli("volume", "list", "-j"))[0]["disk"], "v")
        self.assertEqual(self.cli("volume", "export", "v").strip(), socket)

    def test_what_is_left_alone(self):
        daemon = self.start_pool()
        daemon.stop()
        subprocess.run(["sfdisk", "-q", self.image], input="label: gpt\nsize=8M, name=root\n", check=True, text=True,
                       capture_output=True, timeout=PATIENCE)
        before = self.image.read_bytes()
        daemon = self.start_pool("--disk", f"all={self.uri}")
        for command in (("volume", "create", "v", "8M"), ("volume", "remove", "root"), ("volume", "export", "root")):
            self.refuse("has a partition table that nvring did not make", *command)
        self.refuse("disk all is open on it: delete that first", "pool", "init", "p", "--force")
        self.cli("disk", "delete", "all")
        self.cli("disk", "create", "below", f"fault:op=read,delay=1ms@{self.uri}") # another spelling is the same namespace
        self.refuse("disk below is open on it: delete that first", "pool", "init", "p", "--force")
        self.cli("disk", "delete", "below")
        self.refuse("is not empty: left as it is", "pool", "init", "p")
        daemon.stop()
        self.assertEqual(self.image.read_bytes(), before)
        self.start_pool()
        self.cli("pool", "init", "p", "--force")
        self.assertEqual(self.volumes(), {})
        self.refuse("no volume named", "volume", "remove", "root")

    def test_pools_that_cannot_be(self):
        for uri, said in ((f"{self.uri}?ro=1", "a pool is a whole namespace, without options"),
                          (f"nvme+vfio-user:{self.path('none')}/1", "none"),
                          (self.uri[:-2], "namespace")):
            error = self.refused("--pool", f"p={uri}")
            self.assertEqual(error.count("\n"), 1, error)
            self.assertIn(said, error)

    def test_a_broken_pool_hides_no_other(self):
        self.path("pool").mkdir()
        self.start_pool("--pool", "q=dir:pool")
        self.cli("volume", "create", "v", "8M", "--pool", "q")
        self.assertEqual([v["name"] for v in json.loads(self.cli("volume", "list", "-j"))], ["v"])
        self.refuse("is no pool yet", "volume", "list", "--pool", "p")
        self.cli("volume", "remove", "v")


if __name__ == "__main__":
    unittest.main()
