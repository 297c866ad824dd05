# SPDX-License-Identifier: BSD-3-Clause
"""A daemon for each test, in a folder of its own, and what the tests ask it.

By hand: NVRINGD=build/tools/nvringd/nvringd NVRING=build/tools/nvring/nvring tests/integration/test_rpc.py
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

NVRINGD = os.environ.get("NVRINGD", "nvringd")
NVRING = os.environ.get("NVRING", "nvring")
PATIENCE = 240  # seconds until something counts as hung; nothing here takes one, unless the machine is very busy


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]
        self.message = error["message"]


def wait_for(what, condition, pause=0.01, patience=PATIENCE):
    """Until condition() is true; its value."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {patience} s")


def listens(path):
    """Whether somebody listens on that socket: it is there before. Asked without connecting, which would make us a client."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
        return any(line.rstrip("\n").endswith(f" {path}") and line.split()[3] == "00010000" for line in table)


class Client:
    """A connection to the control interface, for well-behaved and other calls."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(path))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else json.dumps(data).encode())

    def line(self):
        """The next answer, or None at the end of the stream."""
        while b"\n" not in self.buffer:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def call(self, method, **params):
        self.send({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = self.line()
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]


class Daemon:
    """One nvringd. `args` besides the control socket, which is always `rpc` in the folder; `wrap`: a program that runs it."""

    def __init__(self, folder, *args, rpc=True, env=None, pass_fds=(), wrap=()):
        self.folder = pathlib.Path(folder)
        self.is_waited = False
        self.rpc = self.folder / "rpc.sock"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(PATIENCE)
        notify_path = tempfile.mktemp(prefix="notify-", dir=folder)
        self.notify.bind(notify_path)
        command = [*wrap, NVRINGD, *map(str, args)] + (["--rpc", str(self.rpc)] if rpc else [])
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, pass_fds=pass_fds,
            env={**os.environ, "NOTIFY_SOCKET": notify_path, "LC_ALL": "C", **(env or {})})

    def ready(self):
        """Waits for READY=1; the message."""
        self.notify.settimeout(0.05)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                message = self.notify.recv(4096).decode()
                self.notify.settimeout(PATIENCE)
                return message
            except socket.timeout:
                if self.process.poll() is not None:
                    raise AssertionError("nvringd ended: " + self.process.stderr.read()) from None
        raise AssertionError("nvringd is not ready")

    def call(self, method, **params):
        with Client(self.rpc) as client:
            return client.call(method, **params)

    def stop(self, signo=signal.SIGTERM):
        """Ends it; the exit status and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(signo)
        return self.wait()

    def wait(self):
        self.is_waited = True  # and its status is looked at
        _, err = self.process.communicate(timeout=PATIENCE)
        self.notify.close()
        return self.process.returncode, err


class DaemonCase(unittest.TestCase):
    """A folder for each test; daemons that are still there at its end are stopped and must end well."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvring-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.daemons = []
        self.addCleanup(self._stop_all)

    def _stop_all(self):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                status, err = daemon.stop()
                self.assertEqual(status, 0, err)
            elif not daemon.is_waited:
                status, err = daemon.wait()
                self.assertIn(status, (0, -signal.SIGKILL), err)

    def path(self, name):
        return self.folder / name

    def start(self, *args, **options):
        daemon = Daemon(self.folder, *args, **options)
        self.daemons.append(daemon)
        daemon.ready()
        return daemon

    def refused(self, *args, status=1):
        """nvringd does not start; the one line it says."""
        done = subprocess.run([NVRINGD, *map(str, args)], cwd=self.folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE,
                              check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def cli(self, *args, status=0, cwd=None):
        """nvring on the control socket of the folder; its standard output (or error, when it fails); both when status is None."""
        done = subprocess.run([NVRING, "-s", str(self.path("rpc.sock")), *map(str, args)],
                              cwd=cwd or self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        if status is None:
            return done.stdout + done.stderr
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stderr if status else done.stdout

    def image(self, name="disk.img", megabytes=16):
        path = self.path(name)
        with open(path, "wb") as file:
            file.truncate(megabytes << 20)
        return path


class LoadCase(DaemonCase):
    """Daemons with I/O under way."""

    def bench(self, *args):
        self.running = subprocess.Popen([NVRING, "bench", *map(str, args)], cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self.running

    def endless(self, *args):
        """A load that goes on until the test ends it."""
        return self.bench(*args, "--time", "60m")

    def wait_for_io(self, daemon, name="a"):
        """Until the disk has seen I/O of the load started last, which is not to end before."""
        def io_seen():
            if self.running.poll() is not None:
                raise AssertionError(f"the load ended, {self.running.returncode}: {self.running.communicate()}")
            stats = daemon.call("bdev_get_iostat", name=name)["bdevs"][0]
            return stats["num_read_ops"] + stats["num_write_ops"] > 1000
        wait_for("I/O", io_seen)

    def end_verified(self, bench):
        """The load has verified what it read, and is content; however slow the disk is, it was told to end only now."""
        bench.terminate()
        out, err = bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 0, out + err)
        self.assertRegex(out, r"verified +[1-9]\d* blocks, 0 bad")

    def places(self, daemon):
        """Queue -> reactor, of the queues that run."""
        session = daemon.call("vhost_get_controllers", name="a")[0]["sessions"][0]
        return {q["index"]: q["reactor"] for q in session["queues"] if q["started"]}

    def wait_for_queues(self, daemon, n):
        """Until this many have done something each: the last is started long after the first."""
        def all_did():
            sessions = daemon.call("vhost_get_controllers")[0]["sessions"]
            return sessions and sum(q["requests"] > 0 for q in sessions[0]["queues"] if q["started"]) == n
        wait_for(f"{n} queues", all_did)
