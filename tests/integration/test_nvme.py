#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring nvme and nvring exec on the software SSD: opened directly, and while the daemon holds it."""

import base64
import json
import os
import shutil
import struct
import subprocess
import unittest
import unittest.mock

from daemon_rig import NVRING, PATIENCE, Client, DaemonCase, RpcError, listens, wait_for
from shim_server import same

NVRING_SSD = os.environ.get("NVRING_SSD", "nvring-ssd")
JSON_VERBS = ["id-ctrl", "smart-log", "error-log", "fw-log", "self-test-log", "sanitize-log", "list-ns"]
NS_VERBS = ["id-ns", "ns-descs"]


class NvmeCase(DaemonCase):
    def setUp(self):
        self.ssds = []
        super().setUp()

    def _stop_all(self):
        """The daemons first: an SSD that goes under them is another test."""
        try:
            super()._stop_all()
        finally:
            for process in self.ssds:
                process.terminate()
                process.communicate(timeout=PATIENCE)

    def ssd(self, name="ssd", namespaces=("64M", "32M"), *options):
        """A software SSD; its address."""
        socket = self.path(f"{name}.sock")
        spaces = [a for i, size in enumerate(namespaces, 1) for a in ("--ns", f"{self.folder}/{name}-{i}.img,size={size}")]
        process = subprocess.Popen([NVRING_SSD, "--socket", str(socket), "--serial", name.upper(), *spaces, *options],
                                   stderr=subprocess.PIPE, text=True)

        self.ssds.append(process)
        wait_for("the SSD's socket", lambda: listens(socket) or process.poll() is not None)
        self.assertIsNone(process.poll())
        return f"vfio-user:{socket}"

    def hold(self, address, *more):
        """A daemon with disk s on namespace 1."""
        return self.start("--disk", f"s=nvme+{address}/1", *more)

    def nvme(self, verb, target, *options, status=0):
        """Output of `nvring nvme`, or what it says when it fails."""
        return self.cli("nvme", verb, target, *options, status=status)

    def json(self, verb, target, *options):
        return json.loads(self.nvme(verb, target, *options, "-o", "json"))

    def exec(self, *command, options=(), status=0):
        return self.cli("exec", *options, "--", *command, status=status)

    def one_line(self, *args):
        said = self.cli("nvme", *args, status=1)
        self.assertEqual(said.count("\n"), 1, said)
        return said


class Inspect(NvmeCase):
    def check_all(self, target, ns):
        self.assertEqual(self.json("id-ctrl", target)["sn"].strip(), "SSD")
        self.assertIn("sn        : SSD", self.nvme("id-ctrl", target))
        self.assertEqual(self.json("id-ns", ns)["nsze"], (64 << 20) // 512)
        self.assertEqual(self.json("id-ns", target, "-n", "2")["nsze"], (32 << 20) // 512)
        self.assertEqual([n["nsid"] for n in self.json("list-ns", target)["nsid_list"]], [1, 2])
        self.assertGreater(self.json("smart-log", target)["temperature"], 273)
        self.assertIn(" Kelvin)", self.nvme("smart-log", target))
        regs = self.json("show-regs", target)
        self.assertEqual(regs["csts"] & 3, 1)
        self.assertEqual(regs["cc"] & 1, 1)
        self.assertEqual(regs["vs"], self.json("id-ctrl", target)["ver"])
        effects = self.json("effects-log", target)[0]
        self.assertIn("ACS_6 (Identify)", effects["admin_cmd_set"])
        self.assertIn("IOCS_2 (Read)", effects["io_cmd_set"])
        self.assertIn("IOCS2", self.nvme("effects-log", target))
        self.assertIn("Number of Queues", self.nvme("get-feature", target, "-f", "7"))
        self.assertTrue(self.json("ns-descs", ns)["ns-descs"])
        self.assertEqual(len(self.json("self-test-log", target)["List of Valid Reports"]), 20)
        identify = self.cli("nvme", "admin-passthru", target, "-o", "6", "--cdw10=1", "-l", "4096", "-r", "-s")
        self.assertIn("0000: ", identify)
        self.nvme("telemetry-log", target, "-o", self.path("telemetry"))
        self.assertEqual(self.path("telemetry").stat().st_size % 512, 0)
        self.assertEqual(self.path("telemetry").read_bytes()[0], 7)

    def test_nobody_holds_it(self):
        address = self.ssd()
        self.check_all(address, f"{address}/1")
        socket = address.split(":", 1)[1]
        self.assertEqual(self.json("id-ns", f"{socket}/2")["nsze"], (32 << 20) // 512)
        listed = json.loads(self.cli("nvme", "list", socket, "-j"))["Devices"]
        self.assertEqual([d["DevicePath"] for d in listed], [f"{address}/1", f"{address}/2"])
        self.assertEqual([d["PhysicalSize"] for d in listed], [64 << 20, 32 << 20])

    def test_the_daemon_holds_it(self):
        address = self.ssd()
        daemon = self.hold(address, "--vhost-user-blk", "s=s.sock")
        for target, ns in ((address, f"{address}/1"), ("s", "s"), ("/dev/nvme0", "/dev/nvme0n1"), ("nvme0", "nvme0n1")):
            self.check_all(target, ns)
        held = daemon.call("bdev_nvme_get_controllers")
        self.assertEqual([(c["name"], c["disks"], c["ctrlrs"][0]["state"], c["ctrlrs"][0]["trid"]["trtype"]) for c in held],
                         [(address, ["s"], "enabled", "VFIOUSER")])
        health = daemon.call("bdev_nvme_get_controller_health_info", name=address)
        smart = self.json("smart-log", address)
        self.assertEqual(health["serial_number"], "SSD")
        self.assertEqual(health["temperature_celsius"], smart["temperature"] - 273)
        self.assertEqual(health["power_cycles"], smart["power_cycles"])
        self.assertEqual(len(json.loads(self.cli("nvme", "list", "-j"))["Devices"]), 2)
        self.assertIn("/dev/nvme0n2", self.cli("nvme", "list"))

    def test_counters_count(self):
        address = self.ssd()
        self.hold(address, "--vhost-user-blk", "s=s.sock")
        before = self.json("smart-log", "s")
        self.cli("bench", "s.sock", "--ios", "5000", "--rw", "randread")
        after = self.json("smart-log", "s")
        self.assertGreaterEqual(after["host_read_commands"] - before["host_read_commands"], 5000)
        self.assertGreater(after["data_units_read"], before["data_units_read"])


    def test_where_an_io_is(self):
        address = self.ssd("ssd", ("64M",), "--fault", "op=read,drop,first=3")
        self.hold(address, "--vhost-user-blk", "s=s.sock")
        bench = subprocess.Popen([NVRING, "bench", str(self.path("s.sock")), "--ios", "3", "--rw", "randread", "--depth", "3"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = []

        def three():
            found[:] = [io for io in json.loads(self.cli("where", "-j"))["ios"] if "nvme_qid" in io]
            return len(found) == 3
        wait_for("three commands under way", three)
        ios = list(found)
        self.assertEqual({(io["layer"], io["driver"], io["disk"]) for io in ios}, {("driver", "nvme", "s")})
        self.assertTrue(all(io["nvme_qid"] > 0 for io in ios))
        self.assertEqual(len({(io["nvme_qid"], io["nvme_cid"]) for io in ios}), 3)
        self.nvme("reset", "s", "--force", "--force-exported")  # they are sent again
        self.assertEqual(bench.wait(PATIENCE), 0)


class Refusals(NvmeCase):
    def test_one_line_and_exit_1(self):
        address = self.ssd()
        for args, said in ((("id-ctrl",), "usage: "),
                           (("id-ctrl", address, "--bogus"), "unknown option '--bogus'"),
                           (("id-ctrl", address, "-o", "xml"), "normal, json or binary"),
                           (("id-ns", address, "-n", "many"), "is no number"),
                           (("id-ns", address), "there are: 1, 2"),
                           (("id-ns", address, "-n", "0xfffffffe"), "NVMe status: Invalid Namespace or Format"),
                           (("id-ctrl", self.path("nothing.sock")), "nothing.sock"),
                           (("id-ctrl", self.path("ssd-1.img")), "not a socket"),
                           (("id-ctrl", "0000:1f:1f.7"), "0000:1f:1f.7"),
                           (("id-ctrl", "nodisk"), "no daemon"),
                           (("id-ctrl", "/dev/nvme7"), "/dev/nvme7"),
                           (("get-log", address, "-i", "2", "-l", "3"), "multiples of 4"),
                           (("get-log", address, "-i", "0xc0", "-l", "4"), "NVMe status: Invalid Log Page"),
                           (("get-feature", address), "--feature-id"),
                           (("admin-passthru", address, "-o", "0x7c", "--force"), "driver's own business"),
                           (("set-feature", address, "-f", "7", "-v", "1", "--force"), "driver's own business"),
                           (("fw-download", address, "-f", "/nonexistent", "--force"), "/nonexistent"),
                           (("format", address, "-n", "1"), "namespace 0x1: all its data will be lost; not done"),
                           (("format", address, "-n", "0xffffffff"), "all namespaces (as asked)")):
            self.assertIn(said, self.one_line(*map(str, args)))
        self.assertRegex(self.one_line("get-feature", address, "-f", "0xd9"), r"^NVMe status: Invalid Field in Command.*\(0x\d*2\)\n$")

    def test_not_vfio_user(self):
        self.start("--disk", "v=ram:8M", "--vhost-user-blk", "v=v.sock")
        self.one_line("id-ctrl", str(self.path("v.sock")))
        self.assertIn("not on an NVMe controller", self.one_line("id-ctrl", "v"))
        self.assertIn("no such disk", self.one_line("id-ctrl", "w"))
        self.assertIn("holds 0 controllers", self.one_line("id-ctrl", "/dev/nvme0"))
        self.assertIn("holds no NVMe controller", self.cli("exec", "--", "true", status=1))

    def test_another_client_has_it(self):
        address = self.ssd()
        self.hold(address)
        said = self.refused("--no-rpc", "--disk", f"s=nvme+{address}/1")
        self.assertIn("another client", said)
        self.assertEqual(said.count("\n"), 1, said)

    def test_what_is_exported_is_not_destroyed(self):
        address = self.ssd()
        self.hold(address, "--vhost-user-blk", "s=s.sock", "--disk", f"t=nvme+{address}/2")
        for args in (("format", "s", "--force"), ("sanitize", "s", "-a", "2", "--force"), ("reset", "s", "--force"),
                     ("subsystem-reset", "s", "--force"), ("delete-ns", "s", "-n", "1", "--force")):
            self.assertIn('disk "s"', self.one_line(*args))
        self.nvme("format", "t", "-n", "2", "--force")  # nobody uses that one
        self.cli("export", "delete", "s")
        self.nvme("format", "s", "--force")

    def test_another_spelling_is_guarded_as_well(self):
        address = self.ssd()
        encoded = address.replace("ssd.sock", "%73sd.sock")
        self.start("--disk", f"s=nvme+{encoded}/1", "--disk", f"f=fault:@fault:@nvme+{address}/2",
                   "--vhost-user-blk", "s=s.sock", "--vhost-user-blk", "f=f.sock")
        for target, disk in ((f"{address}/1", "s"), ("s", "s"), (f"{address}/2", "f"), ("f", "f")):
            self.assertIn(f'disk "{disk}"', self.one_line("format", target, "--force"))
        self.assertEqual(json.loads(self.cli("rpc", "bdev_nvme_get_controllers"))[0]["disks"], ["s", "f"])

    def test_rpc_parameters(self):
        address = self.ssd()
        daemon = self.hold(address)
        identify = base64.urlsafe_b64encode(struct.pack("<B3xI32xI20x", 6, 0, 1)).decode()
        good = {"name": address, "cmd_type": "admin", "data_direction": "c2h", "cmdbuf": identify, "data_len": 4096}
        answer = daemon.call("bdev_nvme_send_cmd", **good)
        self.assertEqual(base64.urlsafe_b64decode(answer["data"])[4:8], b"SSD ")
        self.assertEqual(len(base64.urlsafe_b64decode(answer["cpl"])), 16)
        fmt = base64.urlsafe_b64encode(struct.pack("<B3xI56x", 0x80, 1)).decode()
        for change, code, said in (({"name": "x"}, -1, "no controller"),
                                   ({"cmd_type": "io"}, -32602, "cmd_type"),
                                   ({"data_direction": "up"}, -32602, "data_direction"),
                                   ({"data_direction": "h2c"}, -32602, "opcode 0x06"),
                                   ({"cmdbuf": "AAAA"}, -32602, "64 bytes"),
                                   ({"cmdbuf": "?"}, -32602, "64 bytes"),
                                   ({"data": "AAAA"}, -32602, "opcode 0x06"),
                                   ({"data_len": 1 << 30}, -32602, "data_len"),
                                   ({"metadata": "AAAA"}, -32602, "metadata"),
                                   ({"cmdbuf": fmt, "data_len": 0}, -1, "was not allowed"),
                                   ({"data_len": 4092}, -32602, "moves 4096 bytes"),
                                   ({"bogus": 1}, -32602, "bogus")):
            with self.assertRaises(RpcError) as caught:
                daemon.call("bdev_nvme_send_cmd", **{**good, **change})
            self.assertEqual(caught.exception.code, code, change)
            self.assertIn(said, caught.exception.message)


class Gone(NvmeCase):
    """The SSD's process is killed under the daemon."""

    @unittest.skipUnless(shutil.which("nvme"), "no nvme-cli")
    def test_the_others_are_seen(self):
        gone, there = self.ssd("gone", ("64M",)), self.ssd("there", ("32M",))
        daemon = self.start("--disk", f"g=nvme+{gone}/1", "--disk", f"h=nvme+{gone}/1", "--disk", f"t=nvme+{there}/1")
        self.ssds[0].kill()
        self.ssds[0].wait()
        wait_for("the loss noticed", lambda: daemon.call("bdev_nvme_get_controllers", name=gone)[0]["ctrlrs"][0]["state"] == "failed")
        listed = self.cli("nvme", "list", "-o", "json", status=None)
        self.assertIn("delete all its disks", listed)
        self.assertIn("THERE", listed)
        self.assertNotIn("GONE", listed)
        self.assertIn("THERE", self.exec("nvme", "list"))
        for args in (("smart-log", "g"), ("reset", "g", "--force"), ("ns-rescan", "g"), ("format", "g", "--force")):
            self.assertIn("delete all its disks", self.one_line(*args))

    def test_back_again(self):
        address = self.ssd("ssd", ("64M",))
        daemon = self.start("--disk", f"g=nvme+{address}/1", "--disk", f"h=nvme+{address}/1")
        self.ssds[0].kill()
        self.ssds[0].wait()
        wait_for("the loss noticed", lambda: daemon.call("bdev_nvme_get_controllers")[0]["ctrlrs"][0]["state"] == "failed")
        self.path("ssd.sock").unlink()
        self.ssd("ssd", ("64M",))
        self.cli("disk", "delete", "g")
        self.assertIn("delete all its disks", self.cli("disk", "create", "g", f"nvme+{address}/1", status=1))
        self.cli("disk", "delete", "h")
        self.cli("disk", "create", "g", f"nvme+{address}/1")
        self.assertEqual(self.json("id-ctrl", "g")["sn"].strip(), "SSD")


class Manage(NvmeCase):
    def check_changes(self, target):
        self.assertIn("--force", self.one_line("set-feature", target, "-f", "4", "-v", "0x150"))
        self.nvme("set-feature", target, "-f", "4", "-v", "0x150", "--force")
        self.assertEqual(self.json("get-feature", target, "-f", "4")["value"], 0x150)
        self.nvme("device-self-test", target, "-s", "1", "--force", "-w")
        self.assertEqual(self.json("self-test-log", target)["List of Valid Reports"][0]["Self test result"], 0)
        self.nvme("reset", target, "--force")
        self.assertEqual(self.json("show-regs", target)["csts"] & 3, 1)

    def test_directly(self):
        address = self.ssd()
        self.nvme("device-self-test", address, "-s", "1", "--force")
        self.nvme("reset", address, "--force")
        self.nvme("format", address, "-n", "1", "-b", "4096", "--force")
        self.assertEqual(self.json("id-ns", address, "-n", "1")["nsze"], (64 << 20) // 4096)

    def test_through_the_daemon(self):
        address = self.ssd()
        self.hold(address)
        self.check_changes("s")

    def test_namespaces(self):
        address = self.ssd("ssd", ("64M",), "--capacity", "256M")
        self.hold(address)
        said = self.nvme("create-ns", address, "-s", "65536", "--force")
        nsid = said.split(":")[-1].strip()
        self.nvme("attach-ns", address, "-n", nsid, "--force")
        self.assertEqual([str(n["nsid"]) for n in self.json("list-ns", address)["nsid_list"]], ["1", nsid])
        self.cli("disk", "create", "t", f"nvme+{address}/{nsid}")
        self.cli("disk", "delete", "t")
        self.nvme("detach-ns", address, "-n", nsid, "--force")
        self.nvme("delete-ns", address, "-n", nsid, "--force")
        self.assertEqual([n["nsid"] for n in self.json("list-ns", address, "-a")["nsid_list"]], [1])

    def test_firmware(self):
        address = self.ssd()
        self.path("fw").write_bytes(b"FW-2.0.1" + os.urandom(10001))
        self.hold(address)
        self.nvme("fw-download", "s", "-f", self.path("fw"), "--force")
        self.nvme("fw-commit", "s", "-s", "2", "-a", "0", "--force")
        self.assertIn("(FW-2.0.1)", self.json("fw-log", "s")["s"]["Firmware Rev Slot 2"])

    def test_sanitize(self):
        address = self.ssd()
        self.hold(address)
        self.nvme("sanitize", "s", "-a", "start-block-erase", "--force")
        wait_for("the end of sanitize", lambda: self.json("sanitize-log", "s")["s"]["sstat"]["status"].startswith("(1)"))

    def test_the_end_waits_for_no_command(self):
        address = self.ssd("ssd", ("64M",), "--ctl", self.path("ctl"))
        daemon = self.hold(address)
        subprocess.run([NVRING_SSD, "ctl", self.path("ctl"), "fault", "op=0x02,queue=admin,drop"], check=True,
                       stdout=subprocess.DEVNULL, timeout=PATIENCE)
        log = base64.urlsafe_b64encode(struct.pack("<B3xI32xI20x", 2, 0xffffffff, 127 << 16 | 2)).decode()
        with Client(daemon.rpc) as client:
            client.send({"jsonrpc": "2.0", "id": 1, "method": "bdev_nvme_send_cmd",
                         "params": {"name": address, "cmd_type": "admin", "data_direction": "c2h", "cmdbuf": log,
                                    "data_len": 512, "timeout_ms": 3600000}})
            wait_for("the command", lambda: json.loads(subprocess.run(
                [NVRING_SSD, "ctl", self.path("ctl"), "faults"], check=True, stdout=subprocess.PIPE,
                timeout=PATIENCE).stdout)["faults"][0]["fired"])
            self.assertEqual(daemon.stop()[0], 0)

    def test_reset_under_io(self):
        address = self.ssd()
        self.hold(address, "--vhost-user-blk", "s=s.sock")
        bench = subprocess.Popen([NVRING, "bench", str(self.path("s.sock")), "--time", "60m", "--rw", "randwrite", "--verify"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3):
            self.nvme("reset", "s", "--force", "--force-exported")
        bench.terminate()
        out, _ = bench.communicate(timeout=PATIENCE)
        self.assertEqual(bench.returncode, 0, out)


@unittest.skipUnless(shutil.which("nvme") and shutil.which("smartctl"), "no nvme-cli or no smartmontools")
class Unmodified(NvmeCase):
    """nvme-cli and smartctl of the distribution under `nvring exec`, and our own verbs, on one controller."""

    def compare(self, target, ns, options):
        for verb, device, own in [(v, "/dev/nvme0", target) for v in JSON_VERBS] + [(v, "/dev/nvme0n1", ns) for v in NS_VERBS]:
            words = verb.split()
            theirs = json.loads(self.exec("nvme", words[0], device, *words[1:], "-o", "json", options=options))
            ours = self.json(words[0], own, *words[1:])
            if words[0] in ("fw-log", "sanitize-log"):
                theirs, (ours,) = theirs["nvme0"], ours.values()
            if words[0] == "sanitize-log":
                theirs["sstat"]["status"] = ours["sstat"]["status"]
            self.assertTrue(same(ours, theirs), f"{verb}:\n{json.dumps(ours)}\n{json.dumps(theirs)}")
        self.assertIn("Current value:", self.exec("nvme", "get-feature", "/dev/nvme0", "-f", "2", options=options))
        told = json.loads(self.exec("smartctl", "-a", "-j", "/dev/nvme0", options=options))
        smart = self.json("smart-log", target)
        self.assertEqual(told["serial_number"], "SSD")
        self.assertEqual(told["nvme_smart_health_information_log"]["power_cycles"], smart["power_cycles"])
        self.assertEqual(told["temperature"]["current"], smart["temperature"] - 273)
        listed = json.loads(self.exec("nvme", "list", "-o", "json", options=options))["Devices"]
        self.assertEqual(sorted(d["DevicePath"] for d in listed), ["/dev/nvme0n1", "/dev/nvme0n2"])

    def test_the_daemon_holds_it(self):
        address = self.ssd()
        self.hold(address, "--vhost-user-blk", "s=s.sock")
        self.compare(address, f"{address}/1", ())

    def test_nobody_holds_it(self):
        address = self.ssd()
        self.compare(address, f"{address}/1", ("--controller", address))

    def test_writes_need_consent(self):
        address = self.ssd()
        self.hold(address)
        said = self.exec("nvme", "set-feature", "/dev/nvme0", "-f", "4", "-v", "0x150", status=1)
        self.assertIn("was not allowed", said)
        self.exec("nvme", "set-feature", "/dev/nvme0", "-f", "4", "-v", "0x150", options=("--writable",))
        self.assertEqual(self.json("get-feature", "s", "-f", "4")["value"], 0x150)
        self.exec("nvme", "reset", "/dev/nvme0", options=("--writable",))
        self.cli("export", "create", "s", "s.sock")
        self.assertIn('disk "s"', self.exec("nvme", "reset", "/dev/nvme0", options=("--writable",), status=1))
        self.exec("nvme", "reset", "/dev/nvme0", options=("--writable", "--force-exported"))

    def test_two_controllers(self):
        one, two = self.ssd("one"), self.ssd("two")
        self.start("--disk", f"a=nvme+{one}/1", "--disk", f"b=nvme+{two}/1")
        serials = {json.loads(self.exec("nvme", "id-ctrl", f"/dev/nvme{i}", "-o", "json"))["sn"].strip() for i in (0, 1)}
        self.assertEqual(serials, {"ONE", "TWO"})

    def test_the_command_decides(self):
        address = self.ssd()
        for command, status in ((["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137),
                                ([str(self.path("nothing"))], 127), ([str(self.folder)], 126)):
            with unittest.mock.patch.dict(os.environ, TMPDIR=str(self.folder)):
                self.exec(*command, options=("--controller", address), status=status)
        self.assertEqual(self.cli("exec", status=2).count("\n"), 1)
        self.assertEqual(list(self.folder.glob("nvring-exec-*")), [])


if __name__ == "__main__":
    unittest.main()
