#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest's direct I/O is never copied: its pages are what the SSD, or the kernel's registered buffers, take."""

import os

from lib import case, server
from lib.errors import Unavailable
from lib.process import wait_for

DIMM_MIB = 128  # the least that a Linux guest takes
MANY = 1000


class ZeroCopy(case.GuestCase):
    needs = frozenset({"inspect", "nvme", "slots"})

    def counters(self, running):
        """Those of the disk; of its channels they must add up."""
        disk = running.rpc("bdev_get_iostat", name="vol0")["bdevs"][0]
        for key in ("splits", "bounces", "bounced_bytes", "fixed"):
            self.assertLessEqual(sum(channel[key] for channel in disk["channels"]), disk[key])
        return disk

    def check_uncopied(self, running, ios):
        disk = self.counters(running)
        self.assertGreater(disk["num_read_ops"], ios)
        self.assertGreater(disk["num_write_ops"], ios)
        self.assertEqual((disk["bounces"], disk["bounced_bytes"]), (0, 0))
        return disk

    @staticmethod
    def wait_fixed(running):
        """Until MANY are. How soon memory is registered is the machine's business, how many segments touch the guest's."""
        wait_for(f"{MANY} I/Os with registered buffers",
                 lambda: running.rpc("bdev_get_iostat", name="vol0")["bdevs"][0]["fixed"] >= MANY)

    def test_ssd(self):
        ssd = self.ssd(self.image(256))
        socket = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", None, [socket], uri=ssd.uri(1)))
        vm = self.linux("zero-copy.sh", cpus=2)
        vm.add_disk(socket, num_queues=2).start()
        vm.finish()
        self.assertEqual(self.check_uncopied(running, 200)["fixed"], 0)
        self.settle(running, vm)
        ssd.stop()

    def test_file_and_dimms(self):
        """Registered buffers, in memory that is plugged under verified I/O and goes with the guest."""
        socket = self.folder / "vol0.sock"
        running = self.serve(server.Export("vol0", None, [socket], uri=f"file:{self.image(512)}?fixed=1"))
        if "fixed=1" in running.log.read_text():
            raise Unavailable(running.log.read_text().strip().splitlines()[-1])
        vm = self.linux("memory.sh", {"TOTAL_MIB": 2 * DIMM_MIB, "BUFFERS_MIB": 200}, cpus=2, verifier=True,
                        memory_mib=512, memory_extra=",slots=4,maxmem=4G")
        vm.add_disk(socket, num_queues=2).start()
        vm.wait_mark("in use")
        for number in range(2):
            vm.qmp("object-add", {"qom-type": "memory-backend-memfd", "id": f"m{number}", "size": DIMM_MIB << 20,
                                  "share": True})
            vm.qmp("device_add", {"driver": "pc-dimm", "id": f"dimm{number}", "memdev": f"m{number}"})
        vm.wait_mark("memory may go")
        self.wait_fixed(running)
        vm.say("stop")
        vm.finish()
        self.check_uncopied(running, 100)
        self.settle(running, vm)

    def test_old_kernel(self):
        """In Debian 12's, rings cannot share registered buffers."""
        program = os.environ.get("URING_FIXED")
        if not program:
            raise Unavailable("URING_FIXED does not name the built test_uring_fixed")
        running, socket = self.serve_one(64)
        vm = self.linux("fixed-old.sh", {"URING_FIXED": program}, memory_mib=768)
        vm.add_disk(socket).start()
        vm.finish()
        self.settle(running, vm)


if __name__ == "__main__":
    case.main()
