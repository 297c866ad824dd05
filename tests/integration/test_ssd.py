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


if __name__ == "__main__":
    unittest.main(verbosity=2)
