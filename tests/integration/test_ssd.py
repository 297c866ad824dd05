#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring-ssd: its controller and its namespaces, seen by a small client of our own."""

import os
import struct
import unittest

from ssd_rig import (ACQ, AQA, ASQ, BAR0, BAR4, CAP, CC, CC_EN, CFS, CONFIG, CSTS, INTMC, INTMS, IOVA, MSIX, NSSR, PAGE,
                     RDY, VS, Failed, Silent, SsdCase, fires, sqe, wait_for)


def pattern(n, seed=1):
    return b"".join(struct.pack("<Q", (i * 0x9e3779b97f4a7c15 + seed) & (1 << 64) - 1) for i in range(n // 8))


class First(SsdCase):
    """What a driver does first."""

    def test_identify_and_io(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        page = client.identify(1)
        self.assertEqual(page[4:24], b"NVRING0001".ljust(20))
        self.assertEqual(struct.unpack_from("<I", page, 516)[0], 32)  # NN
        ns = client.identify(0, 1)
        self.assertEqual(struct.unpack_from("<3Q", ns), (32768, 32768, 32768))
        self.assertEqual(client.set_feature(7, 0x00030003), 0x000f000f)
        queue = client.queue()
        data = pattern(8 * 512)
        client.write(queue, 100, data)
        self.assertEqual(client.read(queue, 100, 8), data)
        self.assertEqual(client.read(queue, 99, 1), bytes(512))
        client.run(queue, 0, nsid=1)
        with open(ssd.folder / "disk.img", "rb") as file:
            file.seek(100 * 512)
            self.assertEqual(file.read(len(data)), data)

    def test_data_is_there_for_the_next_client(self):
        ssd = self.start()
        for turn in range(3):
            client = self.connect(ssd).enable()
            queue = client.queue()
            if turn:
                self.assertEqual(client.read(queue, 7, 1), pattern(512, turn))
            client.write(queue, 7, pattern(512, turn + 1))
            self.drop(client)
            wait_for("client gone", lambda: not ssd.do("status")["client"])

    def test_ring_wraps(self):
        client = self.connect(self.start()).enable(entries=4)
        queue = client.queue(entries=3)
        for i in range(20):
            client.write(queue, i, pattern(512, i))
            client.identify(0, 1)
        for i in range(20):
            self.assertEqual(client.read(queue, i, 1), pattern(512, i))



class Registers(SsdCase):
    """Enable, disable, reset, shut down; what is good, what is not."""

    def test_capabilities(self):
        client = self.connect(self.start("--mqes", 256, "--queues", 3))
        cap = client.reg64(CAP)
        self.assertEqual(cap & 0xffff, 255)
        self.assertTrue(cap >> 16 & 1)  # queues in one piece
        self.assertEqual(cap >> 32 & 0xf, 0)  # doorbells side by side
        self.assertEqual(cap >> 37 & 0xff, 0x41)
        self.assertEqual(client.reg32(VS), 0x20000)
        self.assertEqual(client.reg32(CSTS), 0)
        self.assertEqual(client.chan.read(BAR0, 0, 4) + client.chan.read(BAR0, 4, 4), client.chan.read(BAR0, 0, 8))

    def test_pci(self):
        client = self.connect(self.start("--queues", 3))
        config = client.chan.read(CONFIG, 0, 256)
        self.assertEqual(config[9:12], b"\x02\x08\x01")
        caps, at = {}, config[0x34]
        while at:
            caps[config[at]] = at
            at = config[at + 1]
        self.assertEqual(set(caps), {0x01, 0x10, 0x11})
        self.assertEqual(struct.unpack_from("<H", config, caps[0x11] + 2)[0] & 0x7ff, 3)  # one vector a queue
        client.chan.write(CONFIG, 0x10, b"\xff" * 8)
        self.assertEqual(struct.unpack("<Q", client.chan.read(CONFIG, 0x10, 8))[0], 0xffffffffffffc004)
        client.chan.write(CONFIG, 0, b"\0" * 4)  # read-only
        self.assertEqual(client.chan.read(CONFIG, 0, 4), config[:4])
        client.chan.write(BAR4, 0, struct.pack("<QII", 0xfee00000, 33, 0))
        self.assertEqual(client.chan.read(BAR4, 0, 16), struct.pack("<QII", 0xfee00000, 33, 0))

    def test_function_level_reset(self):
        client = self.connect(self.start()).enable()
        client.chan.call(13)
        self.assertEqual(client.reg32(CSTS), 0)
        self.assertEqual(client.reg64(ASQ), 0)
        self.assertEqual(client.chan.read(CONFIG, 4, 2), b"\0\0")
        client.enable()
        config = client.chan.read(CONFIG, 0, 256)
        client.chan.write(CONFIG, 0x88, struct.pack("<H", 0x8000 | struct.unpack_from("<H", config, 0x88)[0]))
        self.assertEqual(client.reg32(CSTS), 0)
        client.enable().identify(1)

    def test_enable_again_and_again(self):
        client = self.connect(self.start())
        for _ in range(20):
            client.enable()
            queue = client.queue()
            client.write(queue, 1, pattern(512))
            client.disable()
            self.assertEqual(client.reg32(CC) & 1, 0)

    def test_ready_takes_its_time(self):
        client = self.connect(self.start("--ready-delay", 50))
        client.enable()
        self.assertEqual(client.reg32(CSTS), RDY)
        client.identify(1)

    def test_nothing_without_bus_master(self):
        client = self.connect(self.start()).enable()
        client.master(False)
        cid = client.submit(client.admin, 6, prp1=client.pages(), dws=[1])
        with self.assertRaises(Silent):
            client.admin.wait(0.1)
        client.master()
        self.assertEqual(client.admin.wait()[3], cid)

    def bad(self, client, cc=CC_EN, aqa=0x001f001f, asq=IOVA, acq=IOVA + PAGE):
        client.master()
        client.set32(AQA, aqa)
        client.set64(ASQ, asq)
        client.set64(ACQ, acq)
        client.set32(CC, cc)
        self.assertEqual(client.reg32(CSTS) & (RDY | CFS), CFS)
        client.disable()
        self.assertEqual(client.reg32(CSTS), 0)

    def test_bad_configuration_is_fatal_until_reset(self):
        client = self.connect(self.start())
        self.bad(client, asq=0)
        self.bad(client, acq=IOVA + (8 << 20))
        self.bad(client, aqa=0)
        self.bad(client, cc=CC_EN | 5 << 7)  # page size
        self.bad(client, cc=CC_EN | 1 << 4)  # command set
        self.bad(client, cc=CC_EN | 1 << 11)  # arbitration
        client.enable().identify(1)

    def test_larger_pages(self):
        client = self.connect(self.start()).enable(cc=CC_EN | 1 << 7)
        page = (client.pages(5) + 0x1fff) & ~0x1fff
        client.adm(6, prp1=page + 0x1000, dws=[1])  # 4 KiB in the second half of an 8 KiB page
        self.assertEqual(client.peek(page + 0x1004, 10), b"NVRING0001")

    def test_shutdown(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        queue = client.queue()
        client.write(queue, 0, pattern(512))
        client.set32(CC, CC_EN | 1 << 14)
        wait_for("shut down", lambda: client.reg32(CSTS) >> 2 & 3 == 2)
        client.disable()
        self.assertEqual(client.reg32(CSTS), 0)
        client.enable()
        self.assertEqual(struct.unpack_from("<Q", client.log(2), 144)[0], 0)  # unsafe shutdowns
        self.drop(client)
        wait_for("client gone", lambda: not ssd.do("status")["client"])
        client = self.connect(ssd).enable()
        self.assertEqual(struct.unpack_from("<Q", client.log(2), 144)[0], 1)

    def test_subsystem_reset(self):
        client = self.connect(self.start()).enable()
        client.set32(NSSR, 0x4e564d65)
        self.assertEqual(client.reg32(CSTS), 1 << 4)
        client.set32(CSTS, 1 << 4)
        self.assertEqual(client.reg32(CSTS), 0)
        client.enable().identify(1)

    def test_registers_that_cannot_change(self):
        client = self.connect(self.start()).enable()
        asq = client.reg64(ASQ)
        client.set64(ASQ, 0x1000)
        client.set32(AQA, 0x00010001)
        client.set64(CAP, 0)
        client.set32(INTMS, 6)
        client.set32(INTMC, 2)
        self.assertEqual((client.reg64(ASQ), client.reg32(INTMS)), (asq, 4))
        client.chan.write(BAR0, CC, b"\0")  # a byte: no such access
        self.assertEqual(client.reg32(CSTS), RDY)


class Queues(SsdCase):
    """I/O queues: made, used, filled, deleted."""

    def test_refusals(self):
        client = self.connect(self.start("--queues", 4, "--mqes", 64)).enable()
        ring = client.pages(8)
        for code, cdw10, cdw11, prp in ((0x101, 63 << 16, 1, ring), (0x101, 63 << 16 | 5, 1, ring),
                                        (0x102, 64 << 16 | 1, 1, ring), (0x102, 1, 1, ring),
                                        (0x002, 63 << 16 | 1, 0, ring), (0x108, 63 << 16 | 1, 3 | 5 << 16, ring),
                                        (0x013, 63 << 16 | 1, 1, ring + 8), (0x004, 63 << 16 | 1, 1, 0x1000)):
            self.fails(code, client.adm, 5, prp1=prp, dws=[cdw10, cdw11])
        self.fails(0x101, client.adm, 4, dws=[1])
        self.fails(0x101, client.adm, 0, dws=[1])
        client.adm(5, prp1=ring, dws=[63 << 16 | 1, 1])
        self.fails(0x101, client.adm, 5, prp1=ring, dws=[63 << 16 | 1, 1])  # there is one
        for code, cdw10, cdw11 in ((0x101, 63 << 16 | 1, 1), (0x100, 63 << 16 | 1, 1 | 2 << 16),
                                   (0x101, 63 << 16 | 1, 1 | 9 << 16), (0x102, 64 << 16 | 1, 1 | 1 << 16)):
            self.fails(code, client.adm, 1, prp1=ring + PAGE, dws=[cdw10, cdw11])
        client.adm(1, prp1=ring + PAGE, dws=[63 << 16 | 2, 1 | 1 << 16])
        self.fails(0x10c, client.adm, 4, dws=[1])  # in use
        client.adm(0, dws=[2])
        client.adm(4, dws=[1])
        client.queue(1)

    def test_several_queues_and_one_completion_queue(self):
        ssd = self.start("--queues", 4)
        client = self.connect(ssd).enable()
        queues = [client.queue(i) for i in range(1, 4)]
        for i, queue in enumerate(queues):
            client.write(queue, i, pattern(512, i))
        self.assertEqual([client.read(queues[0], i, 1) for i in range(3)], [pattern(512, i) for i in range(3)])
        client.adm(0, dws=[2])
        sq = client.ring(64 * 64)
        client.adm(1, prp1=sq, dws=[63 << 16 | 2, 1 | 1 << 16])  # submission queue 2 on completion queue 1
        client.fill(sq, sqe(0, nsid=1, cid=77))
        client.bell(4, 1)
        self.assertEqual(queues[0].wait()[2:4], (2, 77))
        counts = {q["id"]: q.get("commands") for q in ssd.do("counters")["queues"]}
        self.assertEqual(counts, {0: counts[0], 1: 4, 2: 1, 3: 1})

    def test_full_completion_queue(self):
        client = self.connect(self.start()).enable()
        cq, sq = client.ring(PAGE), client.ring(PAGE)
        client.adm(5, prp1=cq, dws=[3 << 16 | 1, 1])  # room for three
        client.adm(1, prp1=sq, dws=[31 << 16 | 1, 1 | 1 << 16])
        client.fill(sq, b"".join(sqe(0, nsid=1, cid=i) for i in range(20)))
        client.bell(2, 20)
        seen, head = [], 0
        while len(seen) < 20:
            phase = len(seen) // 4 % 2 ^ 1
            wait_for("completion", lambda p=phase, h=head: client.peek(cq + h * 16 + 14, 1)[0] & 1 == p)
            seen.append(struct.unpack("<H", client.peek(cq + head * 16 + 12, 2))[0])
            head = (head + 1) % 4
            client.bell(3, head)
        self.assertEqual(seen, list(range(20)))

    def test_batch_with_one_doorbell(self):
        ssd = self.start("--no-mmap")
        client = self.connect(ssd).enable()
        self.assertFalse(client.bar_flags & 4)
        queue = client.queue(entries=64)
        before = ssd.do("counters")
        cids = []
        for i in range(32):
            cids.append(client.cid())
            queue.put(sqe(2, nsid=1, cid=cids[-1], prp1=client.pages(), dws=[i, 0, 0]))
        queue.ring()
        got = []
        while len(got) < 32:
            done = queue.look()
            if done:
                got.append(done[3])
        queue.free()
        after = ssd.do("counters")
        self.assertEqual(got, cids)
        self.assertEqual(after["sq_doorbell_messages"] - before["sq_doorbell_messages"], 1)
        self.assertEqual(after["cq_doorbell_messages"] - before["cq_doorbell_messages"], 1)

    def test_more_than_a_turn_without_spinning(self):
        client = self.connect(self.start("--no-mmap", "--spin", 0)).enable()
        queue = client.queue(entries=512)
        for i in range(500):
            queue.put(sqe(0, nsid=1, cid=i))
        queue.ring()
        for i in range(500):  # without a doorbell in between, which would wake it
            self.assertEqual(wait_for("completion", queue.look)[3], i)
        queue.free()

    def test_interrupts(self):
        client = self.connect(self.start("--queues", 4))
        fds = client.vectors(5)
        client.enable()
        client.identify(1)
        self.assertTrue(fires(fds[0]))
        queue = client.queue(1, vector=2)
        client.read(queue, 0, 1)
        self.assertTrue(fires(fds[2]))
        fires(fds[0])
        self.assertFalse(fires(fds[1], 0))
        client.chan.set_irqs(MSIX, 2, [], count=1)  # no more
        client.read(queue, 0, 1)
        self.assertFalse(fires(fds[2], 0.05))
        client.chan.set_irqs(MSIX, 1, [], flags=1 | 1 << 5, count=1)  # by hand
        self.assertTrue(fires(fds[1]))
        client.chan.set_irqs(MSIX, 0, [], flags=1 | 1 << 5, count=0)  # all off
        client.identify(1)
        self.assertFalse(fires(fds[0], 0.05))
        quiet = client.queue(2)  # without interrupts
        client.read(quiet, 0, 1)
        for fd in fds:
            os.close(fd)

    def test_abort(self):
        ssd = self.start("--fault", "op=read,delay=3600s,first=1")
        client = self.connect(ssd).enable()
        queue = client.queue()
        cid = client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        ssd.fetched(1, 1)
        self.assertEqual(client.adm(8, dws=[1 | (cid + 1) << 16]), 1)  # there is no such
        self.assertEqual(client.adm(8, dws=[1 | cid << 16]), 0)
        done = queue.wait()
        self.assertEqual((done[3], done[4] & 0x7ff), (cid, 0x007))
        self.assertEqual(client.adm(8, dws=[9 << 16 | 3]), 1)

    def test_deleting_a_queue_ends_its_commands(self):
        ssd = self.start("--fault", "op=read,delay=3600s")
        client = self.connect(ssd).enable()
        queue = client.queue()
        cid = client.submit(queue, 2, nsid=1, prp1=client.pages(), dws=[0, 0, 0])
        ssd.fetched(1, 1)
        client.adm(0, dws=[1])
        done = queue.wait()
        self.assertEqual((done[3], done[4] & 0x7ff), (cid, 0x008))

    def test_bad_doorbells(self):
        ssd = self.start()
        client = self.connect(ssd, map_bells=False).enable()
        aers = [client.submit(client.admin, 0xc) for _ in range(2)]
        queue = client.queue(1, entries=16)
        client.bell(2, 16)  # beyond the ring
        done = client.admin.wait()
        self.assertEqual((done[3], done[0]), (aers[0], 0x00010100))
        client.bell(2 * 9, 1)  # no such queue
        done = client.admin.wait()
        self.assertEqual((done[3], done[0]), (aers[1], 0x00010000))
        aer = client.submit(client.admin, 0xc)
        client.bell(3, 9)  # takes what was not there: told when the log has been read
        with self.assertRaises(Silent):
            client.admin.wait(0.05)
        at = client.pages()
        log = client.submit(client.admin, 2, nsid=0xffffffff, prp1=at, dws=[1 | 15 << 16])
        self.assertEqual({client.admin.wait()[3], client.admin.wait()[3]}, {aer, log})
        queue.tail = 0
        client.write(queue, 0, pattern(512))  # and the queue works still
        self.assertEqual(ssd.do("counters")["bad_doorbells"], 3)

    def test_shadow_doorbells(self):
        ssd = self.start("--dbbuf", "--no-mmap")
        client = self.connect(ssd).enable()
        self.assertTrue(struct.unpack_from("<H", client.identify(1), 256)[0] & 1 << 8)
        shadow, events = client.pages(), client.pages()
        client.adm(0x7c, prp1=shadow, prp2=events)
        queue = client.queue(entries=32)
        direct = client.bell
        rung = [0, 0]

        def bell(index, value):
            """As drivers do it: into memory, and to the device when its event index lies within."""
            if index < 2:
                direct(index, value)
                return
            at = index * 4
            old = struct.unpack("<I", client.peek(shadow + at, 4))[0]
            client.fill(shadow + at, struct.pack("<I", value))
            event = struct.unpack("<I", client.peek(events + at, 4))[0]
            if (value - event - 1) & 0xffff < (value - old) & 0xffff:
                rung[index & 1] += 1
                direct(index, value)

        client.bell = bell
        for i in range(200):
            client.write(queue, i, pattern(512, i))
        for i in range(200):
            self.assertEqual(client.read(queue, i, 1), pattern(512, i))
        self.assertEqual(ssd.do("counters")["sq_doorbell_messages"] - rung[0],
                         [q["commands"] for q in ssd.do("counters")["queues"]][0])
        self.fails(0x001, self.connect_plain().adm, 0x7c, prp1=IOVA, prp2=IOVA + PAGE)

    def connect_plain(self):
        """A client of another SSD, without shadow doorbells."""
        folder = self.folder / "other"
        folder.mkdir()
        ssd = type(self.ssds[0])(folder, "--null", "1M")
        self.ssds.append(ssd)
        return self.connect(ssd).enable()


class Transfers(SsdCase):
    """PRP lists and scatter-gather lists of all shapes, good and bad."""

    def scattered(self, client, queue, offset, size):
        """Writes and reads through pages that lie in any order; @offset into the first one."""
        npages = (offset + size + PAGE - 1) // PAGE
        base = client.pages(npages * 2)
        order = [base + (i * 7 % npages) * 2 * PAGE for i in range(npages)]
        if len(set(order)) < npages:
            order = [base + (npages - 1 - i) * 2 * PAGE for i in range(npages)]
        data = pattern(size, size)
        padded = bytes(offset) + data
        for i, page in enumerate(order):
            client.fill(page, padded[i * PAGE:(i + 1) * PAGE])
        prp2 = 0
        if npages == 2:
            prp2 = order[1]
        elif npages > 2:
            prp2 = client.pages() + PAGE - 8 * 4  # the list ends soon, and leads on
            here = order[1:4] if npages - 1 > 4 else order[1:]
            client.fill(prp2, struct.pack(f"<{len(here)}Q", *here))
            if npages - 1 > 4:
                more = client.pages()
                client.fill(prp2 + 24, struct.pack("<Q", more))
                client.fill(more, struct.pack(f"<{npages - 4}Q", *order[4:]))
        dws = [64, 0, size // 512 - 1]
        client.run(queue, 1, nsid=1, prp1=order[0] + offset, prp2=prp2, dws=dws)
        for page in order:
            client.fill(page, bytes(PAGE))
        client.run(queue, 2, nsid=1, prp1=order[0] + offset, prp2=prp2, dws=dws)
        got = b"".join(client.peek(page, PAGE) for page in order)
        self.assertEqual(got[offset:offset + size], data)
        self.assertEqual(got[:offset] + got[offset + size:], bytes(len(got) - size))

    def test_prp_shapes(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        for offset in (0, 4, 512, 4092):
            for size in (512, 4096, 8192, 12288, 0x8000 - 512, 0x20000 - 512):
                with self.subTest(offset=offset, size=size):
                    self.scattered(client, queue, offset, size)

    def test_bad_prps(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        page, far = client.pages(2), IOVA + (1 << 40)

        def read(prp1, prp2=0, nblocks=8):
            client.run(queue, 2, nsid=1, prp1=prp1, prp2=prp2, dws=[0, 0, nblocks - 1])

        self.fails(0x013, read, page + 1)
        self.fails(0x013, read, page, page + 8, 16)
        self.fails(0x004, read, far)
        self.fails(0x004, read, 0)
        self.fails(0x004, read, page, far, 16)
        self.fails(0x004, read, page, far, 24)
        self.fails(0x013, read, page, page + 4, 24)  # a list that is not aligned
        self.fails(0x004, read, IOVA + (8 << 20) - 512, 0, 2)  # half of it
        lists = client.pages()
        client.fill(lists, struct.pack("<2Q", page, page + 12))
        self.fails(0x013, read, page, lists, 24)
        client.fill(lists + PAGE - 8, struct.pack("<Q", lists + PAGE - 8))  # leads to itself
        self.fails(0x013, read, page, lists + PAGE - 8, 24)
        self.fails(0x002, read, page, lists, 257)  # longer than MDTS
        self.assertEqual(len(client.read(queue, 0, 256)), 131072)

    def test_sgl(self):
        client = self.connect(self.start("--sgl")).enable()
        self.assertEqual(struct.unpack_from("<I", client.identify(1), 536)[0] & 3, 1)
        queue = client.queue()
        client.write(queue, 0, pattern(4096))

        def read(sgl, nblocks=8, psdt=0x40):
            client.run(queue, 2, nsid=1, sgl=sgl, flags=psdt, dws=[0, 0, nblocks - 1])

        def desc(addr, size, kind):
            return struct.pack("<QI3xB", addr, size, kind)

        at = client.pages(2)
        read(desc(at + 3, 4096, 0))  # any alignment
        self.assertEqual(client.peek(at + 3, 4096), pattern(4096))
        out, lists = client.pages(4), client.pages(2)
        more = lists + PAGE
        client.fill(lists, desc(out + 1000, 100, 0) + desc(out + 5000, 0, 0) + desc(more, 32, 0x30))
        client.fill(more, desc(out + 7, 396, 0) + desc(out + 8192, 3600, 0))
        read(desc(lists, 48, 0x20))
        got = client.peek(out + 1000, 100) + client.peek(out + 7, 396) + client.peek(out + 8192, 3600)
        self.assertEqual(got, pattern(4096))
        self.fails(0x00f, read, desc(at, 4095, 0))
        self.fails(0x00f, read, desc(at, 4608, 0))
        self.fails(0x011, read, desc(at, 4096, 0x50))
        self.fails(0x00d, read, desc(lists, 40, 0x30))
        self.fails(0x004, read, desc(0x10, 48, 0x30))
        self.fails(0x004, read, desc(0x10, 4096, 0))
        client.fill(lists, desc(out, 0, 0) + desc(lists, 32, 0x20))  # leads to itself
        self.fails(0x00d, read, desc(lists, 32, 0x20))
        self.fails(0x002, read, desc(at, 4096, 0), psdt=0x80)

    def test_no_sgl_unless_offered(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        self.fails(0x002, client.run, queue, 2, nsid=1, flags=0x40, prp1=client.pages(), dws=[0, 0, 0])

    def test_memory_comes_and_goes(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        fd = os.memfd_create("more")
        os.ftruncate(fd, 1 << 20)
        for turn in range(3):
            at = 0x7000000000 + turn * (1 << 20)
            client.chan.dma_map(fd, at, 1 << 16, offset=turn * PAGE)
            os.pwrite(fd, pattern(512, turn), turn * PAGE + 1024)
            client.run(queue, 1, nsid=1, prp1=at + 1024, dws=[turn, 0, 0])
            client.chan.dma_unmap(at, 1 << 16)
            self.fails(0x004, client.run, queue, 1, nsid=1, prp1=at + 1024, dws=[turn, 0, 0])
            self.assertEqual(client.read(queue, turn, 1), pattern(512, turn))
        client.chan.dma_map(fd, 0x7000000000, 1 << 16, flags=1)  # the device may read, not write
        client.run(queue, 1, nsid=1, prp1=0x7000000000, dws=[0, 0, 0])
        self.fails(0x004, client.run, queue, 2, nsid=1, prp1=0x7000000000, dws=[0, 0, 0])
        self.fails(0x004, client.adm, 6, prp1=0x7000000000, dws=[1])
        client.chan.dma_map(None, 0x8000000000, 1 << 16)  # no file: known, out of reach
        self.fails(0x004, client.run, queue, 2, nsid=1, prp1=0x8000000000, dws=[0, 0, 0])
        os.close(fd)


if __name__ == "__main__":
    unittest.main(verbosity=2)
