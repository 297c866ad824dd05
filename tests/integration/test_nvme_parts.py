#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Parts of a namespace as disks: partitions by number, name and UUID, and plain ranges."""

import subprocess
import unittest

from daemon_rig import NVRING, PATIENCE, RpcError
from test_nvme import NvmeCase

MIB = 1 << 20
BOOT = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
TABLE = f"""label: gpt
unit: sectors
first-lba: 34
start=2048, size=8192, name="boot", uuid={BOOT}
start=10240, size=16384, name="data"
start=26624, size=2048, name="data"
"""


class Parts(NvmeCase):
    def setUp(self):
        super().setUp()
        self.image = self.folder / "ssd-1.img"
        with open(self.image, "wb") as out:
            out.truncate(32 * MIB)
        subprocess.run(["/sbin/sfdisk", "--quiet", self.image], input=TABLE, text=True, check=True)
        self.address = self.ssd(namespaces=("32M",))
        self.uri = f"nvme+{self.address}/1"

    def no_disk(self, daemon, options):
        """The one line that creating such a disk is answered with."""
        with self.assertRaises(RpcError) as raised:
            daemon.call("bdev_create", name="no", uri=f"{self.uri}?{options}")
        self.assertNotIn("\n", raised.exception.message)
        return raised.exception.message

    @staticmethod
    def sizes(daemon):
        return {disk["name"]: disk["size_bytes"] for disk in daemon.call("bdev_get_bdevs")}

    def test_each_way_to_name_one(self):
        daemon = self.start("--disk", f"n={self.uri}?part=1", "--disk", f"name={self.uri}?part=name:boot",
                            "--disk", f"uuid={self.uri}?part=uuid:{BOOT.lower()}", "--disk", f"second={self.uri}?part=2",
                            "--disk", f"range={self.uri}?offset=4M&size=1M", "--disk", f"rest={self.uri}?offset=30M",
                            "--disk", f"all={self.uri}")
        self.assertEqual(self.sizes(daemon), {"n": 4 * MIB, "name": 4 * MIB, "uuid": 4 * MIB, "second": 8 * MIB,
                                              "range": MIB, "rest": 2 * MIB, "all": 32 * MIB})

    def test_what_is_written_stays_within(self):
        socket = self.path("third.sock")
        self.start("--disk", f"third={self.uri}?part=3", "--vhost-user-blk", f"third={socket}")
        before = self.image.read_bytes()
        subprocess.run([NVRING, "bench", "--rw", "write", "--bs", "64k", "--verify", "--depth", "4", "--ios", "64", "--no-progress", socket],
                       check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
        after = self.image.read_bytes()
        start, end = 26624 * 512, (26624 + 2048) * 512
        self.assertTrue(after[:start] == before[:start] and after[end:] == before[end:])
        for block in range(start, end, 65536):
            self.assertTrue(after[block:block + 65536] != before[block:block + 65536], f"{block} was not written")

    def test_refusals(self):
        daemon = self.start()
        self.assertIn("there are 1 (boot), 2 (data)", self.no_disk(daemon, "part=7"))
        self.assertIn("2 partitions", self.no_disk(daemon, "part=name:data"))
        self.assertIn("boot", self.no_disk(daemon, "part=name:root"))
        self.assertIn("no offset= and size=", self.no_disk(daemon, "part=1&offset=4096"))
        self.assertIn("multiples", self.no_disk(daemon, "offset=100"))
        self.assertIn("beyond", self.no_disk(daemon, "offset=31M&size=2M"))
        self.assertEqual(self.sizes(daemon), {})
        # nothing was left open: the SSD takes its next client
        self.assertIn("SSD", self.nvme("id-ctrl", self.address))


if __name__ == "__main__":
    unittest.main()
