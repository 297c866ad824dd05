#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""libnvring-client against nvringd and qemu-storage-daemon: load that is looked at, servers that are killed, sizes that change."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import unittest

from daemon_rig import DaemonCase, PATIENCE, listens, wait_for

LOAD = os.environ.get("CLIENT_LOAD", "client_load")
LIBRARY = os.environ.get("NVRING_CLIENT", "libnvring-client.so")
ARCHIVE = os.environ.get("NVRING_CLIENT_STATIC", "libnvring-client.a")
MAP = os.environ.get("NVRING_CLIENT_MAP", "nvring-client.map")
PLUGIN = os.environ.get("NBDKIT_PLUGIN")
FIO, NBDKIT = shutil.which("fio"), shutil.which("nbdkit")
QSD = shutil.which("qemu-storage-daemon")

KINDS = ((), ("packed",), ("sleep",), ("packed", "sleep"), ("no-inflight",), ("packed", "no-inflight", "loop"))


class Load:
    """client_load, with what it says."""

    def __init__(self, path, queues, *words):
        self.process = subprocess.Popen([LOAD, str(path), str(queues), *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.queues, self.lines = queues, []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def rounds(self):
        """Of the slowest queue."""
        if self.process.poll() is not None:
            raise AssertionError(f"client_load ended: {self.lines[-1:]}")
        return min(sum(l.startswith(f"round {q} ") for l in list(self.lines)) for q in range(self.queues))

    def more(self, rounds=1):
        goal = self.rounds() + rounds
        wait_for("another round", lambda: self.rounds() >= goal)

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(timeout=PATIENCE)
        self.reader.join()
        self.process.stdout.close()
        return status, self.lines[-1:]


class ClientCase(DaemonCase):
    def load(self, path, queues, *words):
        load = Load(path, queues, *words)
        self.addCleanup(lambda: load.process.poll() is not None or load.process.kill())
        return load

    def good(self, load):
        self.assertEqual(load.end(), (0, ["all right"]))

    def serve(self, *extra):
        return self.start("--disk", f"a=file:{self.path('disk.img')}", "--vhost-user-blk", "a=a.sock", *extra)


class Nvringd(ClientCase):
    def test_load_of_every_kind(self):
        self.image()
        self.serve()
        for words in KINDS:
            load = self.load(self.path("a.sock"), 4 if "packed" in words else 1, *words)
            load.more(2)
            self.good(load)

    def test_killed_under_load(self):
        self.image()
        for words in KINDS:
            daemon = self.serve()
            load = self.load(self.path("a.sock"), 3, *words)
            for _ in range(2):
                load.more()
                daemon.stop(signal.SIGKILL)
                daemon = self.serve()
            load.more()
            self.good(load)
            self.assertEqual(daemon.stop()[0], 0)

    def test_stopped_in_order_and_back_with_another_size(self):
        self.image()
        daemon = self.serve()
        load = self.load(self.path("a.sock"), 2)
        load.more()
        self.assertEqual(daemon.stop()[0], 0)
        os.truncate(self.path("disk.img"), 24 << 20)
        self.serve()
        load.more()
        wait_for("the size", lambda: f"resized {24 << 20}" in load.lines)
        self.good(load)

    def test_resize_is_told(self):
        self.image()
        daemon = self.serve()
        for words in ((), ("sleep",)):
            load = self.load(self.path("a.sock"), 2, *words)
            load.more()
            size = (40 if words else 32) << 20
            daemon.call("bdev_resize", name="a", size=size)
            wait_for("the size", lambda: f"resized {size}" in load.lines)
            self.good(load)


class Copy(ClientCase):
    program = os.environ.get("DISK_COPY", "disk_copy")

    def random_image(self, name):
        with open(self.path(name), "wb") as file:
            file.write(os.urandom(8 << 20))

    def test_a_copy_is_a_copy_even_if_servers_die(self):
        self.random_image("from.img")
        self.image("to.img", 8)
        slow = f"fault:op=read,range=4M-5M,delay=200ms@file:{self.path('from.img')}"
        def serve():
            return self.start("--disk", f"f={slow}", "--disk", f"t=file:{self.path('to.img')}",
                              "--vhost-user-blk", "f=f.sock", "--vhost-user-blk", "t=t.sock")
        daemon = serve()
        copy = subprocess.Popen([self.program, self.path("f.sock"), self.path("t.sock")], stderr=subprocess.PIPE, text=True)
        wait_for("half of it", lambda: daemon.call("bdev_get_iostat", name="t")["bdevs"][0]["num_write_ops"] > 8)
        daemon.stop(signal.SIGKILL)
        serve()
        self.assertEqual(copy.communicate(timeout=PATIENCE)[1], "")
        self.assertEqual(copy.returncode, 0)
        self.assertEqual(self.path("from.img").read_bytes(), self.path("to.img").read_bytes())

    def failing(self, *sockets):
        done = subprocess.run([self.program, *sockets], stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1)
        return done.stderr

    def test_what_is_wrong_is_said(self):
        self.random_image("disk.img")
        self.serve()
        good, none, dead, other = (str(self.path(n)) for n in ("a.sock", "none.sock", "dead.sock", "other.sock"))
        self.assertIn("none.sock: cannot connect: No such file", self.failing(good, none))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(dead)
        self.assertIn("dead.sock: cannot connect: Connection refused", self.failing(dead, good))
        self.assertIn("cannot connect", self.failing(str(self.path("disk.img")), good))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(other)
            sock.listen()
            def answer():
                peer, _ = sock.accept()
                peer.recv(64)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.close()
            thread = threading.Thread(target=answer)
            thread.start()
            self.assertIn("other.sock: GET_FEATURES: an answer that is none", self.failing(other, good))
            thread.join()


class CopyStatic(Copy):
    """The same with the static library."""
    program = os.environ.get("DISK_COPY_STATIC", "disk_copy")


@unittest.skipUnless(QSD, "qemu-storage-daemon is not installed")
class Qemu(ClientCase):
    """7.2 tells nobody of a new size (block_resize sends no message), so that is not asked for here."""

    def serve_qemu(self):
        """Ready when it answers on its monitor."""
        path = self.path("q.sock")
        path.unlink(missing_ok=True)
        qsd = subprocess.Popen(
            [QSD, "--chardev", "stdio,id=m", "--monitor", "chardev=m", "--blockdev",
             f"driver=file,node-name=n0,locking=off,filename={self.path('disk.img')}", "--export",
             f"type=vhost-user-blk,id=e0,node-name=n0,addr.type=unix,addr.path={path},writable=on,num-queues=4"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        def end():
            qsd.kill()
            qsd.communicate()
        self.addCleanup(end)
        self.ask(qsd, "qmp_capabilities")
        return qsd

    @staticmethod
    def ask(qsd, command, **arguments):
        qsd.stdin.write(json.dumps({"execute": command, "arguments": arguments}))
        qsd.stdin.flush()
        for line in qsd.stdout:
            if "return" in json.loads(line):
                return
            if "error" in json.loads(line):
                raise AssertionError(line)
        raise AssertionError("qemu-storage-daemon ended")

    def test_load(self):
        self.image()
        self.serve_qemu()
        for words in ((), ("sleep",), ("no-inflight", "loop")):
            load = self.load(self.path("q.sock"), 2, *words)
            load.more(2)
            self.good(load)

    def test_killed_under_load(self):
        self.image()
        for words in ((), ("sleep", "no-inflight")):
            qsd = self.serve_qemu()
            load = self.load(self.path("q.sock"), 3, *words)
            for _ in range(2):
                load.more()
                qsd.kill()
                qsd.wait()
                qsd = self.serve_qemu()
            load.more(2)
            self.good(load)
            qsd.kill()
            qsd.wait()


@unittest.skipUnless(PLUGIN and FIO and NBDKIT, "nbdkit, its headers or fio are not installed")
class Nbdkit(ClientCase):
    """fio on a disk: its nbd engine, nbdkit, the plugin of the documentation, nvringd."""

    def setUp(self):
        super().setUp()
        with open(PLUGIN, "rb") as file:
            code = file.read()
        if b"__asan_init" in code or b"__tsan_init" in code:
            self.skipTest("nbdkit loads no plugin of a sanitizer")

    def nbdkit(self, *args, **options):
        return subprocess.Popen([NBDKIT, "-f", "-U", self.path("n.sock"), PLUGIN, *args], cwd=self.folder,
                                stderr=subprocess.PIPE, text=True, **options)

    def test_fio_verifies(self):
        self.image()
        daemon = self.serve()
        nbdkit = self.nbdkit(self.path("a.sock"))
        self.addCleanup(nbdkit.communicate)
        self.addCleanup(nbdkit.kill)
        wait_for("nbdkit", lambda: listens(self.path("n.sock")))
        fio = subprocess.run(
            [FIO, "--name=a", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={self.path('n.sock')}", "--rw=randrw", "--bs=4k,64k",
             "--size=8M", "--verify=crc32c", "--do_verify=1", "--output-format=json"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False, cwd=self.folder)
        self.assertEqual(fio.returncode, 0, fio.stdout)
        self.assertGreater(daemon.call("bdev_get_iostat", name="a")["bdevs"][0]["num_write_ops"], 64)

    def test_what_is_wrong_is_said(self):
        for args, says in ((["none.sock"], "none.sock: cannot connect: No such file"), ([], "socket=PATH is missing"),
                           (["sock=a"], "unknown parameter 'sock'")):
            nbdkit = self.nbdkit(*args)
            self.assertIn(says, nbdkit.communicate(timeout=PATIENCE)[1])
            self.assertNotEqual(nbdkit.returncode, 0)


class Symbols(unittest.TestCase):
    def defined(self, *args):
        out = subprocess.run(["nm", "--defined-only", *args], stdout=subprocess.PIPE, text=True, check=True).stdout
        return {m.group(1) for m in re.finditer(r"^\S+ [TDBRVW] (\w+)", out, re.M)}

    def test_the_libraries_show_what_the_map_says(self):
        with open(MAP, encoding="ascii") as file:
            wanted = set(re.findall(r"^\t(nvrc_\w+);$", file.read(), re.M))
        self.assertGreater(len(wanted), 10)
        self.assertEqual(self.defined("-D", LIBRARY), wanted)
        self.assertEqual(self.defined("-g", ARCHIVE), wanted)


if __name__ == "__main__":
    unittest.main()
