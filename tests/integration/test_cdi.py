#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring cdi: the files, what is refused, and containers of podman that get sockets and nodes by them."""

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import unittest

import podman_rig
from daemon_rig import NVRING, PATIENCE, DaemonCase, wait_for


class Files(DaemonCase):
    def setUp(self):
        super().setUp()
        self.path("pool").mkdir()
        self.daemon = self.start("--pool", "p=dir:pool", "--disk", "d=ram:8M", "--vhost-user-blk", f"d={self.path('d.sock')}")
        self.cdi = self.path("cdi")

    def read(self, name):
        return json.loads((self.cdi / f"nvring.io-volume-{name}.json").read_text())

    def refuse(self, said, *args, status=1):
        error = self.cli("cdi", *args, "--dir", self.cdi, status=status)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertIn(said, error)

    def test_a_socket_in_a_folder_of_its_own(self):
        self.cli("volume", "create", "my.vol-0", "8M")
        self.cli("volume", "export", "my.vol-0")
        self.assertEqual(self.cli("cdi", "write", "my.vol-0", "--dir", self.cdi), "nvring.io/volume=my.vol-0\n")
        self.assertEqual(self.read("my.vol-0"), {
            "cdiVersion": "0.5.0", "kind": "nvring.io/volume", "devices": [{"name": "my.vol-0", "containerEdits": {
                "env": ["NVRING_VOLUME_MY_VOL_0=/run/nvring/my.vol-0/vhost.sock"],
                "mounts": [{"hostPath": str(self.path("volumes/my.vol-0")), "containerPath": "/run/nvring/my.vol-0",
                            "options": ["bind", "rw", "nosuid", "nodev", "noexec"]}]}}]})
        self.assertEqual(stat.S_IMODE(os.stat(self.cdi / "nvring.io-volume-my.vol-0.json").st_mode), 0o644)
        self.assertEqual(len(os.listdir(self.cdi)), 1)
        self.cli("cdi", "remove", "my.vol-0", "--dir", self.cdi)
        self.assertEqual(os.listdir(self.cdi), [])
        self.refuse("the device is not known", "remove", "my.vol-0")

    def test_a_socket_among_others(self):
        done = subprocess.run([NVRING, "-s", str(self.daemon.rpc), "cdi", "write", "--dir", str(self.cdi)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
        self.assertEqual(done.stdout, "nvring.io/volume=d\n")
        self.assertIn("loses it when nvringd is restarted", done.stderr)
        edits = self.read("d")["devices"][0]["containerEdits"]
        self.assertEqual(edits["env"], ["NVRING_VOLUME_D=/run/nvring/d.sock"])
        self.assertEqual(edits["mounts"][0]["hostPath"], str(self.path("d.sock")))
        self.assertEqual(edits["mounts"][0]["containerPath"], "/run/nvring/d.sock")

    def test_kata(self):
        root = self.path("direct-volumes")
        root.mkdir()
        folder = root / base64.urlsafe_b64encode(b"/kubelet/a?b>c").decode()
        self.cli("kata", "write", "d", "/kubelet/a?b>c", "--dir", root, "--fstype", "xfs")
        self.assertEqual(json.loads((folder / "mountInfo.json").read_text()), {
            "volume_type": "spdkvol", "device": str(self.path("d.sock")), "fs_type": "xfs", "metadata": {}, "options": []})
        self.cli("kata", "write", "d", "/kubelet/a?b>c", "--dir", root)
        self.assertEqual(json.loads((folder / "mountInfo.json").read_text())["fs_type"], "ext4")
        self.assertEqual(len(os.listdir(folder)), 1)
        self.cli("kata", "remove", "/kubelet/a?b>c", "--dir", root)
        self.assertEqual(os.listdir(root), [])
        for args, said in ((("write", "z", "/a"), "no export named \"z\""), (("write", "d", "a"), "a: must be a whole path"),
                           (("write", "d", "/" + "a" * 180), "longer than 180 characters"),
                           (("remove", "/a"), "the volume is not known")):
            error = self.cli("kata", *args, "--dir", root, status=1)
            self.assertEqual(error.count("\n"), 1, error)
            self.assertIn(said, error)
        self.assertEqual(os.listdir(root), [])
        folder.mkdir()
        (folder / "mountInfo.json").write_text('{"volume_type": "directvol"}')
        for args in (("write", "d", "/kubelet/a?b>c"), ("remove", "/kubelet/a?b>c")):
            self.assertIn("is not of type spdkvol, left as it is", self.cli("kata", *args, "--dir", root, status=1))

    def test_what_is_refused(self):
        self.daemon.call("vhost_create_blk_controller", ctrlr="rel", dev_name="d", socket="rel.sock")
        self.refuse("rel: its socket is \"rel.sock\", which only nvringd can find", "write", "rel")
        self.cli("export", "create", "d", "e.sock", "--name", "a+b")
        self.cli("export", "delete", "rel")
        self.refuse("no export named \"z\"", "write", "z")
        self.refuse("no export named \"z\"", "write", "d", "z")
        self.refuse("a+b: a device's name consists of letters, digits and . _ - :", "write")
        self.refuse("../d: a device's name", "remove", "../d")
        self.refuse("/dev/null is no block device", "write", "x", "--node", "/dev/null")
        self.refuse("/no/such: No such file", "write", "x", "--node", "/no/such")
        self.refuse("--node is for one NAME", "write", "x", "y", "--node", "/dev/null", status=2)
        self.assertFalse(self.cdi.exists())
        self.cdi.mkdir()
        for text in ("precious", '{"kind": "other.io/volume"}', '{"kind": ["nvring.io/volume"]}', "[" * 100):
            (self.cdi / "nvring.io-volume-d.json").write_text(text)
            self.refuse("is not of kind nvring.io/volume, left as it is", "write", "d")
            self.refuse("is not of kind nvring.io/volume, left as it is", "remove", "d")
            self.assertEqual((self.cdi / "nvring.io-volume-d.json").read_text(), text)
        self.cdi = self.path("no/such")
        self.refuse("no/such: cannot be made", "write", "d")


class Containers(podman_rig.PodmanCase):
    """In a namespace of their own: /run/cdi is ours alone."""

    def setUp(self):
        super().setUp()
        self.path("pool").mkdir()

    def test_a_client_on_a_socket(self):
        """The socket's folder is there, a front-end in the container writes and verifies; also after nvringd was killed."""
        config = self.path("c.json")
        config.write_text(json.dumps({"pools": [{"name": "p", "uri": f"dir:{self.path('pool')}"}]}))
        daemon = self.start("--config", config)
        self.cli("volume", "create", "vol0", "16M")
        self.cli("volume", "export", "vol0")
        self.cli("config", "save")
        self.cli("cdi", "write", "vol0", "--dir", "/run/cdi")
        bench = self.program(NVRING)
        script = f'{bench} bench "$NVRING_VOLUME_VOL0" --rw write --ios 2000 --verify && echo done; ls /run/nvring'
        out = self.run_in(script, "--device", "nvring.io/volume=vol0")
        self.assertIn("done", out)
        self.assertEqual(out.splitlines()[-1], "vol0")
        # a container that outlives the daemon sees the socket of the next one
        script = (f'echo ready >/run/nvring/vol0/ready; while test -e /run/nvring/vol0/ready; do :; done; '
                  f'{bench} bench "$NVRING_VOLUME_VOL0" --rw randrw --ios 500 --verify && echo again')
        container = self.begin_in(script, "--device", "nvring.io/volume=vol0")
        ready = self.path("volumes/vol0/ready")
        wait_for("the container", ready.exists)
        daemon.stop(signal.SIGKILL)
        self.start("--config", config)
        ready.unlink()
        self.assertIn("again", container.communicate(timeout=4 * PATIENCE)[0])

    def test_a_node(self):
        """A block device of the host as /dev/nvring/vol0; a device that nobody wrote is refused by podman."""
        image = self.image("disk.img", 8)
        image.write_bytes(b"nvring!!" * 512 + bytes(8 << 20))
        node = subprocess.run(["losetup", "-f", "--show", str(image)], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", node], check=True)
        self.start("--disk", "d=ram:8M")
        self.cli("cdi", "write", "vol0", "--node", node, "--dir", "/run/cdi")
        out = self.run_in('dd if="$NVRING_VOLUME_VOL0" bs=8 count=1 2>/dev/null; echo written | dd of=/dev/nvring/vol0 bs=8192 '
                          'seek=1 conv=fsync 2>/dev/null', "--device", "nvring.io/volume=vol0")
        self.assertEqual(out, "nvring!!")
        self.assertEqual(image.read_bytes()[8192:8200], b"written\n")
        self.cli("cdi", "remove", "vol0", "--dir", "/run/cdi")
        self.assertIn("nvring.io/volume=vol0", self.run_in("true", "--device", "nvring.io/volume=vol0", status=1))


if __name__ == "__main__":
    if "Files" in " ".join(sys.argv):
        unittest.main()
    podman_rig.main()
