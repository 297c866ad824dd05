# SPDX-License-Identifier: BSD-3-Clause
"""nvring-ssd for each test, and a client of our own for it: vfio-user over a socket, NVMe in shared memory.

It shares no line with the product's client and driver, so that it is an independent check of the SSD. By hand:
NVRING_SSD=build/tools/ssd/nvring-ssd tests/integration/test_ssd.py
"""

import json
import mmap
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

NVRING_SSD = os.environ.get("NVRING_SSD", "nvring-ssd")
PATIENCE = 240  # seconds until something counts as hung
IOVA = 0x100000000  # of the client's memory
MEM = 8 << 20
PAGE = 4096

# vfio-user
VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS = range(1, 9)
REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, RESET = range(9, 14)
BAR0, BAR4, CONFIG = 0, 4, 7
MSIX, ERR, REQ = 2, 3, 4

# registers
CAP, VS, INTMS, INTMC, CC, CSTS, NSSR, AQA, ASQ, ACQ = 0, 8, 0xc, 0x10, 0x14, 0x1c, 0x20, 0x24, 0x28, 0x30
RDY, CFS = 1, 2
CC_EN = 0x00460001

DNR, MORE = 1 << 14, 1 << 13


class Refused(Exception):
    """An error reply; the errno."""

    def __init__(self, number):
        super().__init__(os.strerror(number))
        self.errno = number


class Failed(Exception):
    """A completion with a status."""

    def __init__(self, status, dw0=0):
        super().__init__(f"status {status:#x}")
        self.status = status
        self.code = status & 0x7ff
        self.dw0 = dw0


class Gone(Exception):
    """The SSD has closed the connection."""


class Silent(Exception):
    """No completion came."""


def wait_for(what, condition):
    """Until condition() is true; its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


class Channel:
    """Messages of vfio-user."""

    def __init__(self, path, greet=True):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(path))
        self.next_id = 1
        self.capabilities = None
        if greet:
            self.greet()

    def greet(self):
        try:
            reply, _ = self.call(VERSION, struct.pack("<HH", 0, 1) + b'{"capabilities":{"max_msg_fds":8}}\0')
        except Refused:
            self.close()
            raise
        self.capabilities = json.loads(reply[4:].rstrip(b"\0"))["capabilities"]

    def close(self):
        self.sock.close()

    def send_raw(self, data, fds=()):
        try:
            if fds:
                socket.send_fds(self.sock, [data], list(fds))
            else:
                self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None

    def receive(self, size, fds):
        data = b""
        while len(data) < size:
            try:
                part, got, _, _ = socket.recv_fds(self.sock, size - len(data), 8)
            except ConnectionResetError:
                raise Gone from None
            if not part:
                raise Gone
            data += part
            fds += got
        return data

    def reply(self):
        """(id, command, flags, error, payload, fds) of the next message."""
        fds = []
        ident, cmd, size, flags, error = struct.unpack("<HHIII", self.receive(16, fds))
        return ident, cmd, flags, error, self.receive(size - 16, fds) if size > 16 else b"", fds

    def call(self, cmd, payload=b"", fds=(), flags=0):
        ident = self.next_id
        self.next_id = self.next_id % 0xffff + 1
        self.send_raw(struct.pack("<HHIII", ident, cmd, 16 + len(payload), flags, 0) + payload, fds)
        got, got_cmd, got_flags, error, data, got_fds = self.reply()
        assert (got, got_cmd) == (ident, cmd) and got_flags & 0xf == 1, (got, got_cmd, got_flags)
        if got_flags & 0x20:
            raise Refused(error)
        assert error == 0
        return data, got_fds

    def read(self, region, offset, size):
        data, _ = self.call(REGION_READ, struct.pack("<QII", offset, region, size))
        assert struct.unpack("<QII", data[:16]) == (offset, region, size) and len(data) == 16 + size
        return data[16:]

    def write(self, region, offset, data):
        reply, _ = self.call(REGION_WRITE, struct.pack("<QII", offset, region, len(data)) + data)
        assert struct.unpack("<QII", reply) == (offset, region, len(data))

    def dma_map(self, fd, iova, size, offset=0, flags=3):
        self.call(DMA_MAP, struct.pack("<IIQQQ", 32, flags, offset, iova, size), [fd] if fd is not None else [])

    def dma_unmap(self, iova, size, flags=0):
        self.call(DMA_UNMAP, struct.pack("<IIQQ", 24, flags, iova, size))

    def region_info(self, index, argsz=256):
        data, fds = self.call(GET_REGION_INFO, struct.pack("<IIIIQQ", argsz, 0, index, 0, 0, 0))
        return data, fds

    def set_irqs(self, index, start, eventfds, flags=(1 << 2) | (1 << 5), count=None):
        self.call(SET_IRQS, struct.pack("<IIIII", 20, flags, index, start,
                                        len(eventfds) if count is None else count), eventfds)


class Queue:
    """A submission and a completion queue of the same id."""

    def __init__(self, client, qid, entries, sq_iova, cq_iova, vector=None):
        self.client, self.qid, self.entries = client, qid, entries
        self.sq, self.cq = sq_iova, cq_iova
        self.tail = self.head = 0
        self.phase = 1
        self.vector = vector
        self.sq_head = 0
        client.fill(sq_iova, bytes(64 * entries))
        client.fill(cq_iova, bytes(16 * entries))

    def put(self, sqe):
        self.client.fill(self.sq + self.tail * 64, sqe)
        self.tail = (self.tail + 1) % self.entries

    def ring(self):
        self.client.bell(2 * self.qid, self.tail)

    def look(self):
        """The next completion (dw0, sqhd, sqid, cid, status), or None."""
        dw0, _, sqhd, sqid, cid, status = struct.unpack("<IIHHHH", self.client.peek(self.cq + self.head * 16, 16))
        if status & 1 != self.phase:
            return None
        self.head = (self.head + 1) % self.entries
        if self.head == 0:
            self.phase ^= 1
        self.sq_head = sqhd
        return dw0, sqhd, sqid, cid, status >> 1

    def free(self):
        self.client.bell(2 * self.qid + 1, self.head)

    def wait(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            done = self.look()
            if done:
                self.free()
                return done
            if time.monotonic() > end:
                raise Silent
            time.sleep(0)


def sqe(opc, nsid=0, prp1=0, prp2=0, cid=0, flags=0, mptr=0, dws=(), sgl=None):
    dws = (list(dws) + [0] * 6)[:6]
    data = sgl if sgl is not None else struct.pack("<QQ", prp1, prp2)
    return struct.pack("<BBHIIIQ", opc, flags, cid, nsid, 0, 0, mptr) + data + struct.pack("<6I", *dws)


class Client:
    """A driver as small as it can be."""

    def __init__(self, path, mem=MEM, map_bells=True):
        self.chan = Channel(path)
        self.memfd = os.memfd_create("client")
        os.ftruncate(self.memfd, mem)
        self.mem = mmap.mmap(self.memfd, mem)
        self.chan.dma_map(self.memfd, IOVA, mem)
        self.next_page = IOVA + 0x200000  # the first two megabytes are for rings
        self.next_ring = IOVA
        self.next_cid = 0
        self.bells = None
        self.admin = None
        info, fds = self.chan.region_info(BAR0)
        self.bar_flags = struct.unpack_from("<I", info, 4)[0]
        if fds and map_bells:
            self.bells = mmap.mmap(fds[0], PAGE, offset=0x1000)
        for fd in fds:
            os.close(fd)

    def close(self):
        self.chan.close()
        if self.bells:
            self.bells.close()
        self.mem.close()
        os.close(self.memfd)

    # memory
    def fill(self, iova, data):
        self.mem[iova - IOVA:iova - IOVA + len(data)] = data

    def peek(self, iova, size):
        return self.mem[iova - IOVA:iova - IOVA + size]

    def pages(self, n=1):
        """Fresh memory, in the order of its addresses."""
        at = self.next_page
        self.next_page += n * PAGE
        if self.next_page > IOVA + len(self.mem):
            self.next_page = IOVA + 0x200000
            return self.pages(n)
        self.fill(at, bytes(n * PAGE))
        return at

    def ring(self, size):
        at = self.next_ring
        self.next_ring += (size + 2 * PAGE - 1) // (2 * PAGE) * 2 * PAGE
        return at

    # registers
    def reg32(self, off):
        return struct.unpack("<I", self.chan.read(BAR0, off, 4))[0]

    def reg64(self, off):
        return struct.unpack("<Q", self.chan.read(BAR0, off, 8))[0]

    def set32(self, off, value):
        self.chan.write(BAR0, off, struct.pack("<I", value))

    def set64(self, off, value):
        self.chan.write(BAR0, off, struct.pack("<Q", value))

    def bell(self, index, value):
        if self.bells:
            self.bells[index * 4:index * 4 + 4] = struct.pack("<I", value)
        else:
            self.chan.write(BAR0, 0x1000 + index * 4, struct.pack("<I", value))

    # life
    def master(self, on=True):
        self.chan.write(CONFIG, 4, struct.pack("<H", 6 if on else 0))

    def disable(self):
        self.set32(CC, 0)
        wait_for("disabled", lambda: not self.reg32(CSTS) & RDY)

    def enable(self, entries=32, cc=CC_EN):
        self.master()
        self.next_ring = IOVA
        self.admin = Queue(self, 0, entries, self.ring(64 * entries), self.ring(16 * entries))
        self.set32(AQA, (entries - 1) << 16 | (entries - 1))
        self.set64(ASQ, self.admin.sq)
        self.set64(ACQ, self.admin.cq)
        self.set32(CC, cc)
        assert wait_for("ready", lambda: self.reg32(CSTS) & (RDY | CFS)) == RDY
        return self

    # commands
    def cid(self):
        self.next_cid = (self.next_cid + 1) & 0x7fff
        return self.next_cid

    def submit(self, queue, opc, **args):
        cid = self.cid()
        queue.put(sqe(opc, cid=cid, **args))
        queue.ring()
        return cid

    def run(self, queue, opc, patience=PATIENCE, **args):
        """One command to its end: dw0."""
        cid = self.submit(queue, opc, **args)
        dw0, _, sqid, got, status = queue.wait(patience)
        assert (sqid, got) == (queue.qid, cid), f"completion of {sqid}/{got}, expected {queue.qid}/{cid}"
        if status:
            raise Failed(status, dw0)
        return dw0

    def adm(self, opc, **args):
        return self.run(self.admin, opc, **args)

    def identify(self, cns, nsid=0, cntid=0, csi=0):
        page = self.pages()
        self.adm(6, nsid=nsid, prp1=page, dws=[cns | cntid << 16, csi << 24])
        return self.peek(page, PAGE)

    def log(self, lid, size=512, off=0, rae=False, lsp=0, nsid=0xffffffff):
        at = self.pages(2)
        self.adm(2, nsid=nsid, prp1=at, prp2=at + PAGE if size > PAGE else 0,
                 dws=[lid | lsp << 8 | rae << 15 | ((size // 4 - 1) & 0xffff) << 16, 0, off & 0xffffffff, off >> 32])
        return self.peek(at, size)

    def set_feature(self, fid, value=0, nsid=0, save=False, prp1=0, dws=()):
        return self.adm(9, nsid=nsid, prp1=prp1, dws=[fid | save << 31, value, *dws])

    def get_feature(self, fid, sel=0, nsid=0, value=0, prp1=0):
        return self.adm(0xa, nsid=nsid, prp1=prp1, dws=[fid | sel << 8, value])

    def queue(self, qid=1, entries=64, vector=None):
        q = Queue(self, qid, entries, self.ring(64 * entries), self.ring(16 * entries), vector)
        ien = 0 if vector is None else 2 | vector << 16
        self.adm(5, prp1=q.cq, dws=[(entries - 1) << 16 | qid, 1 | ien])
        self.adm(1, prp1=q.sq, dws=[(entries - 1) << 16 | qid, 1 | qid << 16])
        return q

    def prps(self, at, size):
        """prp1 and prp2 of a buffer that is contiguous."""
        first = PAGE - at % PAGE
        if size <= first:
            return at, 0
        if size <= first + PAGE:
            return at, at + first
        npages = (size - first + PAGE - 1) // PAGE
        lists = self.pages((npages * 8 + PAGE - 1) // PAGE)
        entries = [at + first + i * PAGE for i in range(npages)]
        self.fill(lists, struct.pack(f"<{npages}Q", *entries))
        return at, lists

    def read(self, queue, lba, nblocks, nsid=1, block=512, patience=PATIENCE):
        at = self.pages((nblocks * block + PAGE - 1) // PAGE)
        prp1, prp2 = self.prps(at, nblocks * block)
        self.run(queue, 2, nsid=nsid, prp1=prp1, prp2=prp2, patience=patience,
                 dws=[lba & 0xffffffff, lba >> 32, nblocks - 1])
        return self.peek(at, nblocks * block)

    def write(self, queue, lba, data, nsid=1, block=512, fua=False, patience=PATIENCE):
        at = self.pages((len(data) + PAGE - 1) // PAGE)
        self.fill(at, data)
        prp1, prp2 = self.prps(at, len(data))
        self.run(queue, 1, nsid=nsid, prp1=prp1, prp2=prp2, patience=patience,
                 dws=[lba & 0xffffffff, lba >> 32, (len(data) // block - 1) | fua << 30])

    # interrupts
    def vectors(self, n):
        """Eventfds of the first @n vectors."""
        fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(n)]
        self.chan.set_irqs(MSIX, 0, fds)
        return fds


def fires(fd, patience=PATIENCE):
    """Waits for an interrupt; how many came."""
    ready, _, _ = select.select([fd], [], [], patience)
    return struct.unpack("<Q", os.read(fd, 8))[0] if ready else 0


class Ssd:
    """One nvring-ssd, with a control socket."""

    def __init__(self, folder, *args):
        self.folder = pathlib.Path(folder)
        self.path = self.folder / "ssd.sock"
        self.ctl_path = self.folder / "ctl.sock"
        self.process = subprocess.Popen(
            [NVRING_SSD, "--socket", "ssd.sock", "--ctl", "ctl.sock", *map(str, args)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "LC_ALL": "C"})
        wait_for("control socket", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("nvring-ssd ended: " + self.process.stderr.read())
        try:
            return self.ctl("status")
        except (FileNotFoundError, ConnectionRefusedError):  # no socket yet, or the one of an SSD that was killed
            return None

    def ctl(self, line):
        """The answer, as it is."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(self.ctl_path))
            sock.sendall(line.encode() + b"\n")
            with sock.makefile() as file:
                return json.loads(file.readline())

    def do(self, line):
        answer = self.ctl(line)
        assert "error" not in answer, answer
        return answer

    def fetched(self, qid, commands):
        """Waits until the SSD has so many commands of a queue."""
        wait_for("commands fetched", lambda: [q for q in self.do("counters")["queues"]
                                              if q["id"] == qid and q["commands"] >= commands])

    def stop(self, signo=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signo)
        try:
            _, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, err


class SsdCase(unittest.TestCase):
    """A folder for each test; what is started is stopped and must end well."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvring-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.ssds, self.clients = [], []
        self.addCleanup(self._stop_all)

    def _stop_all(self):
        for client in self.clients:
            client.close()
        for ssd in self.ssds:
            if ssd.process.poll() is None:
                status, err = ssd.stop()
                self.assertEqual(status, 0, err)
                self.assertNotRegex(err, "ERROR: |runtime error: ")  # of sanitizers
                self.assertFalse(ssd.path.exists())
            else:
                ssd.process.communicate()

    def start(self, *args, ns="disk.img,size=16M"):
        ssd = Ssd(self.folder, *(["--ns", ns] if ns else []), *args)
        self.ssds.append(ssd)
        return ssd

    def connect(self, ssd, **options):
        client = Client(ssd.path, **options)
        self.clients.append(client)
        return client

    def drop(self, client):
        self.clients.remove(client)
        client.close()

    def fails(self, code, call, *args, **options):
        """The call ends with this status (SCT and SC)."""
        with self.assertRaises(Failed) as caught:
            call(*args, **options)
        self.assertEqual(hex(caught.exception.code), hex(code))
        return caught.exception

    def refused(self, number, call, *args, **options):
        with self.assertRaises(Refused) as caught:
            call(*args, **options)
        self.assertEqual(caught.exception.errno, number)
