#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A disk that merges neighbours, under a Linux guest that writes and verifies one block after the other."""

from lib import case, server


class Merge(case.GuestCase):
    needs = frozenset({"inspect"})

    def test_sequential(self):
        socket = self.folder / "vol0.sock"
        image = self.image(128)
        running = self.serve(server.Export("vol0", image, [socket], uri=f"file:{image}?merge=1"))
        vm = self.linux("merge.sh")
        vm.add_disk(socket).start()
        vm.finish()
        stats = running.rpc("bdev_get_iostat", name="vol0")["bdevs"][0]
        self.assertGreater(stats["merged"], 0)
        self.assertEqual(stats["operations"]["write"]["errors"] + stats["operations"]["read"]["errors"], 0)
        self.settle(running, vm)


if __name__ == "__main__":
    case.main()
