#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself: what of it can be tested without a guest."""

import gzip
import io
import pathlib
import struct
import tempfile
import unittest

from lib import bzimage, case, initramfs
from lib.console import Console
from lib.errors import GuestError


def console_of(text):
    with tempfile.TemporaryDirectory() as folder:
        console = Console(io.BytesIO(text.encode()), pathlib.Path(folder) / "log")
        console.join(10)
    return console


class ConsoleTest(unittest.TestCase):
    def test_result_is_the_last_one(self):
        self.assertEqual(console_of("GUEST-RC 3\r\nx\r\nGUEST-RC 0\r\n").result(), 0)

    def test_no_result(self):
        self.assertIsNone(console_of("GUEST-RC x\r\n").result())

    def test_escapes_vanish(self):
        self.assertEqual(console_of("\x1b[2J\x1b[1;1Hready\r\n").lines, ["ready"])

    def test_disaster(self):
        self.assertIn("panic", console_of("a\nKernel panic - not syncing\n").disaster())
        self.assertIsNone(console_of("all is well\n").disaster())

    def test_wait_finds_a_line_that_came_before(self):
        self.assertEqual(console_of("a\nMARK b 7\n").wait(r"MARK b (\d)", 1)[1], "7")

    def test_wait_tells_that_the_guest_ended(self):
        with self.assertRaisesRegex(GuestError, "the guest ended"):
            console_of("a\n").wait("b", 60)

    def test_wait_starts_after(self):
        with self.assertRaises(GuestError):
            console_of("a\nb\n").wait("a", 1, after=1)


class ArchiveTest(unittest.TestCase):
    def test_newc(self):
        archive = initramfs.Archive()
        archive.folder("bin")
        archive.file("bin/x", b"12345", 0o644)
        data = archive.finish()
        self.assertEqual(len(data) % 4, 0)
        second = data.index(b"070701", 6)
        fields = [int(data[second + 6 + 8 * n:second + 14 + 8 * n], 16) for n in range(13)]
        self.assertEqual(fields[1], 0o100644)
        self.assertEqual(fields[6], 5)
        self.assertEqual(fields[11], len("bin/x") + 1)
        self.assertTrue(data[second + 110:].startswith(b"bin/x\0"))
        self.assertIn(b"TRAILER!!!\0", data)


class BzImageTest(unittest.TestCase):
    def test_payload(self):
        elf = b"\x7fELF" + bytes(100)
        packed = gzip.compress(elf, mtime=0) + struct.pack("<I", len(elf))
        head = bytearray(1024 + 64)
        head[bzimage.SETUP_SECTS] = 1
        head[bzimage.MAGIC:bzimage.MAGIC + 4] = b"HdrS"
        struct.pack_into("<II", head, bzimage.PAYLOAD_OFFSET, 64, len(packed))
        self.assertEqual(bzimage.payload(bytes(head) + packed), elf)

    def test_something_else(self):
        with self.assertRaises(ValueError):
            bzimage.payload(bytes(2048))


if __name__ == "__main__":
    case.main()
