#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The control interface: every method, well and badly asked, and clients that behave badly."""

import json
import socket
import struct
import unittest

from daemon_rig import Client, DaemonCase, RpcError, wait_for

PARSE, INVALID, NO_METHOD, PARAMS, STATE = -32700, -32600, -32601, -32602, -1


def request(method, ident=1, **params):
    return {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}


class Methods(DaemonCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.start("--disk", "a=ram:8M", "--vhost-user-blk", "a=a.sock")

    def call(self, method, **params):
        return self.daemon.call(method, **params)

    # method, params, code, what the message says
    BAD = (
        ("no_such_method", {}, NO_METHOD, "no method \"no_such_method\""),
        ("rpc_get_methods", {"x": 1}, PARAMS, "x: unknown key"),
        ("nvring_get_version", {"x": 1}, PARAMS, "x: unknown key"),
        ("bdev_get_bdevs", {"name": 7}, PARAMS, "name: must be a text, not 7"),
        ("bdev_get_bdevs", {"name": "z"}, STATE, "no disk named \"z\""),
        ("bdev_create", {"name": "b"}, PARAMS, "uri: missing"),
        ("bdev_create", {"name": "b c", "uri": "ram:8M"}, PARAMS, "name: a name consists of"),
        ("bdev_create", {"name": "b", "uri": "disk.img"}, PARAMS, "did you mean file:disk.img?"),
        ("bdev_create", {"name": "a", "uri": "ram:8M"}, STATE, "there is another disk named \"a\""),
        ("bdev_create", {"name": "b", "uri": "tape:8M"}, STATE, "tape:8M"),
        ("bdev_create", {"name": "b", "uri": "file:/no/such.img"}, STATE, "No such file or directory"),
        ("bdev_null_create", {"name": "b"}, PARAMS, "num_blocks: missing"),
        ("bdev_null_create", {"name": "b", "num_blocks": 2**62, "block_size": 4096}, PARAMS, "num_blocks: too large"),
        ("bdev_malloc_create", {"name": "b", "num_blocks": -1}, PARAMS, "num_blocks: must be a number of bytes"),
        ("bdev_uring_create", {"name": "b", "filename": "/no/such.img"}, STATE, "No such file or directory"),
        ("bdev_aio_create", {"name": "b", "filename": ""}, PARAMS, "filename: must not be empty"),
        ("bdev_delete", {}, PARAMS, "name: missing"),
        ("bdev_delete", {"name": "z"}, STATE, "no disk named \"z\""),
        ("bdev_delete", {"name": "a"}, STATE, "the disk is exported: delete its exports first"),
        ("bdev_resize", {"name": "a", "size": "big"}, PARAMS, "size: must be a number of bytes or a text such as"),
        ("bdev_resize", {"name": "z", "size": "1G"}, STATE, "no disk named \"z\""),
        ("bdev_create", {"name": "b", "uri": "ram:8M", "iops": 0}, PARAMS, "iops: must be a number from 1 to"),
        ("bdev_create", {"name": "b", "uri": "ram:8M", "group": "z"}, STATE, "no group named \"z\""),
        ("bdev_create", {"name": "b", "uri": "ram:8M", "iops": 5, "min_iops": 6}, PARAMS, "a guaranteed minimum of 6 is above"),
        ("bdev_create", {"name": "b", "uri": "ram:8M", "min_iops": 6}, STATE, "a guaranteed minimum is one within a group"),
        ("bdev_set_qos", {"iops": 5}, PARAMS, "name: missing"),
        ("bdev_set_qos", {"name": "z", "iops": 5}, STATE, "no disk named \"z\""),
        ("bdev_set_qos", {"name": "a", "iops": 0}, PARAMS,
         "iops: must be a number from 1 to 1000000000, or null for none, not 0"),
        ("bdev_set_qos", {"name": "a", "iops": -1}, PARAMS, "iops: must be a number from 1 to"),
        ("bdev_set_qos", {"name": "a", "iops": 1.5}, PARAMS, "not 1.5"),
        ("bdev_set_qos", {"name": "a", "iops": 1e9}, PARAMS, "iops: must be"),
        ("bdev_set_qos", {"name": "a", "iops": "5K"}, PARAMS, "iops: must be"),
        ("bdev_set_qos", {"name": "a", "iops": "2G"}, PARAMS, "iops: must be"),
        ("bdev_set_qos", {"name": "a", "bps": "100MB"}, PARAMS, "bps: must be"),
        ("bdev_set_qos", {"name": "a", "iops": True}, PARAMS, "iops: must be"),
        ("bdev_set_qos", {"name": "a", "iops": [5]}, PARAMS, "not an array"),
        ("bdev_set_qos", {"name": "a", "iops": 2**64 + 5}, PARAMS, "iops: must be"),
        ("bdev_set_qos", {"name": "a", "iops": 2**31, "weight": 7}, PARAMS, "iops: must be"),
        ("bdev_set_qos", {"name": "a", "weight": 7, "read_bps": 1023}, PARAMS,
         "read_bps: must be a number from 1024 to 1099511627776, a text such as \"100M\", or null for none, not 1023"),
        ("bdev_set_qos", {"name": "a", "write_bps": "2T"}, PARAMS, "write_bps: must be"),
        ("bdev_set_qos", {"name": "a", "write_bps": "-1M"}, PARAMS, "write_bps: must be"),
        ("bdev_set_qos", {"name": "a", "write_bps": "16777215T"}, PARAMS, "write_bps: must be"),
        ("bdev_set_qos", {"name": "a", "iops_burst": 9}, PARAMS, "a burst of 9 without a limit"),
        ("bdev_set_qos", {"name": "a", "iops": 10, "iops_burst": 36001}, PARAMS, "a burst of 36001 is not within"),
        ("bdev_set_qos", {"name": "a", "iops": 10, "iops_burst": 0}, PARAMS, "iops_burst: must be"),
        ("bdev_set_qos", {"name": "a", "weight": 0}, PARAMS, "weight: must be a number from 1 to 1000"),
        ("bdev_set_qos", {"name": "a", "weight": 1001}, PARAMS, "weight: must be a number from 1 to 1000"),
        ("bdev_set_qos", {"name": "a", "latency_us": 0}, PARAMS, "latency_us: must be"),
        ("bdev_set_qos", {"name": "a", "latency_us": 10000001}, PARAMS, "latency_us: must be"),
        ("bdev_set_qos", {"name": "a", "read_deadline_us": 0, "iops": 5}, PARAMS, "read_deadline_us: must be"),
        ("bdev_set_qos", {"name": "a", "write_deadline_us": 60000001}, PARAMS, "write_deadline_us: must be"),
        ("bdev_set_qos", {"name": "a", "path_timeout_ms": 86400001}, PARAMS,
         "path_timeout_ms: must be a number from 0 to 86400000, or null for the default, not 86400001"),
        ("bdev_set_qos", {"name": "a", "path_timeout_ms": -1, "weight": 9}, PARAMS, "path_timeout_ms: must be"),
        ("bdev_set_qos", {"name": "a", "path_timeout_ms": "soon"}, PARAMS, "path_timeout_ms: must be"),
        ("bdev_set_qos", {"name": "a", "path_timeout_ms": 0.5}, PARAMS, "path_timeout_ms: must be"),
        ("bdev_create", {"name": "n", "uri": "ram:1M", "path_timeout_ms": True}, PARAMS, "path_timeout_ms: must be"),
        ("bdev_set_qos", {"name": "a", "min_iops": 5}, PARAMS, "a is in none; name a group"),
        ("bdev_set_qos", {"name": "a", "min_bps": 7}, PARAMS, "min_bps: must be"),
        ("bdev_set_qos", {"name": "a", "iops": 5, "min_iops": 6, "group": "g"}, PARAMS,
         "a guaranteed minimum of 6 is above the total IOPS limit of 5"),
        ("bdev_set_qos", {"name": "a", "min_iops": 701, "group": "g"}, PARAMS,
         "the guaranteed minimums of group g add up to 1001 IOPS, its limit is 1000"),
        ("bdev_set_qos", {"name": "a", "iops": 5, "group": "z"}, STATE, "no group named \"z\""),
        ("bdev_set_qos", {"name": "a", "group": ""}, PARAMS, "group: must not be empty"),
        ("bdev_set_qos", {"name": "a", "group": 5}, PARAMS, "group: must be a text"),
        ("bdev_set_qos", {"name": "a", "speed": 5}, PARAMS, "speed: unknown key"),
        ("bdev_set_qos_limit", {"name": "a"}, PARAMS, "no limit is named"),
        ("bdev_set_qos_limit", {"name": "z", "rw_ios_per_sec": 5}, STATE, "no disk named \"z\""),
        ("bdev_set_qos_limit", {"name": "a", "rw_ios_per_sec": -5}, PARAMS, "rw_ios_per_sec: must be"),
        ("bdev_set_qos_limit", {"name": "a", "rw_mbytes_per_sec": 2**20 + 1}, PARAMS, "rw_mbytes_per_sec: must be"),
        ("bdev_set_qos_limit", {"name": "a", "r_mbytes_per_sec": 2**60}, PARAMS, "r_mbytes_per_sec: must be"),
        ("bdev_set_qos_limit", {"name": "a", "w_mbytes_per_sec": 0.5}, PARAMS, "w_mbytes_per_sec: must be"),
        ("bdev_freeze", {"name": "z"}, STATE, "no disk named \"z\""),
        ("bdev_freeze", {}, PARAMS, "name: missing"),
        ("bdev_freeze", {"name": "a", "timeout_ms": 0}, PARAMS, "timeout_ms: must be a number from 1 to 86400000"),
        ("bdev_thaw", {"name": "a", "timeout_ms": 5}, PARAMS, "timeout_ms: unknown key"),
        ("bdev_thaw", {"name": "a"}, STATE, "the disk is not frozen"),
        ("bdev_thaw", {"name": "z"}, STATE, "no disk named \"z\""),
        ("qos_create_group", {"name": "g"}, STATE, "there is another group named \"g\""),
        ("qos_create_group", {"name": "h", "iops": 0}, PARAMS, "iops: must be"),
        ("qos_create_group", {"name": "h", "iops": 5, "iops_burst": 10**9}, PARAMS, "a burst of 1000000000 is not within"),
        ("qos_create_group", {"name": "h", "min_iops": 5}, PARAMS, "min_iops: unknown key"),
        ("qos_create_group", {"name": "h h"}, PARAMS, "name: a name consists of"),
        ("qos_create_group", {"name": "none"}, PARAMS, "name: \"none\" takes a disk out of its group"),
        ("qos_create_group", {"name": "h" * 64}, PARAMS, "name: longer than 63 characters"),
        ("qos_set_group", {"name": "h", "iops": 5}, STATE, "no group named \"h\""),
        ("qos_set_group", {"name": "g", "iops": None, "iops_burst": 5}, PARAMS, "a burst of 5 without a limit"),
        ("qos_set_group", {"name": "g", "read_iops": -5}, PARAMS, "read_iops: must be"),
        ("qos_set_group", {"name": "g", "iops": 299}, PARAMS, "add up to 300 IOPS, its limit is 299"),
        ("qos_delete_group", {"name": "h"}, STATE, "no group named \"h\""),
        ("qos_delete_group", {"name": "g"}, STATE, "group g has 1 disk, m among them; take it out first"),
        ("qos_get_groups", {"name": "h"}, STATE, "no group named \"h\""),
        ("bdev_get_iostat", {"name": "z"}, STATE, "no disk named \"z\""),
        ("vhost_create_blk_controller", {"ctrlr": "e"}, PARAMS, "dev_name: missing"),
        ("vhost_create_blk_controller", {"ctrlr": "e", "dev_name": "z"}, STATE, "no disk named \"z\""),
        ("vhost_create_blk_controller", {"ctrlr": "a", "dev_name": "a"}, STATE, "another export named \"a\""),
        ("vhost_create_blk_controller", {"ctrlr": "e", "dev_name": "a", "queues": 257}, PARAMS,
         "queues: must be a number from 1 to 256"),
        ("vhost_create_blk_controller", {"ctrlr": "e", "dev_name": "a", "socket": "/no/such/e.sock"}, STATE,
         "/no/such/e.sock"),
        ("vhost_create_blk_controller", {"ctrlr": "e" * 63, "dev_name": "a", "socket": "/" + "x" * 107}, PARAMS,
         "socket: longer than 107 characters"),
        ("vhost_create_blk_controller", {"ctrlr": "e", "dev_name": "a", "cpus": "0-"}, PARAMS,
         "cpus: \"0-\" is no list of CPUs"),
        ("vhost_create_blk_controller", {"ctrlr": "e", "dev_name": "a", "cpus": "1000"}, STATE,
         "cpus: CPU 1000 is not online"),
        ("vhost_delete_controller", {"ctrlr": "z"}, STATE, "no export named \"z\""),
        ("vhost_get_controllers", {"name": "z"}, STATE, "no export named \"z\""),
        ("vhost_move_queue", {"ctrlr": "z", "queue": 0, "reactor": 0}, STATE, "no export named \"z\""),
        ("vduse_create_blk_device", {"name": "v"}, PARAMS, "dev_name: missing"),
        ("vduse_create_blk_device", {"name": "v", "dev_name": "z"}, STATE, "no disk named \"z\""),
        ("vduse_create_blk_device", {"name": "v/w", "dev_name": "a"}, PARAMS, "name: a name consists of"),
        ("vduse_create_blk_device", {"name": "control", "dev_name": "a"}, PARAMS, "is the kernel's own"),
        ("vduse_create_blk_device", {"name": "v", "dev_name": "a", "queues": 0}, PARAMS, "a number from 1 to 256"),
        ("vduse_create_blk_device", {"name": "v", "dev_name": "a", "cpus": "x"}, PARAMS, "no list of CPUs"),
        ("vduse_create_blk_device", {"name": "v", "dev_name": "a", "cpus": "1023"}, STATE, "cpus: CPU 1023"),
        ("vduse_create_blk_device", {"name": "v", "dev_name": "a", "serial": "x" * 21}, PARAMS, "longer than 20"),
        ("vduse_delete_device", {"name": "v"}, STATE, "no VDUSE device named \"v\""),
        ("vduse_get_devices", {"name": "v"}, STATE, "no VDUSE device named \"v\""),
        ("vhost_move_queue", {"ctrlr": "z", "queue": 256, "reactor": 0}, PARAMS, "queue: "),
        ("vhost_move_queue", {"ctrlr": "z", "queue": 0}, PARAMS, "reactor: "),
        ("framework_get_reactors", {"id": 1}, PARAMS, "id: unknown key"),
        ("reactor_set_idle", {"max_us": 5}, PARAMS, "min_us: missing"),
        ("reactor_set_idle", {"min_us": 6, "max_us": 5}, PARAMS,
         "the shortest idle window, 6 us, is more than the longest, 5 us"),
        ("reactor_set_idle", {"min_us": 0, "max_us": 0}, PARAMS, "max_us: must be a number from 1 to 1000000"),
        ("reactor_set_idle", {"min_us": 1, "max_us": 2, "id": 4711}, PARAMS, "id: \"all\" or a number from 0 to"),
        ("reactor_set_mode", {"mode": "fast"}, PARAMS, "mode: adaptive, poll or interrupt"),
        ("reactor_set_mode", {"mode": "poll", "id": 4711}, PARAMS, "id: \"all\" or a number from 0 to"),
        ("reactor_set_mode", {"mode": "poll", "id": "some"}, PARAMS, "id: \"all\" or a number from 0 to"),
        ("reactor_get_rebalance", {"x": 1}, PARAMS, "x: unknown key"),
        ("reactor_set_rebalance", {}, PARAMS, "enabled: missing"),
        ("reactor_set_rebalance", {"enabled": "on"}, PARAMS, "enabled: must be true or false"),
        ("log_set_level", {"level": "loud"}, PARAMS, "level: error, warn"),
        ("log_get_level", {"level": "info"}, PARAMS, "level: unknown key"),
        ("fault_set_rules", {"name": "a", "rules": "op=read,error=EIO"}, STATE, ""),
        ("bdev_nvme_get_controllers", {"name": "z"}, STATE, "no controller \"z\""),
        ("bdev_nvme_get_controller_health_info", {"name": "z"}, STATE, "no controller \"z\""),
        ("bdev_nvme_reset_controller", {}, PARAMS, "name: missing"),
        ("bdev_nvme_rescan_controller", {"name": "z"}, STATE, "no controller \"z\""),
        ("bdev_nvme_send_cmd", {"name": "z", "cmd_type": "io", "data_direction": "c2h", "cmdbuf": "AAAA"}, PARAMS,
         "cmd_type: \"admin\""),
        ("pool_list", {"pool": "p"}, PARAMS, "pool: unknown key"),
        ("attach_get_disks", {"x": 1}, PARAMS, "x: unknown"),
        ("ublk_get_disks", {"x": 1}, PARAMS, "x: unknown"),
        ("nbd_get_disks", {"x": 1}, PARAMS, "x: unknown"),
        ("ublk_start_disk", {}, PARAMS, "bdev_name: missing"),
        ("nbd_start_disk", {}, PARAMS, "bdev_name: missing"),
        ("fuse_get_disks", {"x": 1}, PARAMS, "x: unknown"),
        ("fuse_start_disk", {}, PARAMS, "bdev_name: missing"),
        ("fuse_stop_disk", {}, PARAMS, "fuse_id: missing"),
        ("ublk_stop_disk", {}, PARAMS, "ublk_id: missing"),
        ("nbd_stop_disk", {}, PARAMS, "nbd_id: missing"),
        ("pool_init", {}, PARAMS, "name: missing"),
        ("pool_init", {"name": "z"}, STATE, "no pool named \"z\""),
        ("pool_init", {"name": "z", "force": "yes"}, PARAMS, "force: must be true or false"),
        ("volume_list", {"pool": "z"}, STATE, "no pool named \"z\""),
        ("volume_create", {"name": "v"}, PARAMS, "size: missing"),
        ("volume_create", {"name": "../v", "size": "1M"}, PARAMS, "name: a name consists of letters, digits and . _ -"),
        ("volume_create", {"name": ".v", "size": "1M"}, PARAMS, "name: a name begins and ends with a letter or a digit"),
        ("volume_create", {"name": "v" * 64, "size": "1M"}, PARAMS, "name: longer than 63 characters"),
        ("volume_create", {"name": "v", "size": 4097}, PARAMS, "size: a size is a multiple of 4096 bytes, not 4097"),
        ("volume_create", {"name": "v", "size": 0}, PARAMS, "size: a size is a multiple of 4096 bytes, not 0"),
        ("volume_create", {"name": "v", "size": "1M"}, STATE, "nvringd has no pool: start it with --pool NAME=dir:PATH or NAME=nvme:…"),
        ("volume_resize", {"name": "v", "size": "big"}, PARAMS, "size: must be a number of bytes"),
        ("volume_resize", {"name": "v", "size": 511}, PARAMS, "size: a size is a multiple of"),
        ("volume_remove", {}, PARAMS, "name: missing"),
        ("volume_remove", {"name": "v/"}, PARAMS, "name: a name consists of"),
        ("volume_export", {"name": "v", "queues": 0}, PARAMS, "queues: must be a number from 1 to"),
        ("volume_export", {"name": "v", "socket": "/" + "x" * 107}, PARAMS, "socket: longer than 107 characters"),
        ("volume_unexport", {"name": "v", "force": 1}, PARAMS, "force: must be true or false"),
        ("nvring_get_inflight", {"x": 1}, PARAMS, "x: unknown key"),
        ("framework_get_config", {"name": "bdev"}, PARAMS, "name: unknown key"),
        ("save_config", {}, STATE, "name a file to write"),
        ("save_config", {"path": "c.json"}, PARAMS, "path: must begin with /"),
        ("save_config", {"path": "/no/such/c.json"}, STATE, "No such file or directory"),
    )

    def test_what_is_badly_asked_is_refused(self):
        self.call("qos_create_group", name="g", iops=1000)
        self.call("bdev_create", name="m", uri="ram:8M", group="g", min_iops=300)
        before = self.call("framework_get_config")
        for method, params, code, message in self.BAD:
            with self.subTest(method=method, params=params), self.assertRaises(RpcError) as caught:
                self.call(method, **params)
            self.assertEqual(caught.exception.code, code, caught.exception.message)
            self.assertIn(message, caught.exception.message)
        self.assertEqual(self.call("framework_get_config"), before)

    def test_every_method_has_a_bad_case(self):
        self.assertEqual({case[0] for case in self.BAD} - {"no_such_method"}, set(self.call("rpc_get_methods")))

    def test_disks(self):
        image = self.path("x?y.img")
        image.write_bytes(bytes(1 << 20))
        self.assertEqual(self.call("bdev_create", name="b", uri="null:1G", read_only=True), "b")
        self.assertEqual(self.call("bdev_null_create", name="n", num_blocks=2048, block_size=4096), "n")
        self.assertEqual(self.call("bdev_malloc_create", name="m", num_blocks=2048), "m")
        self.assertEqual(self.call("bdev_uring_create", name="u", filename=str(image)), "u")
        disks = {d["name"]: d for d in self.call("bdev_get_bdevs")}
        self.assertEqual(sorted(disks), ["a", "b", "m", "n", "u"])
        self.assertEqual([disks[n]["size_bytes"] for n in "abmnu"], [8 << 20, 1 << 30, 1 << 20, 8 << 20, 1 << 20])
        self.assertEqual(disks["n"]["block_size"], 4096)
        self.assertEqual(disks["n"]["num_blocks"], 2048)
        self.assertTrue(disks["b"]["read_only"])
        self.assertFalse(disks["b"]["supported_io_types"]["write"])
        self.assertTrue(disks["a"]["claimed"])
        self.assertFalse(disks["b"]["claimed"])
        self.assertEqual(self.call("bdev_get_bdevs", name="u"), [disks["u"]])
        for name in "bmnu":
            self.assertIs(self.call("bdev_delete", name=name), True)
        self.assertEqual([d["name"] for d in self.call("bdev_get_bdevs")], ["a"])
        self.assertEqual(self.call("bdev_aio_create", name="u", filename=str(image), readonly=True), "u")

    def test_resize(self):
        image = self.image()
        self.call("bdev_create", name="f", uri=f"file:{image}")
        self.assertIs(self.call("bdev_resize", name="f", size="32M"), True)
        self.assertEqual(image.stat().st_size, 32 << 20)
        self.assertEqual(self.call("bdev_get_bdevs", name="f")[0]["size_bytes"], 32 << 20)
        with open(image, "r+b") as file:
            file.truncate(48 << 20)
        self.assertIs(self.call("bdev_resize", name="f"), True)
        self.assertEqual(self.call("bdev_get_bdevs", name="f")[0]["size_bytes"], 48 << 20)

    def qos(self, name="a"):
        return self.call("bdev_get_bdevs", name=name)[0]["qos"]

    def test_limits(self):
        self.assertEqual(self.qos(), {})
        wanted = {f"{kind}{unit}{burst}": 5000 for kind in ("read_", "write_", "") for unit in ("iops", "bps")
                  for burst in ("", "_burst")}
        wanted |= {"weight": 300, "latency_us": 2000, "read_deadline_us": 500, "write_deadline_us": 60000000,
                   "path_timeout_ms": 0}
        self.call("bdev_set_qos", name="a", **wanted)
        self.assertEqual(self.qos(), wanted)
        # only what is named changes
        self.call("bdev_set_qos", name="a", write_bps="1M", read_bps="2Mi", write_iops="10k", weight=7, path_timeout_ms="5k")
        wanted |= {"path_timeout_ms": 5000, "write_bps": 1 << 20, "read_bps": 2 << 20, "write_iops": 10000, "weight": 7}
        self.assertEqual(self.qos(), wanted)
        # nothing at all, when one of several is impossible
        with self.assertRaises(RpcError):
            self.call("bdev_set_qos", name="a", weight=8, latency_us=1000, read_deadline_us=9, iops=1)
        self.assertEqual(self.qos(), wanted)
        # with a limit its burst goes
        self.call("bdev_set_qos", name="a", iops=None, bps="none", latency_us=None, weight=None, read_deadline_us=None)
        for key in ("iops", "iops_burst", "bps", "bps_burst", "latency_us", "weight", "read_deadline_us"):
            del wanted[key]
        self.assertEqual(self.qos(), wanted)
        self.call("bdev_set_qos", name="a")
        self.assertEqual(self.qos(), wanted)
        self.call("bdev_set_qos", name="a", **{key: None for key in wanted})
        self.assertEqual(self.qos(), {})

    def test_limits_as_spdk_has_them(self):
        self.call("bdev_set_qos_limit", name="a", rw_ios_per_sec=20000, r_mbytes_per_sec=5)
        self.assertEqual(self.qos(), {"iops": 20000, "read_bps": 5 << 20})
        self.call("bdev_set_qos_limit", name="a", rw_mbytes_per_sec=100, w_mbytes_per_sec=7, rw_ios_per_sec=0)
        self.assertEqual(self.qos(), {"bps": 100 << 20, "read_bps": 5 << 20, "write_bps": 7 << 20})
        self.assertEqual(self.call("bdev_get_bdevs", name="a")[0]["assigned_rate_limits"],
                         {"rw_ios_per_sec": 0, "rw_mbytes_per_sec": 100, "r_mbytes_per_sec": 5, "w_mbytes_per_sec": 7})
        self.call("bdev_set_qos_limit", name="a", rw_mbytes_per_sec=0, r_mbytes_per_sec=0, w_mbytes_per_sec=0)
        self.assertEqual(self.qos(), {})

    def test_groups(self):
        self.assertEqual(self.call("qos_get_groups"), [])
        self.call("qos_create_group", name="g", iops=1000, bps="10M", bps_burst="20M")
        self.call("qos_create_group", name="h")
        self.call("bdev_create", name="b", uri="ram:8M", group="g", min_iops=400)
        self.call("bdev_set_qos", name="a", group="g", min_iops=600)
        groups = self.call("qos_get_groups")
        self.assertEqual([(g["name"], g["limits"], g["disks"]) for g in groups],
                         [("g", {"iops": 1000, "bps": 10 << 20, "bps_burst": 20 << 20}, ["a", "b"]), ("h", {}, [])])
        self.assertEqual(self.call("qos_get_groups", name="h"), [groups[1]])
        self.call("qos_set_group", name="g", iops=2000, bps=None, read_iops=3000)
        self.assertEqual(self.call("qos_get_groups", name="g")[0]["limits"], {"iops": 2000, "read_iops": 3000})
        # a minimum cannot stay behind
        with self.assertRaises(RpcError):
            self.call("bdev_set_qos", name="a", group=None)
        self.assertEqual(self.qos(), {"group": "g", "min_iops": 600})
        self.call("bdev_set_qos", name="a", group="h")
        self.call("bdev_set_qos", name="a", group=None, min_iops=None)
        self.assertEqual(self.qos(), {})
        with self.assertRaises(RpcError):
            self.call("qos_delete_group", name="g")
        self.call("bdev_delete", name="b")
        self.call("qos_delete_group", name="g")
        self.call("qos_delete_group", name="h")
        self.assertEqual(self.call("qos_get_groups"), [])
        self.call("qos_create_group", name="g")

    def test_a_freeze(self):
        def frozen():
            return self.call("bdev_get_bdevs", name="a")[0]["frozen"]
        self.assertFalse(frozen())
        for _ in range(2):
            self.call("bdev_freeze", name="a", timeout_ms=60000)
            self.assertTrue(frozen())
            with self.assertRaisesRegex(RpcError, "the disk is frozen already: thaw it first"):
                self.call("bdev_freeze", name="a")
            self.call("bdev_thaw", name="a")
            self.assertFalse(frozen())
            with self.assertRaisesRegex(RpcError, "the disk is not frozen"):
                self.call("bdev_thaw", name="a")
        # it holds up nothing that takes apart
        self.call("bdev_freeze", name="a")
        self.call("vhost_delete_controller", ctrlr="a")
        self.assertFalse(frozen())
        self.call("bdev_freeze", name="a")
        self.call("bdev_delete", name="a")
        self.call("bdev_create", name="a", uri="ram:8M")
        self.call("bdev_freeze", name="a")
        self.assertEqual(self.daemon.stop()[0], 0)

    def test_exports(self):
        path = self.call("vhost_create_blk_controller", ctrlr="e", dev_name="a")
        self.assertEqual(path, str(self.path("e.sock")))
        other = str(self.path("other.sock"))
        self.assertEqual(self.call("vhost_create_blk_controller", ctrlr="o", dev_name="a", socket=other, readonly=True,
                                   packed_ring=False, queues=2, serial="S", mode="0660", write_cache=False), other)
        self.assertEqual(self.path("other.sock").stat().st_mode & 0o777, 0o660)
        exports = {e["ctrlr"]: e for e in self.call("vhost_get_controllers")}
        self.assertEqual(sorted(exports), ["a", "e", "o"])
        self.assertEqual(exports["o"]["backend_specific"]["block"],
                         {"bdev": "a", "readonly": True, "transport": "vhost_user_blk", "packed_ring": False,
                          "queues": 2})
        self.assertEqual(exports["o"]["sessions"], [])
        self.assertEqual(exports["o"]["cpus"], exports["o"]["near_cpus"])
        self.assertEqual(self.call("vhost_get_controllers", name="e"), [exports["e"]])
        for name in "aeo":
            self.assertIs(self.call("vhost_delete_controller", ctrlr=name), True)
        self.assertEqual(self.call("vhost_get_controllers"), [])
        self.assertFalse(self.path("other.sock").exists())
        self.assertIs(self.call("bdev_delete", name="a"), True)

    def test_reactors_and_modes(self):
        reactors = self.call("framework_get_reactors")
        self.assertEqual(reactors["pid"], self.daemon.process.pid)
        self.assertEqual([r["id"] for r in reactors["reactors"]], list(range(len(reactors["reactors"]))))
        self.assertEqual({r["mode"] for r in reactors["reactors"]}, {"adaptive"})
        self.call("reactor_set_mode", id=0, mode="interrupt")

        def mode_of_first():
            return self.call("framework_get_reactors")["reactors"][0]["mode"]
        wait_for("mode", lambda: mode_of_first() == "interrupt")
        self.call("reactor_set_mode", id="all", mode="adaptive")
        wait_for("mode", lambda: mode_of_first() == "adaptive")

    def test_rebalance(self):
        self.assertEqual(self.call("reactor_get_rebalance"), {"enabled": True, "moves": 0})
        self.call("reactor_set_rebalance", enabled=False)
        self.assertEqual(self.call("reactor_get_rebalance"), {"enabled": False, "moves": 0})
        self.assertIs(self.call("framework_get_config")["reactors"]["rebalance"], False)
        self.assertEqual(self.cli("reactor", "rebalance"), "off, 0 queues moved so far\n")
        self.cli("reactor", "rebalance", "on")
        self.assertEqual(self.cli("reactor", "rebalance"), "on, 0 queues moved so far\n")
        self.assertIn("on or off, not 'maybe'", self.cli("reactor", "rebalance", "maybe", status=2))

    def test_idle_bounds(self):
        def bounds():
            return {(r["idle_min"], r["idle_max"]) for r in self.call("framework_get_reactors")["reactors"]}
        self.assertEqual(bounds(), {(10000, 200000)})
        self.call("reactor_set_idle", id=0, min_us=0, max_us=1)
        self.assertIn((0, 1000), bounds())
        self.call("reactor_set_idle", min_us=1000000, max_us=1000000)
        self.assertEqual(bounds(), {(1000000000, 1000000000)})
        saved = self.call("framework_get_config")["reactors"]
        self.assertEqual((saved["idle_min_us"], saved["idle_max_us"]), (1000000, 1000000))

    def test_log_level(self):
        self.assertEqual(self.call("log_get_level"), "notice")
        self.call("log_set_level", level="WARNING")
        self.assertEqual(self.call("log_get_level"), "warn")

    def test_faults_at_run_time(self):
        self.call("bdev_create", name="f", uri="fault:@ram:8M")
        socket_path = self.call("vhost_create_blk_controller", ctrlr="f", dev_name="f")
        self.cli("bench", socket_path, "--ios", "100")
        self.call("fault_set_rules", name="f", rules="op=read,error=EIO")
        self.cli("bench", socket_path, "--ios", "100", status=1)
        self.assertGreater(self.call("bdev_get_iostat", name="f")["bdevs"][0]["operations"]["read"]["errors"], 0)
        self.call("fault_set_rules", name="f")
        self.cli("bench", socket_path, "--ios", "100")

    def session_ends(self, name):
        wait_for("the end of the session", lambda: not self.call("vhost_get_controllers", name=name)[0]["sessions"])

    def test_where_the_time_goes(self):
        """A disk that holds one I/O at a time for two milliseconds, and four at once: most of the time is the scheduler's."""
        self.call("bdev_create", name="slow", uri="fault:delay=2ms@null:8M?depth=1")
        socket_path = self.call("vhost_create_blk_controller", ctrlr="slow", dev_name="slow")
        self.cli("bench", socket_path, "--rw", "randread", "--depth", "4", "--ios", "40")
        self.session_ends("slow")  # what was told is counted behind the telling
        (disk,) = self.call("bdev_get_iostat", name="slow", latency_buckets=True)["bdevs"]
        read = disk["operations"]["read"]
        sched, driver, told = read["scheduler_ns"], read["driver_ns"], read["notification_ns"]
        for part in sched, driver, told, told["called"], told["suppressed"]:
            self.assertEqual(sum(n for _, n in part["buckets"]), part["count"])
            self.assertTrue(part["p50"] <= part["p90"] <= part["p99"] <= part["p99.9"] <= part["max"], part)
        self.assertEqual((sched["count"], driver["count"], told["count"]), (read["ios"],) * 3)
        self.assertEqual(told["called"]["count"] + told["suppressed"]["count"], read["ios"])
        self.assertGreater(sched["waited"], read["ios"] // 2)
        self.assertGreater(driver["p50"], 1_900_000)
        self.assertGreater(sched["p50"], driver["p50"] // 2)
        self.assertGreater(read["latency_ns"]["p50"], driver["p50"])
        self.assertAlmostEqual(sched["mean"] + driver["mean"], read["latency_ns"]["mean"], delta=read["latency_ns"]["mean"] / 8)
        write = disk["operations"]["write"]
        self.assertEqual([write[part]["count"] for part in ("scheduler_ns", "driver_ns", "notification_ns")], [0] * 3)
        plain = self.call("bdev_get_iostat", name="slow")["bdevs"][0]["operations"]["read"]
        self.assertNotIn("buckets", plain["driver_ns"])
        shown = self.cli("disk", "stats", "slow")
        for part in ("scheduler", "driver", "notification, called", "notification, suppressed"):
            self.assertRegex(shown, rf"(?m)^slow +read +{part} +\d+  ")
        self.assertNotRegex(shown, r"(?m)^slow +write +driver ")
        # the next front-end, on the same disk: nothing is forgotten
        self.cli("bench", socket_path, "--rw", "randwrite", "--ios", "3")
        self.session_ends("slow")
        after = self.call("bdev_get_iostat", name="slow")["bdevs"][0]["operations"]
        self.assertEqual(after["read"]["notification_ns"]["count"], read["ios"])
        self.assertEqual(after["write"]["notification_ns"]["count"], after["write"]["ios"])

    def test_what_limits_hold_back_is_the_schedulers(self):
        self.call("bdev_create", name="held", uri="null:8M")
        socket_path = self.call("vhost_create_blk_controller", ctrlr="held", dev_name="held")
        self.call("bdev_set_qos", name="held", iops=200)
        self.cli("bench", socket_path, "--rw", "randread", "--depth", "8", "--ios", "100")
        (disk,) = self.call("bdev_get_iostat", name="held")["bdevs"]
        read = disk["operations"]["read"]
        sched, driver = read["scheduler_ns"], read["driver_ns"]
        self.assertEqual((sched["count"], driver["count"]), (read["ios"],) * 2)
        self.assertGreater(sched["waited"], 0)
        self.assertGreater(sched["max"], 1_000_000)
        self.assertAlmostEqual(sched["mean"] + driver["mean"], read["latency_ns"]["mean"], delta=read["latency_ns"]["mean"] / 8)

    def test_version(self):
        self.assertRegex(self.call("nvring_get_version")["version"], r"^nvring \d+\.\d+\.\d+$")

    def test_saved_is_what_comes_back(self):
        image = self.image()
        cpu = self.call("framework_get_reactors")["reactors"][0]["lcore"]
        self.call("qos_create_group", name="g", iops=5000, write_bps="7M", write_bps_burst="9M")
        self.call("qos_create_group", name="h")
        self.call("bdev_create", name="f", uri=f"file:{image}?direct=0", read_only=True, weight=200, group="g")
        self.call("bdev_set_qos", name="f", min_iops=100, min_bps="2M", bps="3M", bps_burst="4M", latency_us=900,
                  read_deadline_us=1000, write_deadline_us=2000, path_timeout_ms=700)
        self.call("vhost_create_blk_controller", ctrlr="g", dev_name="f", queues=3, packed_ring=False, serial="XYZ",
                  cpus=str(cpu))
        self.call("reactor_set_mode", mode="interrupt")
        self.call("reactor_set_rebalance", enabled=False)
        self.call("log_set_level", level="info")
        before = self.call("framework_get_config")
        path = self.path("c.json")
        self.assertEqual(self.call("save_config", path=str(path)), {"path": str(path)})
        self.assertEqual(json.loads(path.read_text()), before)
        self.daemon.stop()
        again = self.start("--config", path, rpc=False)
        self.assertEqual(again.call("framework_get_config"), before)
        self.assertEqual(again.call("bdev_get_bdevs", name="f")[0]["qos"],
                         {"group": "g", "weight": 200, "min_iops": 100, "min_bps": 2 << 20, "bps": 3 << 20,
                          "bps_burst": 4 << 20, "latency_us": 900, "read_deadline_us": 1000, "write_deadline_us": 2000,
                          "path_timeout_ms": 700})
        self.assertEqual([(g["name"], g["limits"], g["disks"]) for g in again.call("qos_get_groups")],
                         [("g", {"iops": 5000, "write_bps": 7 << 20, "write_bps_burst": 9 << 20}, ["f"]), ("h", {}, [])])
        # and from now on, without a name, into the file it came from
        again.call("vhost_delete_controller", ctrlr="g")
        self.assertEqual(again.call("save_config"), {"path": str(path)})
        self.assertEqual([e["name"] for e in json.loads(path.read_text())["exports"]], ["a"])


class Connections(DaemonCase):
    def setUp(self):
        super().setUp()
        self.daemon = self.start("--disk", "a=ram:8M")

    def client(self):
        client = Client(self.daemon.rpc)
        self.addCleanup(client.sock.close)
        return client

    def error(self, data):
        """The code of the answer to `data`; the connection is closed afterwards."""
        client = self.client()
        client.send(data)
        answer = client.line()
        self.assertIsNone(answer["id"])
        self.assertIsNone(client.line())
        return answer["error"]["code"]

    def tearDown(self):
        self.daemon.call("nvring_get_version")  # whatever happened, the others are served

    def test_garbage(self):
        for data in (b"hello\n", b"{]", b"\x00", b'{"a": \xff}', b"\xff\xfe", b"}"):
            with self.subTest(data=data):
                self.assertEqual(self.error(data), PARSE)

    def test_too_deep(self):
        self.assertEqual(self.error(b"[" * 1000), INVALID)

    def test_too_long(self):
        client = self.client()
        try:
            for _ in range(64):
                client.send(b'"' + b"a" * 65535 if _ == 0 else b"a" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.assertEqual(client.line()["error"]["code"], INVALID)

    def test_bad_requests_keep_the_connection(self):
        client = self.client()
        for data in (b"7 ", b"null ", b"{}", b'{"jsonrpc":"1.0","id":1,"method":"x"}', b"[]", b"[[]]"):
            client.send(data)
            answer = client.line()
            answer = answer[0] if isinstance(answer, list) else answer
            self.assertEqual(answer["error"]["code"], INVALID)
        self.assertTrue(client.call("rpc_get_methods"))

    def test_a_request_byte_by_byte(self):
        client = self.client()
        for byte in json.dumps(request("log_get_level")).encode():
            client.send(bytes([byte]))
        self.assertEqual(client.line()["result"], "notice")

    def test_many_requests_at_once(self):
        client = self.client()
        client.send(b"".join(json.dumps(request("log_get_level", n)).encode() for n in range(2000)))
        self.assertEqual([client.line()["id"] for _ in range(2000)], list(range(2000)))

    def test_a_batch(self):
        client = self.client()
        client.send([request("log_get_level", "x"), request("nope", 2), 7,
                     {"jsonrpc": "2.0", "method": "log_get_level"},
                     request("bdev_create", 3, name="b", uri="ram:8M"), request("bdev_delete", 4, name="b")])
        answers = client.line()
        self.assertEqual([a["id"] for a in answers], ["x", 2, None, 3, 4])
        self.assertEqual(answers[0]["result"], "notice")
        self.assertEqual(answers[1]["error"]["code"], NO_METHOD)
        self.assertEqual(answers[2]["error"]["code"], INVALID)
        self.assertEqual(answers[4]["result"], True)

    def test_a_batch_too_large(self):
        client = self.client()
        client.send([request("log_get_level", n) for n in range(257)])
        self.assertEqual(client.line()["error"]["code"], INVALID)
        self.assertEqual(client.call("log_get_level"), "notice")

    def test_notifications_are_not_answered(self):
        client = self.client()
        client.send({"jsonrpc": "2.0", "method": "log_set_level", "params": {"level": "debug"}})
        client.send([{"jsonrpc": "2.0", "method": "nope"}])
        self.assertEqual(client.call("log_get_level"), "debug")
        client.call("log_set_level", level="notice")

    def test_half_closed(self):
        client = self.client()
        client.send(json.dumps(request("bdev_create", name="b", uri="ram:8M")).encode() +
                    json.dumps(request("log_get_level", 2)).encode())
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(client.line()["result"], "b")
        self.assertEqual(client.line()["id"], 2)
        self.assertIsNone(client.line())

    def test_gone_before_the_answer(self):
        for n in range(50):
            client = self.client()
            client.send(request("bdev_create", name=f"g{n}", uri="ram:8M"))
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sock.close()
        wait_for("disks", lambda: len(self.daemon.call("bdev_get_bdevs")) == 51)

    def test_half_open_clients_do_not_hold_up_others(self):
        for _ in range(20):
            self.client().send(b'{"jsonrpc": "2.0", "id"')
        self.assertEqual(self.client().call("log_get_level"), "notice")

    def test_a_client_that_does_not_read(self):
        for n in range(100):
            self.daemon.call("bdev_create", name=f"d{n}", uri="null:1G")
        slow = self.client()
        slow.sock.settimeout(0.2)
        asked = 0
        try:
            while asked < 100000:
                slow.send(request("bdev_get_bdevs"))
                asked += 1
        except socket.timeout:
            pass
        self.assertLess(asked, 100000)  # it is not read from while it does not read
        self.assertEqual(self.client().call("log_get_level"), "notice")
        with open(f"/proc/{self.daemon.process.pid}/statm", encoding="ascii") as file:
            self.assertLess(int(file.read().split()[1]) * 4096, 256 << 20)

    def test_too_many_clients(self):
        clients = [self.client() for _ in range(64)]
        self.assertEqual(clients[63].call("log_get_level"), "notice")
        refused = self.client()
        self.assertEqual(refused.line()["error"]["message"], "too many clients")
        self.assertIsNone(refused.line())
        for client in clients:
            client.sock.close()
        wait_for("a free place", self.served)

    def served(self):
        try:
            with Client(self.daemon.rpc) as client:
                return client.call("log_get_level") == "notice"
        except (RpcError, BrokenPipeError):
            return False

    def test_the_same_name_twice_at_once(self):
        first, second = self.client(), self.client()
        for client in (first, second):
            client.send(request("bdev_create", name="t", uri="ram:64M"))
        answers = sorted("result" in c.line() for c in (first, second))
        self.assertEqual(answers, [False, True])


if __name__ == "__main__":
    unittest.main()
