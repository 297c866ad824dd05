# SPDX-License-Identifier: BSD-3-Clause
"""The other end of tools/shim/shim_wire.h in Python: any bytes as pages for unmodified programs."""

import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import threading
import shutil

SHIM = os.environ.get("NVRING_SHIM_LIB", "")
REQUEST = struct.Struct("<IIIIB3x11I")
ANSWER = struct.Struct("<iIIIIIQ")
LOOK, ADMIN, RESET, SUBSYS_RESET, RESCAN = range(5)
IDENTIFY, GET_LOG_PAGE, GET_FEATURES = 0x06, 0x02, 0x0a
MAGIC = 0x6D697368


def same(a, b):
    """Equal but for what nvme-cli 2.3 does: 32 bits as a signed number, 128 bits as a string."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, int) and isinstance(b, str):
        return str(a) == b
    if isinstance(a, int) and isinstance(b, int) and b < 0:
        return a == b + (1 << 32)
    return a == b


class Request:
    def __init__(self, fields, data=b""):
        (self.magic, self.op, self.ctrlr, self.ns, self.opc, self.nsid, self.cdw2, self.cdw3, self.cdw10, self.cdw11,
         self.cdw12, self.cdw13, self.cdw14, self.cdw15, self.data_bytes, self.timeout_ms) = fields
        self.data = data


class ShimServer:
    """`answer(request)` gives (status, result, data), or an OSError's number as a negative int."""

    def __init__(self, answer, namespaces=(1,), size=1 << 30):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvring-shim-"))
        self.answer, self.namespaces, self.size = answer, namespaces, size
        self.requests = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.folder / "socket"))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                self._serve_one(conn)

    def _serve_one(self, conn):
        head = conn.recv(REQUEST.size, socket.MSG_WAITALL)
        if len(head) < REQUEST.size:
            return
        req = Request(REQUEST.unpack(head))
        assert req.magic == MAGIC
        if req.op == ADMIN and req.opc & 1 and req.data_bytes:
            req.data = conn.recv(req.data_bytes, socket.MSG_WAITALL)
        self.requests.append(req)
        if req.op == LOOK:
            there = req.ctrlr == 0 and (req.ns == 0 or req.ns in self.namespaces)
            conn.sendall(ANSWER.pack(0 if there else -2, 0, 0, 0, 0, 512, self.size if req.ns and there else 0))
            return
        got = self.answer(req)
        if isinstance(got, int):
            conn.sendall(ANSWER.pack(got, 0, 0, 0, 0, 0, 0))
            return
        status, result, data = got
        data = data[:req.data_bytes].ljust(req.data_bytes, b"\0") if not status and req.opc & 2 else b""
        conn.sendall(ANSWER.pack(0, status, result & 0xFFFFFFFF, result >> 32, len(data), 0, 0) + data)

    def run(self, *args, status=0):
        """A program under the shim; its standard output. With status=None: the whole CompletedProcess."""
        env = {**os.environ, "LD_PRELOAD": SHIM, "NVRING_SHIM": str(self.folder), "LC_ALL": "C"}
        done = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=env)
        if status is None:
            return done
        assert done.returncode == status, f"{args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout
