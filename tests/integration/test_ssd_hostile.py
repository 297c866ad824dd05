#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring-ssd: faults by rules, clients that lie, vanish or stall, the control socket, the command line."""

import errno
import os
import pathlib
import re
import signal
import socket
import struct
import time
import subprocess
import unittest

from ssd_rig import (BAR0, CFS, CONFIG, CSTS, DMA_MAP, GET_INFO, GET_IRQ_INFO, GET_REGION_INFO, IOVA, MSIX, NVRING_SSD, PAGE,
                     PATIENCE, RDY, REGION_READ, REGION_WRITE, REQ, SET_IRQS, VERSION, Channel, Client, Failed, Gone,
                     Refused, Silent, SsdCase, fires, sqe, wait_for)
from test_ssd import pattern

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELLO = struct.pack("<HH", 0, 1)


class Faults(SsdCase):
    def begin(self, *rules):
        ssd = self.start(*[word for rule in rules for word in ("--fault", rule)])
        client = self.connect(ssd).enable()
        return ssd, client, client.queue()

    def test_status(self):
        _, client, queue = self.begin("op=read,lba=100-200,status=read-error", "op=write,status=0x280,dnr",
                                      "op=flush,status=ns-not-ready,crd=2")
        self.assertEqual(client.read(queue, 99, 1), bytes(512))
        client.read(queue, 200, 1)
        failed = self.fails(0x281, client.read, queue, 99, 2)
        self.assertFalse(failed.status & 1 << 14)
        self.fails(0x281, client.read, queue, 199, 8)
        self.assertTrue(self.fails(0x280, client.write, queue, 0, pattern(512)).status & 1 << 14)
        self.assertEqual(client.read(queue, 0, 1), bytes(512))  # was not written
        self.assertEqual(self.fails(0x082, client.run, queue, 0, nsid=1).status >> 11 & 3, 2)

    def test_counts(self):
        ssd, client, queue = self.begin("op=read,after=2,every=3,first=2,status=0x281")
        outcome = []
        for _ in range(15):
            try:
                client.read(queue, 0, 1)
                outcome.append(0)
            except Failed:
                outcome.append(1)
        self.assertEqual(outcome, [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
        self.assertEqual(ssd.do("faults")["faults"][0]["fired"], 2)
        self.assertEqual(ssd.do("faults")["faults"][0]["matched"], 15)

    def test_chance(self):
        seen = []
        for seed in (1, 1, 2):
            ssd, client, queue = self.begin(f"op=read,p=30%,seed={seed},status=0x281")
            outcome = []
            for _ in range(100):
                try:
                    client.read(queue, 0, 1)
                    outcome.append(0)
                except Failed:
                    outcome.append(1)
            seen.append(outcome)
            self.drop(client)
            ssd.stop()
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])
        self.assertTrue(10 < sum(seen[0]) < 60, seen[0])

    def test_by_queue_and_namespace(self):
        ssd = self.start("--null", "1M", "--fault", "queue=2,status=0x006", "--fault", "ns=2,queue=io,status=0x001",
                         "--fault", "op=admin-identify,first=1,status=0x006")
        client = self.connect(ssd).enable()
        self.fails(0x006, client.identify, 1)
        client.identify(1)
        one, two = client.queue(1), client.queue(2)
        client.read(one, 0, 1)
        self.fails(0x006, client.read, two, 0, 1)
        self.fails(0x001, client.read, one, 0, 1, nsid=2)
        client.identify(0, 2)

    def test_delay(self):
        _, client, queue = self.begin("op=read,first=1,delay=50ms", "op=flush,first=1,delay=3600s")
        begin = time.monotonic()
        client.read(queue, 0, 1)
        self.assertGreaterEqual(time.monotonic(), begin + 0.05)
        client.submit(queue, 0, nsid=1)
        client.read(queue, 0, 1)  # overtakes it

    def test_service(self):
        """Two at a time, first come, first served, over all queues; administration does not wait."""
        client = self.connect(self.start("--service", "200000,2")).enable()
        one, two = client.queue(1), client.queue(2)
        begin = time.monotonic()
        client.submit(one, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        client.submit(one, 0, nsid=1)  # a flush takes as long
        wait_for("fetched", lambda: client.identify(1) and time.monotonic() > begin + 0.05)
        client.submit(two, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        one.wait()
        one.wait()
        self.assertGreaterEqual(time.monotonic(), begin + 0.2)
        two.wait()
        self.assertGreaterEqual(time.monotonic(), begin + 0.4)

    def test_drop(self):
        ssd, client, queue = self.begin("op=read,first=1,drop")
        cid = client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        client.read(queue, 0, 1)
        self.assertEqual(client.adm(8, dws=[1 | cid << 16]), 1)  # not even then
        client.disable()
        client.enable()
        client.read(client.queue(), 0, 1)
        self.assertEqual(ssd.do("counters")["faults"], 1)

    def test_twice_and_unknown(self):
        _, client, queue = self.begin("op=read,first=1,dup", "op=write,first=1,badcid")
        cid = client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        self.assertEqual([queue.wait()[3], queue.wait()[3]], [cid, cid])
        cid = client.submit(queue, 1, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        self.assertEqual(queue.wait()[3], ~cid & 0xffff)
        client.read(queue, 0, 1)

    def test_fatal(self):
        _, client, queue = self.begin("op=read,first=1,cfs")
        client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        wait_for("CFS", lambda: client.reg32(CSTS) & CFS)
        with self.assertRaises(Silent):
            client.adm(6, prp1=client.pages(), dws=[1], patience=0.05)
        client.disable()
        client.enable()
        client.read(client.queue(), 0, 1)

    def test_hang(self):
        ssd, client, queue = self.begin("op=read,first=1,hang")
        client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        wait_for("hung", lambda: ssd.do("status")["hung"])
        with self.assertRaises(Silent):
            client.adm(6, prp1=client.pages(), dws=[1], patience=0.05)
        self.assertEqual(client.reg32(CSTS), RDY)
        client.disable()
        client.enable()
        client.read(client.queue(), 0, 1)

    def test_surprise_removal(self):
        ssd, client, queue = self.begin("op=read,first=1,remove")
        client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        wait_for("all ones", lambda: client.reg32(CSTS) == 0xffffffff)
        self.assertEqual(client.chan.read(CONFIG, 0, 4), b"\xff" * 4)
        client.set32(0x14, 0)
        client.chan.call(13)
        self.assertEqual(client.reg32(CSTS), 0xffffffff)
        ssd.do("plug")
        self.assertEqual(client.reg32(CSTS), 0)
        client.enable()
        client.read(client.queue(), 0, 1)

    def test_at_run_time(self):
        ssd, client, queue = self.begin()
        client.read(queue, 0, 1)
        ident = ssd.do("fault op=read,status=0x281")["id"]
        self.fails(0x281, client.read, queue, 0, 1)
        ssd.do(f"fault-remove {ident}")
        client.read(queue, 0, 1)
        self.assertIn("no fault rule", ssd.ctl(f"fault-remove {ident}")["error"])
        for _ in range(32):
            ssd.do("fault op=write,status=0x281")
        self.assertIn("more than 32", ssd.ctl("fault op=write,status=0x281")["error"])
        ssd.do("fault-remove all")
        client.write(queue, 0, bytes(512))

    def test_bad_rules(self):
        ssd = self.start()
        for rule, why in (("op=read", "without effect"), ("op=foo,drop", "op=foo"), ("drop,cfs", "more than one"),
                          ("dnr,drop", "belong to status"), ("drop,drop", "twice"), ("drop=1", "no value"),
                          ("status=0", "status=0"), ("status=0x800", "status=read-error or status=0x281"),
                          ("p=101%,drop", "p=101%"),
                          ("delay=2h", "delay=2h"), ("delay=3601s", "bad part"), ("lba=5-5,drop", "lba=5-5"),
                          ("every=0,drop", "every=0"), ("what", "unknown part"), (",", "unknown part"),
                          ("seed=99999999999999999999999,drop", "bad part"), ("queue=999,drop", "queue=999"),
                          ("x" * 300, "longer than"), ("op=" + "r" * 200 + ",drop", "too long"), ("p=nan,drop", "bad part")):
            self.assertIn(why, ssd.ctl("fault " + rule)["error"], rule)
        self.assertEqual(ssd.do("faults")["faults"], [])


class Messages(SsdCase):
    """What no client of good faith would send."""

    def alive(self, ssd):
        wait_for("client gone", lambda: not ssd.do("status")["client"])
        client = self.connect(ssd).enable()
        client.identify(1)
        self.drop(client)
        wait_for("client gone", lambda: not ssd.do("status")["client"])

    def cut(self, ssd, data, fds=(), greet=True):
        """The SSD closes the connection."""
        chan = Channel(ssd.path, greet=greet)
        with self.assertRaises(Gone):
            chan.send_raw(data, fds)
            while True:
                chan.reply()
        chan.close()
        self.alive(ssd)

    def test_no_messages(self):
        ssd = self.start()
        header = lambda cmd=9, size=16, flags=0: struct.pack("<HHIII", 1, cmd, size, flags, 0)
        self.cut(ssd, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", greet=False)
        self.cut(ssd, header(VERSION, size=15), greet=False)
        self.cut(ssd, header(size=0x7fffffff))
        self.cut(ssd, header(flags=1))  # a reply to nothing
        self.cut(ssd, header(flags=0x100))
        self.cut(ssd, header(GET_INFO, 32) + bytes(16), greet=False)  # before VERSION
        self.cut(ssd, header(VERSION, 20) + struct.pack("<HH", 1, 0), greet=False)
        fds = [os.dup(0) for _ in range(65)]
        self.cut(ssd, header(SET_IRQS, 36) + bytes(20), fds)
        for fd in fds:
            os.close(fd)

    def test_half_messages(self):
        ssd = self.start()
        for cut in (1, 15, 16, 20):
            chan = Channel(ssd.path)
            chan.send_raw((struct.pack("<HHIII", 1, REGION_READ, 32, 0, 0) + bytes(16))[:cut])
            chan.close()
            self.alive(ssd)

    def test_one_byte_at_a_time(self):
        ssd = self.start()
        chan = Channel(ssd.path)
        for byte in struct.pack("<HHIIIQII", 7, REGION_READ, 32, 0, 0, 8, BAR0, 4):
            chan.send_raw(bytes([byte]))
        self.assertEqual(chan.reply()[4][16:], struct.pack("<I", 0x20000))
        chan.close()

    def test_refused_and_still_connected(self):
        ssd = self.start()
        chan = Channel(ssd.path)
        eventfd, pipe = os.eventfd(0), os.pipe()
        memfd = os.memfd_create("m")
        os.ftruncate(memfd, 1 << 20)

        def dma(addr=IOVA, size=PAGE, offset=0, flags=3, argsz=32):
            return DMA_MAP, struct.pack("<IIQQQ", argsz, flags, offset, addr, size)

        def irqs(index=MSIX, start=0, count=1, flags=1 << 2 | 1 << 5, argsz=20):
            return SET_IRQS, struct.pack("<IIIII", argsz, flags, index, start, count)

        def access(cmd, region=BAR0, offset=0, count=4, data=b""):
            return cmd, struct.pack("<QII", offset, region, count) + data

        cases = [
            (errno.EINVAL, VERSION, HELLO), (errno.ENOTSUP, 6, bytes(32)), (errno.ENOTSUP, 15, bytes(64)),
            (errno.ENOTSUP, 0, b""), (errno.ENOTSUP, 999, b""), (errno.EINVAL, GET_INFO, bytes(15)),
            (errno.EINVAL, GET_INFO, bytes(16)), (errno.EINVAL, GET_REGION_INFO, struct.pack("<8I", 32, 0, 9, 0, 0, 0, 0, 0)),
            (errno.EINVAL, GET_REGION_INFO, struct.pack("<8I", 31, 0, 0, 0, 0, 0, 0, 0)),
            (errno.EINVAL, GET_IRQ_INFO, struct.pack("<4I", 16, 0, 5, 0)),
            (errno.EINVAL, *dma(size=0), memfd), (errno.EINVAL, *dma(addr=2 ** 64 - PAGE, size=2 * PAGE), memfd),
            (errno.EINVAL, *dma(size=2 << 20), memfd), (errno.EINVAL, *dma(offset=1 << 63), memfd),
            (errno.EINVAL, *dma(offset=(1 << 20) - PAGE, size=2 * PAGE), memfd),
            (errno.EINVAL, *dma(flags=4), memfd), (errno.EINVAL, *dma(flags=0), memfd), (errno.EINVAL, *dma(argsz=8), memfd),
            (errno.EINVAL, *dma(offset=8), memfd), (errno.EINVAL, *dma(addr=IOVA + 512), memfd),
            (errno.EINVAL, *dma(size=100), memfd),
            (errno.EINVAL, *dma(), pipe[0]), (errno.EINVAL, *dma(), memfd, memfd),
            (errno.ENOENT, 3, struct.pack("<IIQQ", 24, 0, IOVA, PAGE)),
            (errno.EINVAL, 3, struct.pack("<IIQQ", 24, 1, IOVA, PAGE)), (errno.EINVAL, 3, struct.pack("<IIQQ", 24, 2, 0, 1)),
            (errno.EINVAL, *irqs(), memfd), (errno.EINVAL, *irqs(), pipe[1]), (errno.EINVAL, *irqs(count=2), eventfd),
            (errno.EINVAL, *irqs(start=17), eventfd), (errno.EINVAL, *irqs(start=0xffffffff, count=2)),
            (errno.EINVAL, *irqs(index=0), eventfd), (errno.EINVAL, *irqs(index=5)), (errno.EINVAL, *irqs(flags=0)),
            (errno.EINVAL, *irqs(flags=3 | 1 << 5)), (errno.EINVAL, *irqs(flags=1 | 1 << 3)),
            (errno.EINVAL, *irqs(flags=2 | 1 << 5, count=4)), (errno.EINVAL, *irqs(argsz=4), eventfd),
            (errno.EINVAL, *access(REGION_READ, offset=0x4000)), (errno.EINVAL, *access(REGION_READ, offset=2 ** 64 - 2)),
            (errno.EINVAL, *access(REGION_READ, count=0x4001)), (errno.EINVAL, *access(REGION_READ, count=0xffffffff)),
            (errno.EINVAL, *access(REGION_READ, region=1)), (errno.EINVAL, *access(REGION_READ, region=0xffffffff)),
            (errno.EINVAL, *access(REGION_READ, region=CONFIG, offset=254)), (errno.EINVAL, *access(REGION_WRITE)),
            (errno.EINVAL, *access(REGION_WRITE, data=b"12345")),
            (errno.EINVAL, *access(REGION_WRITE, region=CONFIG, offset=256, data=b"1234")),
        ]
        for number, cmd, payload, *fds in cases:
            with self.subTest(cmd=cmd, payload=payload.hex()):
                self.refused(number, chan.call, cmd, payload, fds)
        chan.dma_map(memfd, IOVA, 4 * PAGE)
        for at, pages in ((IOVA, 4), (IOVA - PAGE, 2), (IOVA + PAGE, 1), (IOVA + 3 * PAGE, 4), (IOVA - PAGE, 9)):
            self.refused(errno.EEXIST, chan.dma_map, memfd, at, pages * PAGE)
        self.refused(errno.ENOENT, chan.dma_unmap, IOVA, PAGE)
        chan.dma_map(memfd, IOVA + 4 * PAGE, PAGE)
        chan.dma_unmap(0, 0, flags=2)
        self.assertEqual(ssd.do("counters")["dma_regions"], 0)
        self.assertEqual(chan.read(BAR0, 8, 4), struct.pack("<I", 0x20000))
        for fd in (eventfd, *pipe, memfd):
            os.close(fd)
        chan.close()

    def test_without_reply(self):
        ssd = self.start()
        chan = Channel(ssd.path)
        chan.send_raw(struct.pack("<HHIIIQII", 7, REGION_WRITE, 36, 0x10, 0, 0x24, BAR0, 4) + struct.pack("<I", 0x00070007))
        self.assertEqual(chan.read(BAR0, 0x24, 4), struct.pack("<I", 0x00070007))
        chan.close()

    def test_replies_that_nobody_takes(self):
        ssd = self.start()
        chan = Channel(ssd.path)
        message = struct.pack("<HHIIIQII", 7, REGION_READ, 32, 0, 0, 0, BAR0, 0x4000)
        with self.assertRaises(Gone):
            for _ in range(100000):
                chan.send_raw(message)
        chan.close()
        self.alive(ssd)

    def test_region_info(self):
        ssd = self.start()
        chan = Channel(ssd.path)
        short, fds = chan.region_info(BAR0, argsz=32)
        self.assertEqual((len(short), struct.unpack_from("<I", short)[0], fds), (32, 64, []))
        data, fds = chan.region_info(BAR0, argsz=64)
        argsz, flags, index, cap, size, offset = struct.unpack_from("<IIIIQQ", data)
        self.assertEqual((argsz, flags, index, cap, size, offset, len(fds)), (64, 0xf, 0, 32, 0x4000, 0, 1))
        self.assertEqual(struct.unpack_from("<HHIIIQQ", data, 32), (1, 1, 0, 1, 0, 0x1000, 0x1000))
        with self.assertRaises(OSError):
            os.ftruncate(fds[0], 0)  # sealed: it is the SSD's, too
        os.close(fds[0])
        sizes = [struct.unpack_from("<Q", chan.region_info(i)[0], 16)[0] for i in range(9)]
        self.assertEqual(sizes, [0x4000, 0, 0, 0, 0x1000, 0, 0, 256, 0])
        chan.close()


class Clients(SsdCase):
    def server_state(self, ssd):
        """File descriptors and mappings of the SSD."""
        proc = pathlib.Path("/proc") / str(ssd.process.pid)
        maps = [line for line in (proc / "maps").read_text().splitlines() if "memfd" in line]
        return len(list((proc / "fd").iterdir())), len(maps)

    def test_second_client(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        for _ in range(6):
            self.refused(errno.EBUSY, Channel, ssd.path)
        client.identify(1)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(6)]
        for sock in waiting:
            sock.connect(str(ssd.path))
        client.identify(1)
        for sock in waiting:
            sock.close()
        early = Channel(ssd.path, greet=False)  # connects, speaks when the other is gone
        ssd.do("status")
        self.drop(client)
        wait_for("client gone", lambda: not ssd.do("status")["client"])
        early.call(VERSION, HELLO)
        early.close()

    def test_killed_in_the_middle(self):
        ssd = self.start("--queues", 4)
        wait_for("calm", lambda: not ssd.do("status")["client"])
        before = self.server_state(ssd)
        for _ in range(5):
            ready, tell = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    client = Client(ssd.path)
                    client.vectors(5)
                    client.enable()
                    queues = [client.queue(i, entries=64, vector=i) for i in range(1, 5)]
                    os.write(tell, b"x")
                    while True:
                        for queue in queues:
                            client.write(queue, 0, pattern(4096))
                finally:
                    os._exit(1)
            os.close(tell)
            self.assertEqual(os.read(ready, 1), b"x")
            os.close(ready)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            wait_for("client gone", lambda: not ssd.do("status")["client"])
            wait_for("nothing left of it", lambda: self.server_state(ssd) <= before)
        client = self.connect(ssd)
        self.assertEqual((client.reg32(CSTS), client.reg32(0x14), client.reg64(0x28)), (0, 0, 0))
        client.enable()
        client.read(client.queue(), 0, 8)

    def test_what_the_dead_have_sent_ends_with_them(self):
        """A write that was held back must not land on what the next client writes."""
        ssd = self.start("--fault", "op=write-zeroes,first=1,delay=300ms")
        client = self.connect(ssd).enable()
        queue = client.queue()
        client.submit(queue, 8, nsid=1, dws=[0, 0, 7])  # needs none of its memory
        client.read(queue, 8, 1)  # so it has been fetched
        self.drop(client)
        client = self.connect(ssd).enable()  # refused as long as the other is not gone
        queue = client.queue()
        client.write(queue, 0, pattern(4096))
        time.sleep(0.5)
        self.assertEqual(client.read(queue, 0, 8), pattern(4096))
        self.assertEqual((ssd.do("faults")["faults"][0]["fired"], ssd.do("counters")["clients"]), (1, 2))

    def test_memory_that_shrinks(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        queue = client.queue()
        data = client.pages()
        queue.put(sqe(0x5, nsid=1, cid=9, prp1=data, dws=[0, 0, 7]))  # the SSD itself reads the page
        os.ftruncate(client.memfd, data - IOVA)
        queue.ring()
        with self.assertRaises(Gone):
            client.chan.call(GET_INFO, struct.pack("<4I", 16, 0, 0, 0))
            wait_for("closed", lambda: client.chan.call(GET_INFO, struct.pack("<4I", 16, 0, 0, 0)) and False)
        wait_for("client gone", lambda: not ssd.do("status")["client"])
        self.connect(ssd).enable().identify(1)

    def test_file_i_o_into_memory_that_shrinks(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        queue = client.queue()
        data = client.pages()
        os.ftruncate(client.memfd, data - IOVA)
        self.fails(0x004, client.run, queue, 2, nsid=1, prp1=data, dws=[0, 0, 7])

    def test_rings_that_vanish(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.chan.dma_unmap(IOVA, 8 << 20)
        queue.put(sqe(0, nsid=1))
        queue.ring()
        wait_for("CFS", lambda: client.reg32(CSTS) & CFS)
        client.disable()
        client.chan.dma_map(client.memfd, IOVA, 8 << 20)
        client.enable().identify(1)

    def test_file_that_shrinks(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        queue = client.queue()
        client.write(queue, 0, pattern(4096))
        os.truncate(ssd.folder / "disk.img", 512)
        self.assertEqual(client.read(queue, 0, 8), pattern(4096)[:512] + bytes(3584))

    def test_noise_in_the_rings(self):
        """Commands of random bytes, doorbells of random values: nothing falls over."""
        ssd = self.start("--sgl", "--dbbuf", "--hmb", "4K,8K", "--capacity", "16M", "--queues", 4)
        noise = pattern(64 * 1024, 99)
        for turn in range(4):
            client = self.connect(ssd).enable(entries=64)
            queue = client.queue(entries=64)
            for i in range(600):
                target = client.admin if i % 3 == 0 else queue
                start = (i * 64 + turn * 8) % (len(noise) - 64)
                entry = bytearray(noise[start:start + 64])
                entry[0] = noise[i] % 0x20 if target is queue else noise[i] & 0x9f
                entry[1] &= 0x40
                if i % 2:
                    entry[4:8] = struct.pack("<I", 1)
                    entry[24:40] = struct.pack("<QQ", IOVA + 0x300000 + (noise[i] << 12), IOVA + 0x400000 + noise[i + 1] * 8)
                target.put(bytes(entry))
                target.ring()
                client.bell(2 * target.qid + 1, target.head)
                while target.look():
                    pass
                target.free()
            for i in range(200):
                client.bell(noise[i] % 12, struct.unpack_from("<I", noise, i * 4)[0] & (0xffffffff if i % 2 else 0x3f))
                client.reg32(CSTS)
            self.drop(client)
            wait_for("client gone", lambda: not ssd.do("status")["client"])
            ssd.do("fault-remove all")
        client = self.connect(ssd).enable()
        client.identify(1)

    def test_unplug_request(self):
        ssd = self.start()
        self.assertIn("no client", ssd.ctl("unplug-request")["error"])
        client = self.connect(ssd)
        event = os.eventfd(0, os.EFD_NONBLOCK)
        client.chan.set_irqs(REQ, 0, [event])
        ssd.do("unplug-request")
        self.assertTrue(fires(event))
        os.close(event)

    def test_a_full_eventfd(self):
        """Whoever fills the counter of a blocking eventfd does not stop the SSD."""
        ssd = self.start()
        client = self.connect(ssd)
        event = os.eventfd(0)
        os.write(event, struct.pack("<Q", 2 ** 64 - 2))
        client.chan.set_irqs(MSIX, 0, [event])
        client.enable().identify(1)
        client.identify(1)
        os.close(event)

    def test_disconnect(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        ssd.do("disconnect")
        with self.assertRaises(Gone):
            client.reg32(CSTS)
        self.assertIn("no client", ssd.ctl("disconnect")["error"])

    def test_sleeps(self):
        """Without a client, and with one whose doorbells come as messages, it does not run at all."""
        def switches():
            text = pathlib.Path(f"/proc/{ssd.process.pid}/status").read_text()
            return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", text).group(1))

        ssd = self.start("--no-mmap")
        client = self.connect(ssd).enable()
        client.identify(1)

        def asleep():
            before = switches()
            with self.assertRaises(Silent):
                client.admin.wait(0.1)
            return switches() == before

        wait_for("sleep", asleep)
        client.identify(1)


class Program(SsdCase):
    """Options, control commands, help, man page."""

    def run_ssd(self, *args):
        return subprocess.run([NVRING_SSD, *map(str, args)], cwd=self.folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)

    def test_refusals(self):
        (self.folder / "here").write_text("x")
        (self.folder / "empty").write_text("")
        sock = ("--socket", "s.sock")
        for args, why in (((*sock, "--ns", "none.img"), "No such file or directory; with size=1G it is made"),
                          ((*sock, "--ns", "empty"), "empty; give it size="), ((*sock, "--ns", "a,size=1"), "at least 4K"),
                          ((*sock, "--ns", "/dev/null"), "neither"),
                          ((*sock, "--ns", "."), "Is a directory"), ((*sock, "--ns", "a,size=big"), "must be a size"),
                          ((*sock, "--ns", "a,block=520"), "unknown option"), ((*sock, "--ns", ",ro"), "must be PATH"),
                          ((*sock, "--ns", "a,boundary=5000"), "power of two"),
                          ((*sock, "--ns", "empty,size=1M,ro"), "smaller than size="),
                          ((*sock, "--null", "0"), "must be a size"), ((*sock, "--null", "1G", "--queues", "0"), "1 to 128"),
                          ((*sock, "--null", "1G", "--mqes", "65537"), "2 to 65536"),
                          ((*sock, "--null", "1G", "--mdts", "9"), "1 to 8"),
                          ((*sock, "--null", "1G", "--serial", "x" * 21), "1 to 20 characters"),
                          ((*sock, "--null", "1G", "--hmb", "4M"), "two sizes"),
                          ((*sock, "--null", "1G", "--service", "200,0"), "such as 200,8"),
                          ((*sock, "--null", "1G", "--service", "1000001"), "such as 200,8"),
                          ((*sock, "--null", "1G", "--hmb", "8M,4M"), "the smaller first"),
                          ((*sock, "--null", "1G", "--pool", "."), "belongs to --capacity"),
                          ((*sock, "--null", "1G", "--fault", "op=read"), "without effect"),
                          ((*sock, "--null", "1G", "--log-level", "loud"), "--log-level"),
                          (("--socket", "here", "--null", "1G"), "not a socket"),
                          (("--socket", "x" * 200, "--null", "1G"), "UNIX sockets allow 107"),
                          (("--socket", "no/s.sock", "--null", "1G"), "mkdir -p no")):
            done = self.run_ssd(*args)
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertIn(why, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for args in ((), ("--what",), ("--socket", "s.sock"), ("--null", "1G"), (*sock, "--null", "1G", "more"), ("ctl", "x")):
            done = self.run_ssd(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
        self.assertEqual((self.folder / "here").read_text(), "x")

    def test_locked(self):
        ssd = self.start()
        self.assertIn("another process", self.run_ssd("--socket", "t.sock", "--ns", "disk.img").stderr)
        self.assertIn("another process listens", self.run_ssd("--socket", "ssd.sock", "--null", "1G").stderr)
        ssd.process.kill()
        ssd.process.wait()
        self.assertTrue(ssd.path.exists())
        self.start()  # a socket that was left behind is replaced

    def test_comma_in_path(self):
        self.start(ns="file=a,,b.img,size=1M")
        self.assertEqual((self.folder / "a,b.img").stat().st_size, 1 << 20)

    def test_ctl(self):
        ssd = self.start()
        done = self.run_ssd("ctl", "ctl.sock", "status")
        self.assertEqual(done.returncode, 0)
        self.assertIn('"nsid":1', done.stdout)
        done = self.run_ssd("ctl", "ctl.sock", "resize", "1", "huge")
        self.assertEqual((done.returncode, done.stdout.count("error")), (1, 1))
        done = self.run_ssd("ctl", "nowhere", "status")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--ctl nowhere?", done.stderr)
        for line, why in (("", "no command"), ("dance", "unknown command"), ("resize 1", "usage: resize"),
                          ("resize 9 1M", "no namespace"), ("resize 1 0", "cannot be"), ("smart x=1", "temperature"),
                          ("smart spare=101", "0…100"), ("smart spare", "KEY=NUMBER"), ("fault-remove x", "number")):
            self.assertIn(why, ssd.ctl(line)["error"], line)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(ssd.ctl_path))
            sock.sendall(b"x" * 5000)  # no line
        socks = [socket.socket(socket.AF_UNIX) for _ in range(20)]
        for sock in socks:
            sock.connect(str(ssd.ctl_path))
        for sock in socks:
            sock.close()
        wait_for("room", lambda: self.run_ssd("ctl", "ctl.sock", "status").returncode == 0)
        self.assertEqual(self.run_ssd("ctl", "ctl.sock", "quit").returncode, 0)
        self.assertEqual(ssd.process.wait(PATIENCE), 0)
        self.assertFalse(ssd.path.exists() or ssd.ctl_path.exists())

    def test_help_and_man_page_know_every_option(self):
        text = self.run_ssd("--help").stdout
        page = (ROOT / "docs/man/nvring-ssd.1").read_text().replace("\\-", "-")
        source = (ROOT / "tools/ssd/ssd_options.c").read_text()
        names = re.findall(r'\{ "([a-z-]+)", (?:required|no)_argument', source)
        self.assertGreater(len(names), 15)
        for name in names:
            self.assertIn("--" + name, text)
            self.assertIn("--" + name, page)
        known = re.search(r"known: ([^)]*)\)", self.ctl_error()).group(1)
        for command in known.split(", "):
            self.assertIn(command, text)
            self.assertIn(command, page)
        self.assertRegex(self.run_ssd("--version").stdout, r"^nvring-ssd \d")

    def ctl_error(self):
        return self.start().ctl("dance")["error"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
