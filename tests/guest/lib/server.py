# SPDX-License-Identifier: BSD-3-Clause
"""The programs that serve the disks: nvringd, and QEMU's storage daemon to check the harness with."""

import json
import os
import shutil
import socket
import subprocess
import time

from . import dpdk, process
from .errors import GuestError
from .process import PATIENCE


class Export:
    """A disk and the sockets it is reached by: an image file, or what URI says.

    FAULTS are rules of the fault device on top of it.
    """

    def __init__(self, name, image, sockets, *, read_only=False, faults="", uri=None):
        self.name = name
        self.image = image
        self.sockets = sockets
        self.read_only = read_only
        self.faults = faults
        self.uri = uri or f"file:{image}"


class Server:
    """A running daemon; subclasses say how it is started and spoken to."""

    program = ""
    # what tests may ask for
    abilities = frozenset()

    def __init__(self, folder, exports):
        self.folder = folder
        self.exports = exports
        self.log = folder / "server.log"
        self.process = None
        self.outlive = False

    # of the process
    spawn_options = {}

    def argv(self):
        raise NotImplementedError

    def started(self):
        """The process runs; it may not listen yet."""

    def start(self):
        if not shutil.which(self.program):
            raise GuestError(f"{self.program} is not there; NVRINGD names the one to test")
        with open(self.log, "ab") as log:
            self.process = process.spawn(self.argv(), self.outlive, stdout=log, stderr=subprocess.STDOUT,
                                         **self.spawn_options)
        self.started()
        deadline = time.monotonic() + PATIENCE
        for path in self.listens_on():
            while not self._listens(path):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise GuestError(f"{self.program} does not listen on {path}:\n{self.tail()}")
                time.sleep(0.002)
        return self

    def listens_on(self):
        return [path for export in self.exports for path in export.sockets]

    @staticmethod
    def _listens(path):
        """Whether PATH is bound to a listening socket, found out without connecting to it."""
        try:
            with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:
                return any(line.rstrip("\n").endswith(f" {path}") and line.split()[3] == "00010000"
                           for line in table)
        except OSError:
            return os.path.exists(path)

    def kill(self):
        """kill -9, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the daemon must end by itself and say 0."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        code = process.wait(self.process, self.program)
        if code != 0:
            raise GuestError(f"{self.program} ended with {code} on SIGTERM:\n{self.tail()}")

    def abandon(self):
        """Ends the daemon whatever it does."""
        if self.process:
            process.end(self.process, 3)

    def alive(self):
        return self.process.poll() is None

    def state(self):
        """What it is at, for those who look why a test failed."""
        return self.tail()

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  > {line}" for line in lines[-20:])


class Nvringd(Server):
    """Our daemon."""

    program = os.environ.get("NVRINGD", "nvringd")
    abilities = frozenset({"resize", "packed", "crash", "migrate", "regions", "slots", "serial", "inspect", "nvme"})

    @property
    def rpc_path(self):
        return self.folder / "rpc.sock"

    def listens_on(self):
        return [*super().listens_on(), self.rpc_path]

    def argv(self):
        words = [self.program, "--rpc", self.rpc_path, "--mode", "adaptive"]
        for export in self.exports:
            option = "--disk-ro" if export.read_only else "--disk"
            faults = f"fault:{export.faults}@" if export.faults else ""
            words += [option, f"{export.name}={faults}{export.uri}"]
            for number, path in enumerate(export.sockets):
                words += ["--vhost-user-blk", f"{export.name}={path},name={export.name}-{number}"]
        return words

    def state(self):
        ask = [os.environ.get("NVRING", "nvring"), "-s", self.rpc_path]
        exports = [f"{export.name}-{number}" for export in self.exports for number, _ in enumerate(export.sockets)]
        return "".join(process.said([*ask, *words]) for words in
                       (["status"], *(["export", "show", name] for name in exports))) + self.tail()

    def rpc(self, method, **parameters):
        """One JSON-RPC 2.0 call."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(PATIENCE)
            link.connect(str(self.rpc_path))
            link.sendall(json.dumps(request).encode())
            received = b""
            while True:
                data = link.recv(65536)
                received += data
                try:
                    answer = json.loads(received)
                    break
                except ValueError as error:
                    if not data:
                        raise GuestError(f"{method}: answer {received!r}") from error
        if "error" in answer:
            raise GuestError(f"{method}: {answer['error']}")
        return answer.get("result")

    def resize(self, name, size):
        self.rpc("bdev_resize", name=name, size=size)


class Ssd(Server):
    """The software SSD: each of IMAGES is a namespace, from 1."""

    program = os.environ.get("NVRING_SSD", "nvring-ssd")

    def __init__(self, folder, images, options=(), name="ssd"):
        super().__init__(folder, [])
        self.name = name
        self.log = folder / f"{name}.log"
        self.images = images
        self.options = list(options)

    @property
    def socket(self):
        return self.folder / f"{self.name}.sock"

    def listens_on(self):
        return [self.socket, self.folder / f"{self.name}.ctl"]

    def uri(self, nsid, options=""):
        """For nvringd: the namespace through the NVMe driver; OPTIONS as in the URI."""
        return f"nvme+vfio-user:{self.socket}/{nsid}" + (f"?{options}" if options else "")

    def argv(self):
        namespaces = [word for image in self.images for word in ("--ns", f"file={image}")]
        return [self.program, "--socket", self.socket, "--ctl", self.folder / f"{self.name}.ctl", *namespaces,
                *self.options]

    def ctl(self, *words):
        """A control command; its answer."""
        done = subprocess.run([self.program, "ctl", self.folder / f"{self.name}.ctl", *map(str, words)], text=True,
                              check=False, timeout=PATIENCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise GuestError(f"nvring-ssd ctl {' '.join(map(str, words))}: {done.stdout}")
        return json.loads(done.stdout)

    def fault(self, rule):
        """Adds RULE; its number."""
        return self.ctl("fault", rule)["id"]

    def fired(self, rule):
        """How often the rule of that number has."""
        return next(entry["fired"] for entry in self.ctl("faults")["faults"] if entry["id"] == rule)


class StorageDaemon(Server):
    """qemu-storage-daemon: shows that a test's harness is right where nvringd is in doubt."""

    program = "qemu-storage-daemon"
    abilities = frozenset({"migrate", "regions", "slots"})

    def argv(self):
        words = [self.program]
        number = 0
        for export in self.exports:
            writable = "off" if export.read_only else "on"
            words += ["--blockdev", f"driver=file,node-name={export.name},filename={export.image},"
                      f"discard=unmap,read-only={'on' if export.read_only else 'off'}"]
            for path in export.sockets:
                number += 1
                words += ["--export", f"type=vhost-user-blk,id=e{number},node-name={export.name},addr.type=unix,"
                          f"addr.path={path},writable={writable},num-queues=4"]
        return words


class DpdkVdpa(Server):
    """DPDK's vDPA example with our driver: a device for each socket; those of one disk share it."""

    program = "dpdk-vdpa"
    abilities = frozenset({"resize", "packed", "crash", "migrate", "nvme", "regions"})
    spawn_options = {"stdin": subprocess.PIPE, "text": True}
    eal = ("--no-huge", "-m", "64")
    # arguments of every device, and of the example
    extra = ",resize_s=1"
    words = ()

    def __init__(self, folder, exports):
        super().__init__(folder, exports)
        self.program = str(dpdk.example())
        self.plugin = dpdk.plugin()

    def devices(self):
        """(socket, arguments) of each device, in the order of their numbers."""
        found = []
        for export in self.exports:
            uri = f"fault:{export.faults}@{export.uri}" if export.faults else export.uri
            shared = f",disk={export.name}" if len(export.sockets) > 1 else ""
            for path in export.sockets:
                found.append((path, f"backend=[{uri}]{shared},queues=8{',readonly=1' if export.read_only else ''}"
                                    f"{self.extra}"))
        return found

    def argv(self):
        words = [self.program, *self.eal, "--no-pci", "--no-telemetry", "--file-prefix", "-".join(self.folder.parts[-2:]),
                 "-d", self.plugin]
        for number, (_, arguments) in enumerate(self.devices()):
            words += ["--vdev", f"vdpa_nvring{number},{arguments}"]
        return [*words, "--", "--interactive", *self.words]

    def resize(self, name, size):
        """The driver looks by itself."""
        os.truncate(next(export.image for export in self.exports if export.name == name), size)

    def command(self, *words):
        """A line for the example's prompt."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def started(self):
        for number, (path, _) in enumerate(self.devices()):
            if not self.words and os.path.exists(path):  # of one that was killed: the example leaves it to us
                os.unlink(path)
            self.command("create", path, f"vdpa_nvring{number}")


def chosen():
    """The server class the environment asks for."""
    return {"nvringd": Nvringd, "qemu-storage-daemon": StorageDaemon, "dpdk-vdpa": DpdkVdpa}[
        os.environ.get("NVRING_GUEST_SERVER", "nvringd")]
