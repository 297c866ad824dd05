#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory is plugged and unplugged under verified I/O; buffers then lie across the borders of memory regions."""

import time

from lib import case
from lib.errors import GuestError
from lib.process import PATIENCE

DIMM_MIB = 128  # the least that a Linux guest takes


class Memory(case.GuestCase):
    needs = frozenset({"regions"})

    def start(self, total_mib, buffers_mib, slots, memory_mib=512, append=""):
        running, socket = self.serve_one()
        vm = self.linux("memory.sh", {"TOTAL_MIB": total_mib, "BUFFERS_MIB": buffers_mib}, cpus=2, verifier=True,
                        append=append, memory_mib=memory_mib, memory_extra=f",slots={slots},maxmem=16G")
        vm.add_disk(socket, num_queues=2)
        return running, vm

    @staticmethod
    def plug(vm, number, mib=DIMM_MIB):
        vm.qmp("object-add", {"qom-type": "memory-backend-memfd", "id": f"m{number}", "size": mib << 20,
                              "share": True})
        vm.qmp("device_add", {"driver": "pc-dimm", "id": f"dimm{number}", "memdev": f"m{number}"})

    def end(self, running, vm):
        vm.wait_mark("memory may go")
        vm.say("stop")
        vm.finish()
        self.settle(running, vm)

    def test_four_dimms_and_buffers_across_their_borders(self):
        running, vm = self.start(4 * DIMM_MIB, 300, slots=8)
        vm.start().wait_mark("in use")
        for number in range(4):
            self.plug(vm, number)
            self.progress(vm, 1)
        vm.wait_mark("all memory is here")
        self.end(running, vm)

    def test_the_daemon_dies_between_dimms(self):
        running, vm = self.start(4 * DIMM_MIB, 300, slots=8)
        vm.start().wait_mark("in use")
        for number in range(4):
            self.progress(vm, 1)
            self.plug(vm, number)
            self.restart(running.kill, running, vm)
        vm.wait_mark("all memory is here")
        self.end(running, vm)

    def test_forty_dimms(self):
        if "slots" not in self.server_class.abilities:
            self.skipTest(f"{self.server_class.program} takes memory in tables of eight regions only")
        running, vm = self.start(40 * DIMM_MIB, 64, slots=40, memory_mib=1024)
        vm.start().wait_mark("in use")
        for number in range(40):
            self.plug(vm, number)
        vm.wait_mark("all memory is here")
        self.end(running, vm)

    def test_virtio_mem_comes_and_goes(self):
        # movable: nothing that cannot be moved away settles in it
        running, vm = self.start(512, 0, slots=2, append="memhp_default_state=online_movable")
        vm.add("-object", "memory-backend-memfd,id=vmem,size=1G,share=on",
               "-device", "virtio-mem-pci,id=vm0,memdev=vmem,requested-size=0")
        vm.start().wait_mark("in use")
        self.request(vm, 512 << 20)
        vm.wait_mark("memory may go")
        self.request(vm, 0)
        vm.say("stop")
        vm.finish()
        self.settle(running, vm)

    @staticmethod
    def request(vm, size):
        where = "/machine/peripheral/vm0"
        vm.qmp("qom-set", {"path": where, "property": "requested-size", "value": size})
        deadline = time.monotonic() + PATIENCE
        while (got := vm.qmp("qom-get", {"path": where, "property": "size"})) != size:
            if time.monotonic() > deadline:
                raise GuestError(f"virtio-mem stays at {got >> 20} MiB, wanted {size >> 20} MiB")
            time.sleep(0.2)


if __name__ == "__main__":
    case.main()
