#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring-ssd: NVM and admin commands, logs, events, namespaces."""

import os
import struct
import unittest

from ssd_rig import CFS, CSTS, IOVA, PAGE, Failed, Silent, SsdCase, sqe, wait_for
from test_ssd import pattern


def u16(data, at):
    return struct.unpack_from("<H", data, at)[0]


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def at_once(client, *commands):
    """The statuses of admin commands behind one doorbell: what takes its time does not end between them, however slow we are."""
    for command in commands:
        client.admin.put(sqe(cid=client.cid(), **command))
    client.admin.ring()
    return [client.admin.wait()[4] & 0x7ff for _ in commands]


class Nvm(SsdCase):
    """Commands of the NVM command set, in both formats."""

    def rw(self, client, queue, opc, lba, nblocks, prp1=0, flags=0):
        client.run(queue, opc, nsid=1, prp1=prp1, dws=[lba & 0xffffffff, lba >> 32, (nblocks - 1) | flags])

    def test_both_formats(self):
        client = self.connect(self.start("--ns", "b.img,size=16M,block=4096")).enable()
        queue = client.queue()
        for nsid, block in ((1, 512), (2, 4096)):
            data = pattern(16 * block, nsid)
            client.write(queue, 3, data, nsid=nsid, block=block)
            self.assertEqual(client.read(queue, 3, 16, nsid=nsid, block=block), data)
            blocks = (16 << 20) // block
            client.read(queue, blocks - 1, 1, nsid=nsid, block=block)
            self.fails(0x080, client.read, queue, blocks, 1, nsid=nsid, block=block)
            self.fails(0x080, client.read, queue, blocks - 1, 2, nsid=nsid, block=block)
            self.fails(0x080, client.read, queue, 1 << 63, 1, nsid=nsid, block=block)
        self.fails(0x00b, client.read, queue, 0, 1, nsid=3)
        self.fails(0x00b, client.read, queue, 0, 1, nsid=0)
        self.fails(0x001, client.run, queue, 0x7f, nsid=1)
        self.fails(0x002, client.run, queue, 0, nsid=1, flags=1)  # fused

    def test_flush_and_fua(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.write(queue, 0, pattern(512), fua=True)
        client.run(queue, 0, nsid=1)
        client.run(queue, 0, nsid=0xffffffff)
        self.fails(0x00b, client.run, queue, 0, nsid=9)
        client.set_feature(6, 0)  # write cache off
        self.assertEqual(client.get_feature(6), 0)
        client.write(queue, 1, pattern(512))
        self.assertEqual(client.read(queue, 1, 1), pattern(512))

    def test_zeroes_and_deallocate(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        queue = client.queue()
        whole = pattern(256 * 512)
        client.write(queue, 0, whole)
        self.rw(client, queue, 8, 1, 3)
        self.assertEqual(client.read(queue, 0, 8), whole[:512] + bytes(3 * 512) + whole[4 * 512:8 * 512])
        self.rw(client, queue, 8, 8, 8, flags=1 << 25)
        self.assertEqual(client.read(queue, 8, 8), bytes(4096))
        allocated = os.stat(ssd.folder / "disk.img").st_blocks
        ranges = client.pages()
        client.fill(ranges, struct.pack("<IIQ", 0, 64, 64) + struct.pack("<IIQ", 0, 64, 160))
        client.run(queue, 9, nsid=1, prp1=ranges, dws=[1, 4])
        self.assertEqual(client.read(queue, 64, 64), bytes(64 * 512))
        self.assertEqual(client.read(queue, 128, 32), whole[128 * 512:160 * 512])
        self.assertEqual(client.read(queue, 160, 64), bytes(64 * 512))
        self.assertLess(os.stat(ssd.folder / "disk.img").st_blocks, allocated)
        client.run(queue, 9, nsid=1, prp1=ranges, dws=[1, 1])  # a hint, nothing more
        client.fill(ranges, struct.pack("<IIQ", 0, 1, 0) + struct.pack("<IIQ", 0, 2, 32767))
        self.fails(0x080, client.run, queue, 9, nsid=1, prp1=ranges, dws=[1, 4])
        self.assertEqual(client.read(queue, 0, 1), whole[:512])  # nothing of it was done
        self.fails(0x080, self.rw, client, queue, 8, 32767, 2)

    def test_compare_and_verify(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.write(queue, 5, pattern(4096))
        page = client.pages()
        client.fill(page, pattern(4096))
        self.rw(client, queue, 5, 5, 8, page)
        self.rw(client, queue, 0xc, 0, 32768)
        client.fill(page + 4095, b"!")
        self.fails(0x285, self.rw, client, queue, 5, 5, 8, page)
        self.fails(0x080, self.rw, client, queue, 0xc, 1, 32768)

    def test_copy(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.write(queue, 0, pattern(64 * 512))
        ranges = client.pages()

        def copy(to, *parts):
            client.fill(ranges, b"".join(struct.pack("<8xQH14x", lba, n - 1) for lba, n in parts))
            client.run(queue, 0x19, nsid=1, prp1=ranges, dws=[to, 0, len(parts) - 1])

        copy(1000, (10, 4), (0, 2))
        want = pattern(64 * 512)
        self.assertEqual(client.read(queue, 1000, 6), want[10 * 512:14 * 512] + want[:2 * 512])
        copy(2000, (0, 4000))  # in pieces
        self.assertEqual(client.read(queue, 2000, 64), want)
        self.fails(0x080, copy, 32767, (0, 2))
        self.fails(0x080, copy, 0, (32767, 2))
        self.fails(0x183, copy, 0, *[(0, 1)] * 17)
        self.fails(0x002, client.run, queue, 0x19, nsid=1, prp1=ranges, dws=[0, 0, 1 << 8])

    def test_unreadable_blocks(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.write(queue, 0, pattern(64 * 512))
        self.rw(client, queue, 4, 10, 10)
        self.fails(0x281, client.read, queue, 0, 64)
        self.assertEqual(u64(client.log(1), 16), 10)  # the block is named
        self.fails(0x281, client.read, queue, 19, 1)
        self.fails(0x281, self.rw, client, queue, 0xc, 15, 1)
        client.read(queue, 20, 10)
        client.write(queue, 12, pattern(2 * 512))  # writing mends
        client.read(queue, 12, 2)
        self.fails(0x281, client.read, queue, 11, 1)
        self.fails(0x281, client.read, queue, 14, 1)
        self.rw(client, queue, 8, 0, 64)
        self.assertEqual(client.read(queue, 0, 64), bytes(64 * 512))
        self.assertEqual(u64(client.log(2), 160), 5)  # media errors

    def test_read_only(self):
        (self.folder / "disk.img").write_bytes(pattern(1 << 20))
        client = self.connect(self.start(ns="disk.img,ro")).enable()
        queue = client.queue()
        self.assertTrue(client.identify(0, 1)[99] & 1)
        self.assertEqual(client.read(queue, 0, 1), pattern(512))
        self.fails(0x020, client.write, queue, 0, bytes(512))
        self.fails(0x020, self.rw, client, queue, 8, 0, 1)
        self.fails(0x020, client.adm, 0x80, nsid=1)
        client.run(queue, 0, nsid=1)
        self.assertEqual((self.folder / "disk.img").read_bytes(), pattern(1 << 20))

    def test_boundary(self):
        ssd = self.start(ns="disk.img,size=16M,boundary=64K")
        client = self.connect(ssd).enable()
        queue = client.queue()
        self.assertEqual(u16(client.identify(0, 1), 46), 128)
        client.read(queue, 0, 128)
        client.read(queue, 127, 1)
        self.assertEqual(ssd.do("counters")["boundary_crossings"], 0)
        client.read(queue, 127, 2)
        client.write(queue, 255, bytes(1024))
        self.assertEqual(ssd.do("counters")["boundary_crossings"], 2)

    def test_no_write_cache(self):
        client = self.connect(self.start("--no-write-cache")).enable()
        self.assertFalse(client.identify(1)[525] & 1)
        self.fails(0x002, client.set_feature, 6, 1)
        self.assertEqual(client.get_feature(6), 0)
        client.write(client.queue(), 0, bytes(512))

    def test_null(self):
        client = self.connect(self.start("--null", "1T", ns=None)).enable()
        queue = client.queue()
        self.assertEqual(u64(client.identify(0, 1), 0), 1 << 31)
        at = client.pages()
        client.fill(at, b"mine")
        client.run(queue, 2, nsid=1, prp1=at, dws=[0, 0, 7])
        self.assertEqual(client.peek(at, 4), b"mine")
        client.write(queue, 0, bytes(4096))


class Identify(SsdCase):
    """Every page that nvme-cli asks for."""

    def test_controller(self):
        ssd = self.start("--serial", "S1", "--model", "a model", "--mdts", 3, "--hmb", "1M,4M")
        client = self.connect(ssd).enable()
        page = client.identify(1)
        self.assertEqual(page[4:24], b"S1".ljust(20))
        self.assertEqual(page[24:64], b"a model".ljust(40))
        self.assertEqual((page[77], page[111], page[512], page[513]), (3, 1, 0x66, 0x44))
        self.assertEqual((u32(page, 272), u32(page, 276)), (1024, 256))
        self.assertEqual(u32(page, 80), 0x20000)
        self.assertEqual(page[768:].split(b"\0")[0], b"nqn.2024-01.io.nvring:ssd:S1")

    def test_namespace(self):
        client = self.connect(self.start("--ns", "b.img,size=8M,block=4096")).enable()
        one, two = client.identify(0, 1), client.identify(0, 2)
        self.assertEqual((one[25], one[26], two[26]), (1, 0, 1))
        self.assertEqual((one[130], one[134]), (9, 12))
        self.assertEqual(u64(two, 0), 2048)
        self.assertNotEqual(one[104:128], two[104:128])
        self.assertEqual(client.identify(0, 3), bytes(PAGE))
        self.fails(0x00b, client.identify, 0, 0)
        self.fails(0x00b, client.identify, 0, 0xffffffff)
        self.assertEqual(struct.unpack_from("<3I", client.identify(2)), (1, 2, 0))
        self.assertEqual(struct.unpack_from("<2I", client.identify(2, 1)), (2, 0))
        self.assertEqual(client.identify(7), client.identify(2))
        self.fails(0x00b, client.identify, 2, 0xfffffffe)

    def test_descriptors(self):
        client = self.connect(self.start()).enable()
        page, ns, at, found = client.identify(3, 1), client.identify(0, 1), 0, {}
        while page[at]:
            found[page[at]] = page[at + 4:at + 4 + page[at + 1]]
            at += 4 + page[at + 1]
        self.assertEqual(set(found), {1, 2, 3, 4})
        self.assertEqual((found[1], found[2], found[4]), (ns[120:128], ns[104:120], b"\0"))
        self.assertEqual(len(found[3]), 16)
        self.fails(0x00b, client.identify, 3, 2)

    def test_names_last(self):
        names = set()
        for _ in range(2):
            ssd = self.start()
            client = self.connect(ssd).enable()
            names.add(client.identify(3, 1))
            self.drop(client)
            ssd.stop()
        self.assertEqual(len(names), 1)

    def test_others(self):
        client = self.connect(self.start()).enable()
        self.assertEqual(client.identify(5, 1), bytes(PAGE))
        self.assertEqual(client.identify(6), bytes(PAGE))
        self.assertEqual(client.identify(8, 1)[14], 1)
        self.assertEqual(client.identify(0x1c, cntid=0xffff)[0], 1)
        self.fails(0x002, client.identify, 6, csi=2)
        for cns in (4, 0x10, 0x11, 0x12, 0x13, 0x55):
            self.fails(0x002, client.identify, cns, 1)


class Features(SsdCase):
    def test_plain(self):
        client = self.connect(self.start()).enable()
        for fid, value, kept in ((1, 0x01020304, 0x01020304), (2, 1, 1), (5, 7, 7), (6, 0, 0), (8, 0x1234, 0x1234),
                                 (9, 0x10003, 0x10003), (0xa, 1, 1), (0xb, 0x3ff, 0x3ff), (0xf, 5000, 5000)):
            with self.subTest(fid=fid):
                default = client.get_feature(fid, sel=1)
                self.assertEqual(client.get_feature(fid), default)
                client.set_feature(fid, value)
                self.assertEqual(client.get_feature(fid), kept)
                self.assertEqual(client.get_feature(fid, sel=1), default)
                self.assertTrue(client.get_feature(fid, sel=3) & 4)
        client.disable()
        client.enable()
        self.assertEqual(client.get_feature(5), 0)
        client.set_feature(5, 9, save=True)
        client.disable()
        client.enable()
        self.assertEqual((client.get_feature(5), client.get_feature(5, sel=2)), (9, 9))

    def test_refusals(self):
        client = self.connect(self.start()).enable()
        self.fails(0x002, client.get_feature, 0x55)
        self.fails(0x002, client.set_feature, 0x55)
        self.fails(0x002, client.get_feature, 5, sel=5)
        self.fails(0x10d, client.set_feature, 7, 0, save=True)
        self.fails(0x10f, client.set_feature, 5, 0, nsid=1)
        self.fails(0x002, client.set_feature, 2, 9)
        self.fails(0x002, client.set_feature, 7, 0xffff)
        self.fails(0x002, client.set_feature, 0xd, 1)  # no host memory buffer asked for
        client.queue()
        self.fails(0x00c, client.set_feature, 7, 0)

    def test_with_data(self):
        client = self.connect(self.start()).enable()
        page = client.pages()
        client.fill(page, b"0123456789abcdef")
        client.set_feature(0x81, 1, prp1=page)
        back = client.pages()
        client.get_feature(0x81, value=1, prp1=back)
        self.assertEqual(client.peek(back, 16), b"0123456789abcdef")
        client.fill(page, struct.pack("<Q", 1_700_000_000_000))
        client.set_feature(0xe, prp1=page)
        client.get_feature(0xe, prp1=back)
        stamp = u64(client.peek(back, 8), 0)
        self.assertEqual(stamp >> 49 & 7, 1)
        self.assertLess((stamp & (1 << 48) - 1) - 1_700_000_000_000, 60_000)
        client.fill(page, b"\1" + bytes(511))
        client.set_feature(0x16, prp1=page)
        client.get_feature(0x16, prp1=back)
        self.assertEqual(client.peek(back, 512), b"\1" + bytes(511))

    def test_write_protect(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.set_feature(0x84, 1, nsid=1)
        self.assertEqual(client.get_feature(0x84, nsid=1), 1)
        self.fails(0x020, client.write, queue, 0, bytes(512))
        client.set_feature(0x84, 0, nsid=1)
        client.write(queue, 0, bytes(512))
        client.set_feature(0x84, 2, nsid=1)
        self.fails(0x10e, client.set_feature, 0x84, 0, nsid=1)
        self.fails(0x00b, client.set_feature, 0x84, 1, nsid=5)

    def test_keep_alive(self):
        client = self.connect(self.start()).enable()
        client.set_feature(0xf, 3600000)
        client.adm(0x18)
        client.set_feature(0xf, 50)
        wait_for("CFS", lambda: client.reg32(CSTS) & CFS)
        client.disable()
        client.enable()
        self.assertEqual(client.get_feature(0xf), 0)

    def test_host_memory_buffer(self):
        ssd = self.start("--hmb", "8K,16K")
        client = self.connect(ssd).enable()
        queue = client.queue()
        lists, buffers = client.pages(), client.pages(4)
        client.fill(lists, struct.pack("<QI4xQI4x", buffers, 1, buffers + 2 * PAGE, 2))
        args = [3, lists & 0xffffffff, lists >> 32, 2]
        self.fails(0x002, client.set_feature, 0xd, 1, dws=[4] + args[1:])  # not as large as said
        self.fails(0x002, client.set_feature, 0xd, 1, dws=[1] + args[1:])  # smaller than it must be
        client.set_feature(0xd, 1, dws=args)
        self.fails(0x00c, client.set_feature, 0xd, 1, dws=args)
        back = client.pages()
        self.assertEqual(client.get_feature(0xd, prp1=back), 1)
        self.assertEqual(struct.unpack("<4I", client.peek(back, 16)), tuple(args))
        for i in range(8):
            client.read(queue, i, 1)
        self.assertNotEqual(client.peek(buffers, 8), bytes(8))  # it is used
        self.assertNotEqual(client.peek(buffers + 2 * PAGE, 8), bytes(8))
        self.assertEqual(client.peek(buffers + PAGE, PAGE), bytes(PAGE))
        client.set_feature(0xd, 0)
        used = ssd.do("counters")["hmb_writes"]
        client.read(queue, 0, 1)
        self.assertEqual(ssd.do("counters")["hmb_writes"], used)


class Logs(SsdCase):
    def test_smart_counts(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        for i in range(10):
            client.write(queue, 0, bytes(128 * 1024))
            client.read(queue, 0, 8)
        log = client.log(2)
        self.assertEqual((u64(log, 32), u64(log, 48), u64(log, 64), u64(log, 80)), (1, 3, 10, 10))
        self.assertEqual((u16(log, 1), log[0], log[3], u64(log, 112)), (310, 0, 100, 1))

    def test_errors_are_recorded(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        self.fails(0x080, client.read, queue, 1 << 40, 1)
        self.fails(0x00b, client.identify, 0, 0)
        log = client.log(1, size=4096)
        self.assertEqual((u64(log, 0), u64(log, 64), u64(log, 128)), (2, 1, 0))  # newest first
        self.assertEqual((u16(log, 8), u16(log, 64 + 8), u16(log, 64 + 12) >> 1 & 0x7ff), (0, 1, 0x080))
        self.assertEqual((u64(log, 64 + 16), u32(log, 64 + 24)), (1 << 40, 1))
        self.assertEqual(u64(client.log(2), 176), 2)
        for _ in range(70):
            self.fails(0x00b, client.identify, 0, 0)
        log = client.log(1, size=4096)
        self.assertEqual((u64(log, 0), u64(log, 63 * 64)), (72, 9))

    def test_pieces(self):
        client = self.connect(self.start()).enable()
        whole = client.log(5, size=4096)
        self.assertEqual(client.log(5, size=256, off=1024 + 4), whole[1028:1284])
        self.fails(0x002, client.log, 5, off=2)
        self.fails(0x002, client.log, 2, off=1024)
        self.fails(0x109, client.log, 0x42)
        supported = client.log(0, size=1024)
        for lid in range(256):
            if u32(supported, lid * 4):
                client.log(lid)
            else:
                self.fails(0x109, client.log, lid)

    def test_effects(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        log = client.log(5, size=4096)
        for opc in range(256):
            for base, q in ((0, client.admin), (1024, queue)):
                if (base, opc) in ((0, 0xc), (0, 0), (0, 4)):
                    continue
                try:
                    client.run(q, opc, nsid=0)
                    supported = True
                except Failed as failure:
                    supported = failure.code != 1
                self.assertEqual(bool(u32(log, base + opc * 4) & 1), supported, (base, opc))

    def test_telemetry(self):
        client = self.connect(self.start()).enable()
        first = client.log(7, size=2048, lsp=1)
        self.assertEqual((first[0], u16(first, 8), u16(first, 10), u16(first, 12)), (7, 1, 2, 3))
        self.assertEqual(client.log(7)[381], first[381])
        self.assertEqual(client.log(7, lsp=1)[381], first[381] + 1)
        self.assertIn(b"reads ", client.log(7, off=512))
        self.assertEqual(client.log(8)[0], 8)

    def test_firmware(self):
        client = self.connect(self.start()).enable()
        image = b"2.5-test" + pattern(8192 - 8)
        self.fails(0x107, client.adm, 0x10, dws=[2])  # nothing downloaded
        at = client.pages(2)
        client.fill(at, image)
        client.adm(0x11, prp1=at, dws=[1023, 0])
        self.fails(0x114, client.adm, 0x11, prp1=at, dws=[1023, 2048])  # a piece is missing
        client.adm(0x11, prp1=at + PAGE, dws=[1023, 1024])
        self.fails(0x106, client.adm, 0x10, dws=[5])
        self.fails(0x111, client.adm, 0x10, dws=[2 | 1 << 3])
        log = client.log(3)
        self.assertEqual((log[0], log[8:16], log[16:24]), (0x21, b"1.0     ", b"2.5-test"))
        self.assertEqual(client.identify(1)[64:72], b"1.0     ")
        client.disable()
        client.enable()
        self.assertEqual(client.log(3)[0], 2)
        self.assertEqual(client.identify(1)[64:72], b"2.5-test")
        client.set_feature(0xb, 1 << 9)
        client.submit(client.admin, 0xc)
        client.submit(client.admin, 0x10, dws=[1 | 3 << 3])  # back again, at once
        self.assertEqual({client.admin.wait()[0], client.admin.wait()[0]}, {0, 0x00030102})
        self.assertEqual(client.identify(1)[64:72], b"1.0     ")

    def after_self_test(self, client):
        wait_for("self-test", lambda: not client.log(6, size=564)[0])
        return client.log(6, size=564)

    def test_self_test(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        begin, at = {"opc": 0x14, "nsid": 1, "dws": [1]}, client.pages()
        look = {"opc": 2, "nsid": 0xffffffff, "prp1": at, "dws": [6 | 140 << 16]}
        self.assertEqual(at_once(client, begin, look, begin, {"opc": 0x14, "dws": [0xf]}), [0, 0, 0x11d, 0])
        self.assertEqual(client.peek(at, 1), b"\1")
        log = client.log(6, size=564)
        self.assertEqual((log[0], log[4]), (0, 0x11))
        client.run(queue, 4, nsid=1, dws=[77, 0, 0])
        client.adm(0x14, nsid=0xffffffff, dws=[1])
        log = self.after_self_test(client)
        self.assertEqual((log[4], log[4 + 28]), (0x17, 0x11))  # failed; below it the one before
        self.assertEqual((u32(log, 4 + 12), u64(log, 4 + 16)), (1, 77))
        client.write(queue, 77, bytes(512))
        client.adm(0x14, nsid=1, dws=[1])
        log = self.after_self_test(client)
        self.assertEqual(log[4], 0x10)

        def ended_by_reset():
            client.adm(0x14, nsid=1, dws=[1])
            client.disable()
            client.enable()
            return client.log(6, size=564)[4] == 0x12
        wait_for("a reset that comes in time", ended_by_reset)
        self.fails(0x002, client.adm, 0x14, dws=[7])
        self.fails(0x00b, client.adm, 0x14, nsid=9, dws=[1])


class Events(SsdCase):
    def test_resize(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        client.set_feature(0xb, 1 << 8)
        aer = client.submit(client.admin, 0xc)
        ssd.do("resize 1 32M")
        done = client.admin.wait()
        self.assertEqual((done[3], done[0]), (aer, 0x00040002))
        self.assertEqual(u64(client.identify(0, 1), 0), 65536)
        ssd.do("resize 1 8M")
        client.submit(client.admin, 0xc)
        with self.assertRaises(Silent):  # masked, until the log has been read
            client.admin.wait(0.05)
        at = client.pages()
        client.submit(client.admin, 2, nsid=0xffffffff, prp1=at, dws=[4 | 0x3ff << 16])
        self.assertEqual({client.admin.wait()[0], client.admin.wait()[0]}, {0, 0x00040002})
        self.assertEqual(struct.unpack("<2I", client.peek(at, 8)), (1, 0))
        self.assertEqual(os.stat(ssd.folder / "disk.img").st_size, 8 << 20)
        queue = client.queue()
        self.fails(0x080, client.read, queue, 20000, 1)

    def test_not_asked_for(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        client.submit(client.admin, 0xc)
        ssd.do("resize 1 32M")
        ssd.do("smart temperature=99")
        with self.assertRaises(Silent):
            client.admin.wait(0.05)

    def test_health(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        client.set_feature(0xb, 0xff)
        for word, event, bits in (("temperature=90", 0x00020101, 2), ("spare=5", 0x00020201, 3),
                                  ("warning=4", 0x00020001, 7)):
            client.submit(client.admin, 0xc)
            ssd.do("smart " + word)
            self.assertEqual(client.admin.wait()[0], event)
            self.assertEqual(client.log(2)[0], bits)
        ssd.do("smart temperature=30 spare=80 warning=0 media-errors=3 used=40")
        log = client.log(2)
        self.assertEqual((log[0], u16(log, 1), log[3], log[5], u64(log, 160)), (0, 303, 80, 40, 3))
        client.set_feature(4, 300)  # a threshold below what it is
        self.assertEqual(client.get_feature(4), 300)
        self.assertEqual(client.log(2)[0], 2)

    def test_limit_and_order(self):
        client = self.connect(self.start()).enable()
        aers = [client.submit(client.admin, 0xc) for _ in range(4)]
        self.fails(0x105, client.adm, 0xc)
        client.disable()
        client.enable()  # forgotten with the reset
        for _ in range(4):
            client.submit(client.admin, 0xc)
        self.fails(0x105, client.adm, 0xc)

    def test_retained(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        client.set_feature(0xb, 0xff)
        client.submit(client.admin, 0xc)
        ssd.do("smart temperature=90")
        client.admin.wait()
        client.log(2, rae=True)
        client.submit(client.admin, 0xc)
        ssd.do("smart temperature=20")
        ssd.do("smart temperature=90")
        with self.assertRaises(Silent):
            client.admin.wait(0.05)


class Namespaces(SsdCase):
    """Formatted, sanitized, made and deleted by the host."""

    def test_format(self):
        ssd = self.start()
        client = self.connect(ssd).enable()
        queue = client.queue()
        client.write(queue, 0, pattern(4096))
        self.fails(0x10a, client.adm, 0x80, nsid=1, dws=[2])
        self.fails(0x10a, client.adm, 0x80, nsid=1, dws=[1 | 1 << 5])
        self.fails(0x002, client.adm, 0x80, nsid=1, dws=[1 | 2 << 9])
        self.fails(0x00b, client.adm, 0x80, nsid=7, dws=[1])
        self.assertEqual(client.read(queue, 0, 8), pattern(4096))
        client.adm(0x80, nsid=1, dws=[1])
        ns = client.identify(0, 1)
        self.assertEqual((u64(ns, 0), ns[26]), (4096, 1))
        self.assertEqual(client.read(queue, 0, 1, block=4096), bytes(4096))
        self.assertEqual(os.stat(ssd.folder / "disk.img").st_blocks, 0)
        client.write(queue, 4095, pattern(4096), block=4096)
        self.assertEqual(client.read(queue, 4095, 1, block=4096), pattern(4096))
        client.adm(0x80, nsid=0xffffffff, dws=[0])
        self.assertEqual(client.identify(0, 1)[26], 0)

    def sanitize(self, client, cdw10, cdw11=0):
        begin = {"opc": 0x84, "dws": [cdw10, cdw11]}
        self.assertEqual(at_once(client, begin, begin), [0, 0x01d])
        wait_for("sanitize", lambda: u16(client.log(0x81), 2) & 7 != 2)
        return client.log(0x81)

    def test_sanitize(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        self.assertEqual(u16(client.log(0x81), 2), 0)
        for action in (2, 4):
            client.write(queue, 100, pattern(4096))
            log = self.sanitize(client, action)
            self.assertEqual((u16(log, 0), u16(log, 2), u32(log, 4)), (0xffff, 1 | 1 << 8, action))
            self.assertEqual(client.read(queue, 100, 8), bytes(4096))
            client.disable()
            client.enable()
            queue = client.queue()
        self.sanitize(client, 3 | 1 << 4, 0xa5a5a5a5)
        self.assertEqual(client.read(queue, 0, 8), b"\xa5" * 4096)
        self.assertEqual(client.read(queue, 32760, 8), b"\xa5" * 4096)
        self.fails(0x002, client.adm, 0x84, dws=[7])
        client.adm(0x84, dws=[1])

    def test_no_io_during_sanitize(self):
        client = self.connect(self.start()).enable()
        queue = client.queue()
        client.submit(client.admin, 0xc)
        self.assertEqual(at_once(client, {"opc": 0x84, "dws": [2]}, {"opc": 0x80, "nsid": 1}), [0, 0x01d])
        self.assertEqual(client.admin.wait()[0], 0x00810106)
        client.read(queue, 0, 1)

        def refused():
            client.admin.put(sqe(0x84, cid=1, dws=[2]))
            queue.put(sqe(2, nsid=1, prp1=at, dws=[0, 0, 0]))
            client.admin.ring()
            queue.ring()
            client.admin.wait()
            return queue.wait()[4] & 0x7ff == 0x01d
        at = client.pages()
        wait_for("a read that comes in time", refused)

    def create(self, client, nblocks, flbas=0, ncap=None):
        at = client.pages()
        client.fill(at, struct.pack("<QQ10xB", nblocks, nblocks if ncap is None else ncap, flbas))
        return client.adm(0xd, prp1=at, dws=[0])

    def attach(self, client, nsid, sel=0, ids=(1,)):
        at = client.pages()
        client.fill(at, struct.pack(f"<{len(ids) + 1}H", len(ids), *ids))
        client.adm(0x15, nsid=nsid, prp1=at, dws=[sel])

    def manage(self, client):
        self.assertTrue(u16(client.identify(1), 256) & 8)
        client.set_feature(0xb, 1 << 8)
        queue = client.queue()
        nsid = self.create(client, 4096, flbas=1)
        self.assertEqual(nsid, 2)
        self.assertEqual(client.identify(0, nsid), bytes(PAGE))  # not attached
        self.assertEqual(u64(client.identify(0x11, nsid), 0), 4096)
        self.assertEqual(struct.unpack_from("<3I", client.identify(0x10)), (1, 2, 0))
        self.assertEqual(struct.unpack_from("<2I", client.identify(2)), (1, 0))
        self.fails(0x00b, client.read, queue, 0, 1, nsid=nsid)
        client.submit(client.admin, 0xc)
        at = client.pages()
        client.fill(at, struct.pack("<2H", 1, 1))
        client.submit(client.admin, 0x15, nsid=nsid, prp1=at, dws=[0])
        self.assertEqual({client.admin.wait()[0], client.admin.wait()[0]}, {0, 0x00040002})
        self.assertEqual(struct.unpack_from("<3I", client.identify(2)), (1, 2, 0))
        self.assertEqual(struct.unpack_from("<2H", client.identify(0x12, nsid)), (1, 1))
        self.assertEqual(struct.unpack_from("<2H", client.identify(0x13)), (1, 1))
        client.write(queue, 4095, pattern(4096), nsid=nsid, block=4096)
        self.assertEqual(client.read(queue, 4095, 1, nsid=nsid, block=4096), pattern(4096))
        return queue, nsid

    def test_management(self):
        client = self.connect(self.start("--capacity", "64M")).enable()
        queue, nsid = self.manage(client)
        self.assertEqual(u64(client.identify(1), 296), 48 << 20)  # what is left
        self.fails(0x118, self.attach, client, nsid)
        self.fails(0x11c, self.attach, client, nsid, ids=(5,))
        self.fails(0x11c, self.attach, client, nsid, ids=())
        self.fails(0x00b, self.attach, client, 9)
        self.fails(0x115, self.create, client, 48 * 2048 + 1)
        self.fails(0x10a, self.create, client, 1, flbas=2)
        self.fails(0x11b, self.create, client, 8, ncap=4)
        self.fails(0x002, self.create, client, 0)
        self.attach(client, nsid, sel=1)
        self.fails(0x11a, self.attach, client, nsid, sel=1)
        self.fails(0x00b, client.read, queue, 0, 1, nsid=nsid)
        client.adm(0xd, nsid=nsid, dws=[1])
        self.fails(0x00b, client.adm, 0xd, nsid=nsid, dws=[1])
        self.assertEqual(u64(client.identify(1), 296), 64 << 20)
        for expected in range(2, 33):
            self.assertEqual(self.create(client, 8), expected)
        self.fails(0x116, self.create, client, 8)
        client.adm(0xd, nsid=0xffffffff, dws=[1])
        self.assertEqual(struct.unpack_from("<I", client.identify(0x10))[0], 0)
        self.assertTrue((self.folder / "disk.img").exists())

    def test_management_in_a_pool(self):
        client = self.connect(self.start("--capacity", "64M", "--pool", self.folder)).enable()
        self.manage(client)

    def test_no_management_unless_offered(self):
        client = self.connect(self.start()).enable()
        self.fails(0x001, client.adm, 0xd, prp1=IOVA, dws=[0])
        self.fails(0x001, client.adm, 0x15, nsid=1, prp1=IOVA, dws=[0])

    def test_namespace_outlives_the_client(self):
        ssd = self.start("--capacity", "64M")
        client = self.connect(ssd).enable()
        self.manage(client)
        self.drop(client)
        wait_for("client gone", lambda: not ssd.do("status")["client"])
        client = self.connect(ssd).enable()
        queue = client.queue()
        self.assertEqual(client.read(queue, 4095, 1, nsid=2, block=4096), pattern(4096))


if __name__ == "__main__":
    unittest.main(verbosity=2)
