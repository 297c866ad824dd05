#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A daemon whose disk is another server's socket (virtio-user:SOCKET): data, restarts, sizes, limits, and what is wrong with sockets."""

import os
import signal
import socket
import threading
import time
import unittest

from daemon_rig import Daemon, wait_for
from test_client import ClientCase, Qemu


class Chain(ClientCase):
    def lower(self, *options):
        """The server below, in a folder of its own."""
        folder = self.path("low")
        folder.mkdir(exist_ok=True)
        daemon = Daemon(folder, "--disk", f"l=file:{self.path('disk.img')}", "--vhost-user-blk", "l=l.sock", *options)
        self.daemons.append(daemon)
        daemon.ready()
        return daemon

    def upper(self, options="", below="low/l.sock"):
        return self.start("--disk", f"a=virtio-user:{self.path(below)}{options}", "--vhost-user-blk", "a=a.sock")

    def stats(self, daemon, name):
        return daemon.call("bdev_get_iostat", name=name)["bdevs"][0]

    def test_load_through_two_daemons(self):
        self.image()
        low = self.lower()
        for options in ("", "?packed=1&depth=8"):
            up = self.upper(options)
            load = self.load(self.path("a.sock"), 2)
            load.more(2)
            self.good(load)
            self.assertGreaterEqual(self.stats(low, "l")["num_write_ops"], self.stats(up, "a")["num_write_ops"])
            self.assertEqual(self.stats(up, "a")["bounces"], 0)  # the server below reaches the front-end's memory
            self.assertEqual(up.stop()[0], 0)

    def test_every_operation(self):
        self.image()
        self.lower()
        self.upper()
        self.cli("bench", self.path("a.sock"), "--rw", "randrw", "--ios", 3000, "--flush-every", 50, "--discard", 2,
                 "--write-zeroes", 2, "--verify-state", self.path("state"))

    def test_bench_opens_the_socket_as_a_disk(self):
        self.image()
        self.lower()
        self.cli("bench", f"virtio-user:{self.path('low/l.sock')}", "--rw", "randwrite", "--ios", 3000, "--verify")
        self.cli("bench", f"virtio-user:{self.path('low/l.sock')}", "--rw", "write", "--bs", "256K", "--ios", 60, "--verify")

    def test_the_server_below_dies_under_load(self):
        self.image()
        low = self.lower()
        up = self.upper()
        load = self.load(self.path("a.sock"), 2)
        for _ in range(3):
            # more than was in flight, which a server gets before all are told of it; rounds are told late, of the one before
            wait_for("I/O below", lambda: self.stats(low, "l")["num_write_ops"] > 2 * 32)
            low.stop(signal.SIGKILL)
            low = self.lower()
        load.more(2)
        self.good(load)
        status, log = up.stop()
        self.assertEqual(status, 0)
        self.assertEqual(log.count("the server is gone"), 3)
        self.assertEqual(log.count("there is a server again"), 3)

    def test_limits_on_top(self):
        self.image()
        self.lower()
        up = self.upper()
        up.call("bdev_set_qos", name="a", iops=2000)
        load = self.load(self.path("a.sock"), 2)
        load.more()
        self.good(load)
        self.assertGreater(up.call("bdev_get_bdevs", name="a")[0]["qos_stats"]["delayed"], 0)

    def test_a_new_size_is_passed_on(self):
        self.image()
        low = self.lower()
        up = self.upper()
        load = self.load(self.path("a.sock"), 1, "sleep")
        load.more()
        low.call("bdev_resize", name="l", size=32 << 20)
        wait_for("the size", lambda: f"resized {32 << 20}" in load.lines)
        low.stop(signal.SIGKILL)
        os.truncate(self.path("disk.img"), 48 << 20)
        self.lower()
        load.more()
        wait_for("the next size", lambda: f"resized {48 << 20}" in load.lines)
        self.good(load)
        self.assertEqual(up.stop()[0], 0)

    def test_patience_ends_and_begins_anew(self):
        self.image()
        low = self.lower()
        up = self.upper("?patience=200")

        def serves():
            return "errors" not in self.cli("bench", self.path("a.sock"), "--rw", "write", "--ios", 1, "--depth", 1, status=None)
        wait_for("the server", serves)
        low.stop(signal.SIGKILL)
        self.assertIn("error", self.cli("bench", self.path("a.sock"), "--rw", "write", "--ios", 1, "--depth", 1, status=1))
        self.lower()
        wait_for("the server", serves)
        self.cli("bench", self.path("a.sock"), "--rw", "randrw", "--ios", 1000, "--verify")
        status, log = up.stop()
        self.assertEqual(status, 0)
        self.assertIn("I/O fails until there is one", log)

    def test_it_ends_though_the_server_is_gone(self):
        self.image()
        low = self.lower()
        up = self.upper("?patience=0")
        load = self.load(self.path("a.sock"), 2)
        load.more()
        low.stop(signal.SIGKILL)
        time.sleep(0.2)
        self.assertEqual(up.stop()[0], 0)
        load.process.kill()

    def test_what_is_wrong_is_said_in_a_line(self):
        self.image()
        self.lower()
        def says(text, uri):
            line = self.refused("--disk", f"a={uri}", "--vhost-user-blk", "a=a.sock")
            self.assertEqual(line.count("\n"), 1, line)
            self.assertIn(text, line)
        good = self.path("low/l.sock")
        says("the socket is missing (virtio-user:SOCKET)", "virtio-user:")
        says("none.sock: cannot connect: No such file or directory", f"virtio-user:{self.path('none.sock')}")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.path("dead.sock")))
        says("dead.sock: cannot connect: Connection refused", f"virtio-user:{self.path('dead.sock')}")
        says("option queues=65", f"virtio-user:{good}?queues=65")
        says("unknown option 'nothing'", f"virtio-user:{good}?nothing=1")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(self.path("other.sock")))
            sock.listen()
            def answer():
                peer, _ = sock.accept()
                peer.recv(64)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.close()
            thread = threading.Thread(target=answer)
            thread.start()
            says("GET_FEATURES: an answer that is none", f"virtio-user:{self.path('other.sock')}")
            thread.join()


class ChainQemu(Qemu):
    """The server below is not ours."""

    def test_load(self):
        self.image()
        self.serve_qemu()
        self.start("--disk", f"a=virtio-user:{self.path('q.sock')}", "--vhost-user-blk", "a=a.sock")
        load = self.load(self.path("a.sock"), 2)
        load.more(2)
        self.good(load)

    def test_killed_under_load(self):
        self.image()
        qsd = self.serve_qemu()
        self.start("--disk", f"a=virtio-user:{self.path('q.sock')}", "--vhost-user-blk", "a=a.sock")
        load = self.load(self.path("a.sock"), 2)
        for _ in range(2):
            load.more()
            qsd.kill()
            qsd.wait()
            qsd = self.serve_qemu()
        load.more(2)
        self.good(load)


if __name__ == "__main__":
    unittest.main()
