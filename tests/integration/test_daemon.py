#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvringd as a process: how it starts, refuses, ends, and what it leaves behind."""

import json
import os
import signal
import socket
import subprocess
import unittest

from daemon_rig import NVRINGD, PATIENCE, Client, DaemonCase, LoadCase, RpcError, wait_for


def run(*args):
    return subprocess.run([NVRINGD, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)


class Answers(unittest.TestCase):
    """What it says without starting anything."""

    def test_capabilities(self):
        wanted = '{"type":"block","features":["read-only","blk-file"]}\n'
        for args in ([], ["--nonsense"], ["--config", "/no/such"], ["--disk"]):
            done = run(*args, "--print-capabilities") if args != ["--disk"] else run("--print-capabilities", *args)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, wanted, ""))

    def test_help_and_version(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--vhost-user-blk NAME=SOCKET", done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        self.assertRegex(run("--version").stdout, r"^nvringd \d+\.\d+\.\d+\n$")

    def test_usage_errors(self):
        for args, said in ((["--dsk", "x"], "unrecognized option '--dsk'"),
                           (["--disk"], "requires an argument"),
                           (["stray"], "'stray' is not an option"),
                           ([], "nothing to serve")):
            done = run(*args)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)
            self.assertIn("Try 'nvringd --help'.", done.stderr)


class Life(DaemonCase):
    def test_it_serves_and_ends(self):
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            daemon = self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock,mode=0666")
            self.assertEqual(self.path("rpc.sock").stat().st_mode & 0o777, 0o600)
            self.assertEqual(self.path("a.sock").stat().st_mode & 0o777, 0o666)
            status, err = daemon.stop(signo)
            self.assertEqual(status, 0, err)
            self.assertFalse(self.path("rpc.sock").exists())
            self.assertFalse(self.path("a.sock").exists())

    def test_it_tells_the_service_manager(self):
        daemon = self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock")
        daemon.process.terminate()
        self.assertIn("STOPPING=1", daemon.notify.recv(4096).decode())
        daemon.wait()

    def test_ready_comes_when_the_sockets_listen(self):
        # start() returned on READY=1: nothing of this may need a second attempt
        daemon = self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock")
        daemon.call("nvring_get_version")
        with socket.socket(socket.AF_UNIX) as front_end:
            front_end.connect(str(self.path("a.sock")))

    def test_a_killed_one_is_replaced(self):
        image = self.image()
        args = ("--disk", f"a=file:{image}", "--vhost-user-blk", "a=a.sock")
        daemon = self.start(*args)
        daemon.process.kill()
        daemon.wait()
        self.assertTrue(self.path("a.sock").exists())
        daemon = self.start(*args)
        self.assertEqual(len(daemon.call("vhost_get_controllers")), 1)
        self.cli("bench", self.path("a.sock"), "--ios", "100")

    def test_clients_and_front_ends_do_not_hold_it_up(self):
        daemon = self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock")
        with Client(daemon.rpc) as client, socket.socket(socket.AF_UNIX) as front_end:
            client.send(b'{"jsonrpc"')
            front_end.connect(str(self.path("a.sock")))
            status, err = daemon.stop()
        self.assertEqual(status, 0, err)

    def test_no_rpc(self):
        self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock", "--no-rpc", rpc=False)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir() if p.is_socket() and "notify" not in p.name),
                         ["a.sock"])


class Refusal(DaemonCase):
    """Bad configurations: one line, status 1, nothing left behind."""

    def refuse(self, *args):
        before = sorted(self.folder.iterdir())
        said = self.refused(*args)
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertEqual(sorted(self.folder.iterdir()), before)
        return said

    def config(self, value):
        path = self.path("c.json")
        path.write_text(json.dumps(value))
        return path

    def test_a_disk_that_is_not_there(self):
        said = self.refuse("--disk", "a=ram:8M", "--disk", "b=file:missing.img", "--vhost-user-blk", "a=a.sock",
                           "--rpc", "rpc.sock")
        self.assertRegex(said, r"--disk b=file:missing.img: uri: file:missing.img: No such file or directory")

    def test_a_disk_in_the_file_that_is_not_there(self):
        path = self.config({"disks": [{"name": "a", "uri": "ram:8M"}, {"name": "b", "uri": "file:missing.img"}],
                            "exports": [{"disk": "a", "socket": "a.sock"}]})
        said = self.refuse("--config", path, "--rpc", "rpc.sock")
        self.assertRegex(said, r"c\.json: disks\[1\]\.uri: file:missing\.img: No such file")

    def test_a_disk_without_an_image(self):
        path = self.config({"disks": [{"name": "a", "uri": "ram:8M"}], "exports": [{"disk": "b", "socket": "a.sock"}]})
        said = self.refuse("--config", path, "--rpc", "rpc.sock")
        self.assertRegex(said, r'c\.json: exports\[0\]\.disk: no disk named "b"')

    def test_a_group_that_is_not_there(self):
        path = self.config({"groups": [{"name": "gold", "iops": 10}],
                            "disks": [{"name": "a", "uri": "ram:8M", "group": "gold"},
                                      {"name": "b", "uri": "ram:8M", "group": "silver"}]})
        self.assertRegex(self.refuse("--config", path, "--no-rpc"),
                         r'c\.json: disks\[1\]\.group: no group named "silver"')

    def test_limits_that_cannot_be_kept(self):
        gold = {"name": "gold", "iops": 100}
        for groups, disk, said in (
                ([], {"iops": 0}, r"disks\[1\]\.iops: must be a number from 1 to 1000000000, or null for none, not 0"),
                ([gold], {"group": "gold", "min_iops": 61}, r"disks\[1\]: the guaranteed minimums of group gold add up to 101"),
                ([gold, {"name": "iron", "bps_burst": 4096}], {}, r"groups\[1\]: total bytes/s: a burst of 4096 without"),
                ([gold, gold], {}, r'groups\[1\]\.name: there is another group named "gold"')):
            path = self.config({"groups": groups, "exports": [{"disk": "a", "socket": "a.sock"}],
                                "disks": [{"name": "a", "uri": "ram:8M",
                                           **({"group": "gold", "min_iops": 40} if groups else {})},
                                          {"name": "b", "uri": "ram:8M", **disk}]})
            self.assertRegex(self.refuse("--config", path, "--rpc", "rpc.sock"), r"c\.json: " + said)

    def test_an_unknown_scheme(self):
        self.assertIn("tape:0", self.refuse("--disk", "a=tape:0", "--no-rpc"))

    def test_a_socket_that_cannot_be(self):
        said = self.refuse("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock", "--vhost-user-blk", "a=no/b.sock",
                           "--no-rpc")
        self.assertIn("no/b.sock", said)

    def test_a_socket_in_the_way_of_a_file(self):
        for name in ("a.sock", "rpc.sock"):
            self.path(name).write_text("precious")
            self.refuse("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock", "--rpc", "rpc.sock")
            self.assertEqual(self.path(name).read_text(), "precious")
            self.path(name).unlink()

    def test_a_control_socket_that_cannot_be(self):
        said = self.refuse("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock", "--rpc", "no/rpc.sock")
        self.assertIn("rpc: no/rpc.sock: directory no does not exist: mkdir -p no", said)

    def test_a_cpu_that_is_not_there(self):
        said = self.refuse("--disk", "a=ram:8M", "--cpus", "1000", "--no-rpc")
        self.assertIn("cpus: CPU 1000 is not available", said)

    def test_sockets_and_images_of_another_daemon(self):
        image = self.image()
        first = self.start("--disk", f"a=file:{image}", "--vhost-user-blk", "a=a.sock")
        for args, said in (
                (("--disk", f"a=file:{image}", "--lock-wait", "50", "--no-rpc"), "in use by process "),
                (("--disk", "b=ram:8M", "--vhost-user-blk", "b=a.sock", "--no-rpc"), "a.sock"),
                (("--disk", "b=ram:8M", "--vhost-user-blk", "b=b.sock", "--rpc", "rpc.sock"),
                 "rpc.sock: another process listens on this socket")):
            self.assertIn(said, self.refuse(*args))
        self.assertEqual(first.call("bdev_get_bdevs")[0]["name"], "a")
        self.cli("bench", self.path("a.sock"), "--ios", "10")

    def test_read_only_disks_can_be_shared(self):
        image = self.image()
        self.start("--disk-ro", f"a=file:{image}", "--vhost-user-blk", "a=a.sock")
        self.start("--disk-ro", f"a=file:{image}", "--vhost-user-blk", "a=b.sock", "--no-rpc", rpc=False)


class BackEnd(DaemonCase):
    """QEMU's conventions for back-end programs."""

    def test_socket_path(self):
        image = self.image()
        daemon = self.start(f"--blk-file={image}", f"--socket-path={self.path('s')}", rpc=False)
        self.cli("bench", self.path("s"), "--ios", "100", "--rw", "randwrite")
        self.assertFalse(self.path("rpc.sock").exists())
        self.assertEqual(daemon.stop()[0], 0)

    def test_read_only(self):
        image = self.image()
        self.start(f"--blk-file={image}", f"--socket-path={self.path('s')}", "--read-only", rpc=False)
        self.cli("bench", self.path("s"), "--ios", "10", "--rw", "randread")
        self.cli("bench", self.path("s"), "--ios", "10", "--rw", "randwrite", status=1)

    def test_a_listening_fd(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path("s")))
            listener.listen(1)
            fd = listener.fileno()
            self.start("--blk-file=ram:8M", f"--fd={fd}", rpc=False, pass_fds=(fd,))
            for _ in range(2):
                self.cli("bench", self.path("s"), "--ios", "100")

    def test_a_connected_fd_ends_with_its_front_end(self):
        ours, theirs = socket.socketpair()
        daemon = self.start("--blk-file=ram:8M", f"--fd={theirs.fileno()}", rpc=False, pass_fds=(theirs.fileno(),))
        theirs.close()
        ours.close()
        status, err = daemon.wait()
        self.assertEqual(status, 0, err)

    def test_a_connected_fd_ends_on_sigterm(self):
        ours, theirs = socket.socketpair()
        daemon = self.start("--blk-file=ram:8M", f"--fd={theirs.fileno()}", rpc=False, pass_fds=(theirs.fileno(),))
        theirs.close()
        self.assertEqual(daemon.stop()[0], 0)
        ours.close()

    def test_an_fd_that_is_no_socket(self):
        with open(os.devnull, "rb") as null:
            done = subprocess.run([NVRINGD, "--blk-file=ram:8M", f"--fd={null.fileno()}"], stderr=subprocess.PIPE,
                                  text=True, pass_fds=(null.fileno(),), timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class Load(LoadCase):
    """With I/O under way."""

    def test_sigterm_ends_it(self):
        daemon = self.start("--disk", f"a=file:{self.image()}", "--vhost-user-blk", "a=a.sock")
        bench = self.endless("a.sock", "--rw", "randrw")
        self.wait_for_io(daemon)
        status, err = daemon.stop()
        self.assertEqual(status, 0, err)
        bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 1)

    def test_sigterm_does_not_wait_for_dropped_io(self):
        daemon = self.start("--disk", "a=fault:op=read,after=2000,drop@null:1G", "--vhost-user-blk", "a=a.sock")
        bench = self.endless("a.sock", "--rw", "randread")
        self.wait_for_io(daemon)
        wait_for("dropped I/O", lambda: daemon.call("vhost_get_controllers")[0]["sessions"][0]["inflight_task_cnt"])
        status, err = daemon.stop()
        self.assertEqual(status, 0, err)
        bench.communicate(timeout=PATIENCE)

    def test_an_export_goes_with_dropped_io(self):
        daemon = self.start("--disk", "a=fault:op=read,drop@null:1G", "--vhost-user-blk", "a=a.sock")
        for name in ("a", "b"):  # the rules outlive the first
            if name == "b":
                daemon.call("vhost_create_blk_controller", ctrlr="b", dev_name="a", socket=str(self.path("b.sock")))
            bench = self.endless(f"{name}.sock", "--rw", "randread")
            wait_for("dropped I/O", lambda: any(
                s["inflight_task_cnt"] for s in daemon.call("vhost_get_controllers")[0]["sessions"]))
            daemon.call("vhost_delete_controller", ctrlr=name)
            bench.communicate(timeout=PATIENCE)
            self.assertEqual(bench.returncode, 1)
        daemon.call("bdev_delete", name="a")

    def test_a_session_as_it_is(self):
        daemon = self.start("--disk", "a=null:1G", "--vhost-user-blk", "a=a.sock,queues=4")
        bench = self.endless("a.sock", "--queues", "2", "--packed")
        self.wait_for_io(daemon)
        self.wait_for_queues(daemon, 2)
        session = daemon.call("vhost_get_controllers", name="a")[0]["sessions"][0]
        self.assertEqual(session["peer_pid"], bench.pid)
        self.assertIn("RING_PACKED", session["feature_names"])
        self.assertIn("INFLIGHT_SHMFD", session["protocol_feature_names"])
        self.assertGreaterEqual(len(session["regions"]), 1)
        running = [q for q in session["queues"] if q["started"]]
        self.assertEqual([q["layout"] for q in running], ["packed", "packed"])
        self.assertGreater(running[0]["requests"], 0)
        stats = daemon.call("bdev_get_iostat", name="a")["bdevs"][0]["operations"]["read"]
        lat = stats["latency_ns"]
        self.assertGreater(stats["ios"], 1000)
        self.assertTrue(0 < lat["p50"] <= lat["p99"] <= lat["p99.99"] <= lat["max"], lat)
        shown = self.cli("export", "show", "a")
        self.assertRegex(shown, r"RING_PACKED")
        self.assertRegex(shown, r" 0  running  packed ")
        bench.terminate()
        bench.communicate(timeout=PATIENCE)

    def test_an_export_goes_under_load(self):
        daemon = self.start("--disk", "a=null:1G", "--vhost-user-blk", "a=a.sock")
        bench = self.endless("a.sock")
        self.wait_for_io(daemon)
        daemon.call("vhost_delete_controller", ctrlr="a")
        self.assertEqual(daemon.call("vhost_get_controllers"), [])
        self.assertFalse(self.path("a.sock").exists())
        daemon.call("bdev_delete", name="a")
        bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 1)

    def test_modes_change_under_load(self):
        daemon = self.start("--disk", f"a=file:{self.image()}", "--vhost-user-blk", "a=a.sock")
        bench = self.endless("a.sock", "--rw", "randrw", "--verify", "--warmup", "0")
        self.wait_for_io(daemon)
        for mode in ("poll", "interrupt", "adaptive") * 3:
            daemon.call("reactor_set_mode", mode=mode)
        self.end_verified(bench)

    def queues_move_under_verified_writes(self, disk, *options):
        daemon = self.start("--disk", f"a={disk}", "--vhost-user-blk", "a=a.sock")
        reactors = len(daemon.call("framework_get_reactors")["reactors"])
        if reactors < 2:
            self.skipTest("one CPU, one reactor")
        bench = self.endless("a.sock", "--rw", "randrw", "--verify", "--queues", "2", "--warmup", "0",
                           *options)
        self.wait_for_io(daemon)
        self.wait_for_queues(daemon, 2)
        for turn in range(40):
            for queue, reactor in ((0, turn % reactors), (1, (turn + 1) % reactors), (0, (turn + 1) % reactors)):
                daemon.call("vhost_move_queue", ctrlr="a", queue=queue, reactor=reactor)
                self.assertEqual(self.places(daemon)[queue], reactor)
        self.end_verified(bench)

    def test_queues_move_split(self):
        self.queues_move_under_verified_writes(f"file:{self.image()}")

    def test_queues_move_packed(self):
        self.queues_move_under_verified_writes("ram:16M", "--packed")

    def test_queues_move_without_inflight_region(self):
        self.queues_move_under_verified_writes(f"file:{self.image()}", "--no-inflight", "--eventfd")

    def test_moves_that_cannot_be(self):
        daemon = self.start("--disk", "a=null:1G", "--vhost-user-blk", "a=a.sock,queues=4")

        def refused(what, *args, status=1):
            said = self.cli("vhost", "move", *args, status=status)
            self.assertEqual(said.count("\n"), 1, said)
            self.assertIn(what, said)

        refused("no front-end is connected", "a", "0", "0")
        bench = self.endless("a.sock")
        self.wait_for_io(daemon)
        refused("no export named", "b", "0", "0")
        refused("no queue 4 (0 to 3)", "a", "4", "0")
        refused("queue 3 does not run", "a", "3", "0")
        refused("no reactor 99", "a", "0", "99")
        refused("QUEUE: a number", "a", "x", "0", status=2)
        refused("queue: ", "a", "256", "0")
        before = self.places(daemon)
        self.cli("vhost", "move", "a", "0", before[0])
        self.assertEqual(self.places(daemon), before)
        bench.terminate()
        bench.communicate(timeout=PATIENCE)

    def test_counters_outlive_moves(self):
        daemon = self.start("--disk", "a=null:1G", "--vhost-user-blk", "a=a.sock")
        bench = self.endless("a.sock", "--eventfd")
        self.wait_for_io(daemon)

        def counters():
            queue = daemon.call("vhost_get_controllers")[0]["sessions"][0]["queues"][0]
            return {key: queue[key] for key in ("requests", "polls", "empty_polls", "kicks", "calls")}
        wait_for("kicks", lambda: counters()["kicks"])
        for _ in range(4):
            before = counters()
            daemon.call("vhost_move_queue", ctrlr="a", queue=0, reactor=1 - self.places(daemon)[0])
            after = counters()
            for key, value in before.items():
                self.assertGreaterEqual(after[key], value, key)
        bench.terminate()
        bench.communicate(timeout=PATIENCE)

    def test_a_move_does_not_hold_up_the_end(self):
        daemon = self.start("--disk", "a=fault:op=read,p=0.01,drop@null:1G", "--vhost-user-blk", "a=a.sock")
        bench = self.endless("a.sock", "--rw", "randread", "--no-inflight")
        self.wait_for_io(daemon)
        with Client(daemon.rpc) as client:
            client.send({"jsonrpc": "2.0", "id": 1, "method": "vhost_move_queue",
                         "params": {"ctrlr": "a", "queue": 0, "reactor": 1 - self.places(daemon)[0]}})
            wait_for("the move", lambda: daemon.call("vhost_get_controllers")[0]["sessions"][0]["state"] == "QUIESCING")
            with self.assertRaisesRegex(RpcError, "busy: try again"):
                daemon.call("vhost_move_queue", ctrlr="a", queue=0, reactor=0)
            self.assertEqual(daemon.stop()[0], 0)
        bench.communicate(timeout=PATIENCE)

    def test_calls_right_behind_moves(self):
        """In one batch: each runs from inside the answer of the one before."""
        daemon = self.start("--disk", "a=null:1G", "--vhost-user-blk", "a=a.sock")
        reactors = len(daemon.call("framework_get_reactors")["reactors"])
        bench = self.endless("a.sock")
        self.wait_for_io(daemon)
        moves = [{"jsonrpc": "2.0", "id": i, "method": "vhost_move_queue",
                  "params": {"ctrlr": "a", "queue": 0, "reactor": i % reactors}} for i in range(6)]
        with Client(daemon.rpc) as client:
            client.send(moves)
            self.assertEqual([a.get("result", a) for a in client.line()], [True] * 6)
            self.assertEqual(self.places(daemon), {0: 5 % reactors})
            self.assertEqual(daemon.call("vhost_get_controllers")[0]["sessions"][0]["state"], "RUNNING")
            client.send([*moves, {"jsonrpc": "2.0", "id": 9, "method": "vhost_delete_controller", "params": {"ctrlr": "a"}}])
            self.assertEqual([a.get("result", a) for a in client.line()], [True] * 7)
        bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 1)

    def killed_under_verified_writes(self, *options):
        args = ("--disk", f"a=file:{self.image()}", "--vhost-user-blk", "a=a.sock")
        daemon = self.start(*args)
        bench = self.endless("a.sock", "--rw", "randrw", "--verify", "--warmup", "0",
                           "--reconnect", "60", *options)
        for _ in range(3):
            self.wait_for_io(daemon)
            daemon.process.kill()
            daemon.wait()
            daemon = self.start(*args)
        self.wait_for_io(daemon)
        self.end_verified(bench)

    def test_killed_under_verified_writes_split(self):
        self.killed_under_verified_writes()

    def test_killed_under_verified_writes_packed(self):
        self.killed_under_verified_writes("--packed")


if __name__ == "__main__":
    unittest.main()
