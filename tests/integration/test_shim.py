#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The preloaded library under unmodified programs, and our pages beside those of nvme-cli: random bytes in both, key by key."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import unittest

from shim_server import GET_FEATURES, GET_LOG_PAGE, IDENTIFY, ShimServer, same

NVP_DUMP = os.environ.get("NVP_DUMP", "nvp_dump")
LOGS = {1: "error-log", 2: "smart-log", 3: "fw-log", 6: "self-test-log", 9: "endurance-log", 0x81: "sanitize-log"}


def ours(page, data):
    done = subprocess.run([NVP_DUMP, page], input=data, stdout=subprocess.PIPE, timeout=60, check=True)
    return json.loads(done.stdout)


class RandomDevice:
    """Answers with random pages in which only what would lead nvme-cli astray is sensible."""

    def __init__(self, seed):
        rnd = random.Random(seed)
        self.pages = {key: bytearray(rnd.randbytes(4096)) for key in
                      [("id", 0), ("id", 1), ("id", 2), ("id", 3)] + [("log", lid) for lid in LOGS]}
        ctrl, ns = self.pages["id", 1], self.pages["id", 0]
        ctrl[4:24] = b"S123".ljust(20)
        ctrl[24:64] = b"A model".ljust(40)
        ctrl[64:72] = b"1.0".ljust(8)
        ctrl[768:1024] = b"nqn.2014-08.org.nvmexpress:x".ljust(256, b"\0")
        ctrl[262], ctrl[263] = 63, rnd.randrange(32)
        ns[25], ns[26] = rnd.randrange(16), 0
        self.pages["id", 2][:] = struct.pack("<5I", 1, 2, 7, 300, 70000).ljust(4096, b"\0")
        self.pages["id", 3][:] = (bytes([1, 8, 0, 0]) + rnd.randbytes(8) + bytes([2, 16, 0, 0]) + rnd.randbytes(16)
                                  + bytes([3, 16, 0, 0]) + rnd.randbytes(16) + bytes([4, 1, 0, 0, 1])).ljust(4096, b"\0")
        fw = self.pages["log", 3]
        fw[8:64] = b"fw-1.0  " + b"a\tb     " + bytes(40)

    def __call__(self, req):
        if req.opc == IDENTIFY:
            page = self.pages.get(("id", req.cdw10 & 0xff))
        elif req.opc == GET_LOG_PAGE:
            page = self.pages.get(("log", req.cdw10 & 0xff))
        elif req.opc == GET_FEATURES:
            return 0, 0x12345678, b""
        else:
            page = None
        if page is None:
            return 0x4002, 0, b""
        offset = req.cdw12 if req.opc == GET_LOG_PAGE else 0
        return 0, 0, bytes(page[offset:])


@unittest.skipUnless(shutil.which("nvme"), "no nvme-cli")
class Pages(unittest.TestCase):
    def check(self, server, device, page, verb, data, key=None):
        theirs = json.loads(server.run("nvme", *verb, device, "-o", "json"))
        mine = ours(page, data)
        if key:
            theirs, mine = key(theirs), key(mine)
        self.assertTrue(same(mine, theirs), f"{page}:\nnvring {json.dumps(mine)}\nnvme   {json.dumps(theirs)}")

    def test_pages_are_those_of_nvme_cli(self):
        for seed in range(6):
            device = RandomDevice(seed)
            page = {k: bytes(v) for k, v in device.pages.items()}
            with self.subTest(seed=seed), ShimServer(device, namespaces=(1, 2)) as server:
                self.check(server, "/dev/nvme0", "id-ctrl", ["id-ctrl"], page["id", 1])
                self.check(server, "/dev/nvme0n1", "id-ns", ["id-ns"], page["id", 0])
                self.check(server, "/dev/nvme0n1", "ns-descs", ["ns-descs"], page["id", 3])
                self.check(server, "/dev/nvme0", "list-ns", ["list-ns"], page["id", 2])
                self.check(server, "/dev/nvme0", "smart-log", ["smart-log"], page["log", 2])
                self.check(server, "/dev/nvme0", "error-log", ["error-log", "-e", "9"], page["log", 1][:9 * 64])
                self.check(server, "/dev/nvme0", "fw-log", ["fw-log"], page["log", 3])
                self.check(server, "/dev/nvme0", "self-test-log", ["self-test-log"], page["log", 6][:564])
                self.check(server, "/dev/nvme0", "endurance-log", ["endurance-log", "-g", "1"], page["log", 9])

    def test_sanitize(self):
        device = RandomDevice(1)
        with ShimServer(device) as server:
            theirs = json.loads(server.run("nvme", "sanitize-log", "/dev/nvme0", "-o", "json"))["nvme0"]
            mine = ours("sanitize-log", bytes(device.pages["log", 0x81]))["nvme0"]
            self.assertEqual(mine["sstat"].pop("status")[:3], theirs["sstat"].pop("status")[:3])
            self.assertTrue(same(mine, theirs))


class Shim(unittest.TestCase):
    def test_device_nodes(self):
        with ShimServer(RandomDevice(1), namespaces=(1, 2)) as server:
            for path, kind in (("/dev/nvme0", "character special file"), ("/dev/nvme0n2", "block special file")):
                self.assertEqual(server.run("stat", "-c", "%F", path).strip(), kind)
            for path in ("/dev/nvme1", "/dev/nvme0n3", "/dev/nvme0n", "/dev/nvme0p1", "/dev/nvmex"):
                self.assertEqual(server.run("stat", path, status=None).returncode, 1, path)
            self.assertEqual(server.run("blockdev", "--getsize64", "/dev/nvme0n1").strip(), str(1 << 30))
            self.assertEqual(server.run("blockdev", "--getss", "/dev/nvme0n1").strip(), "512")
            # no data goes by here, in neither direction
            self.assertNotEqual(server.run("cat", "/dev/nvme0n1", status=None).returncode, 0)
            self.assertNotEqual(server.run("cp", "/etc/hostname", "/dev/nvme0n1", status=None).returncode, 0)

    def test_other_files_are_as_they_were(self):
        with ShimServer(RandomDevice(1)) as server:
            code = ("import os,tempfile,fcntl,termios\n"
                    "with tempfile.TemporaryDirectory() as d:\n"
                    "  p=os.path.join(d,'f'); os.close(os.open(p,os.O_CREAT|os.O_WRONLY,0o640))\n"
                    "  assert oct(os.stat(p).st_mode)=='0o100640', oct(os.stat(p).st_mode)\n"
                    "  f=os.open(d,os.O_RDONLY); g=os.open('f',os.O_RDWR|os.O_TRUNC,dir_fd=f)\n"
                    "  assert os.write(g,b'abc')==3 and os.fstat(g).st_size==3 and os.stat('f',dir_fd=f).st_size==3\n"
                    "  u=os.open(d,os.O_TMPFILE|os.O_RDWR,0o600); assert os.fstat(u).st_nlink==0 and os.fstat(u).st_mode==0o100600\n"
                    "  try: fcntl.ioctl(g,termios.TCGETS,bytes(64)); assert 0\n"
                    "  except OSError as e: assert e.errno==25\n"
                    "  assert os.listdir(d)==['f'] and os.path.realpath(p)==p and os.access(p,os.R_OK)\n"
                    "m=os.memfd_create('nvring-nvmeX'); assert os.fstat(m).st_size==0\n")
            server.run(sys.executable, "-c", code)
            self.assertEqual(server.requests, [])

    def test_descriptors_live_on(self):
        with ShimServer(RandomDevice(1)) as server:
            code = ("import os,fcntl,stat,subprocess,sys\n"
                    "fd=os.open('/dev/nvme0n1',os.O_RDONLY)\n"
                    "two=os.dup(fd); os.close(fd)\n"
                    "assert fcntl.ioctl(two,0x4e40)==1 and stat.S_ISBLK(os.fstat(two).st_mode)\n"
                    "assert os.lseek(two,0,os.SEEK_END)==1<<30\n"
                    "os.set_inheritable(two,True)\n"
                    "c='import fcntl; assert fcntl.ioctl(%d,0x4e40)==1'%two\n"
                    "sys.exit(subprocess.call([sys.executable,'-c',c],close_fds=False))\n")
            server.run(sys.executable, "-c", code)

    def test_status_and_refusal(self):
        with ShimServer(lambda req: (0x4002, 0, b"") if req.nsid != 7 else -13) as server:
            code = ("import os,fcntl,struct\n"
                    "fd=os.open('/dev/nvme0',os.O_RDONLY)\n"
                    "cmd=lambda nsid: bytearray(struct.pack('<B3xI64x',6,nsid))\n"
                    "assert fcntl.ioctl(fd,0xc0484e41,cmd(1))==0x4002\n"
                    "for req,arg,err in ((0xc0484e41,cmd(7),13),(0xc0484e43,cmd(1),25),(0x4e40,0,25),(0x1268,bytes(8),25)):\n"
                    "  try: fcntl.ioctl(fd,req,arg); assert 0,hex(req)\n"
                    "  except OSError as e: assert e.errno==err,(hex(req),e)\n")
            server.run(sys.executable, "-c", code)

    @unittest.skipUnless(shutil.which("smartctl"), "no smartctl")
    def test_smartctl(self):
        device = RandomDevice(3)
        device.pages["log", 2][0] = 0
        with ShimServer(device) as server:
            done = server.run("smartctl", "-a", "-j", "-d", "nvme", "/dev/nvme0", status=None)
            told = json.loads(done.stdout)
            self.assertEqual(told["serial_number"], "S123")
            self.assertEqual(told["nvme_smart_health_information_log"]["percentage_used"], device.pages["log", 2][5])

    def test_nobody_there(self):
        with ShimServer(RandomDevice(1)) as server:
            os.unlink(server.folder / "socket")
            done = server.run("stat", "/dev/nvme0", status=None)
            self.assertEqual(done.returncode, 1)
            self.assertIn("No such device", done.stderr)


if __name__ == "__main__":
    unittest.main()
