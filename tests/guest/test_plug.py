#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A disk is plugged into a running guest and unplugged, over and over."""

from lib import case

ROUNDS = 3


class Plug(case.GuestCase):
    def test_plug_and_unplug(self):
        running, socket = self.serve_one(128)
        vm = self.linux("plug.sh", {"ROUNDS": ROUNDS}).add("-device", "pcie-root-port,id=slot0,slot=1,chassis=1").start()
        address = {"type": "unix", "data": {"path": str(socket)}}
        for number in range(1, ROUNDS + 1):
            vm.wait_mark(f"plug {number}")
            vm.qmp("chardev-add", {"id": "c0", "backend": {"type": "socket", "data": {
                "addr": address, "server": False, "reconnect": 1}}})
            vm.qmp("device_add", {"driver": "vhost-user-blk-pci", "id": "d0", "bus": "slot0", "chardev": "c0",
                                  "num-queues": 1})
            vm.wait_mark(f"unplug {number}")
            vm.qmp("device_del", {"id": "d0"})
            vm.qmp.event("DEVICE_DELETED", match=lambda data: data.get("device") == "d0")
            vm.qmp("chardev-remove", {"id": "c0"})
        vm.say("end")
        vm.finish()
        self.settle(running, vm)


if __name__ == "__main__":
    case.main()
