#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring attach --as fuse: a disk as a file of this host, in a mount namespace with a /run of its own."""

import ctypes
import errno
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

from daemon_rig import NVRING, NVRINGD, PATIENCE, listens, wait_for

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


class FuseCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fuse-", dir="/run"))
        self.image = self.folder / "a.img"
        self.image.write_bytes(random.Random(1).randbytes(8 * MIB))
        self.addCleanup(self.end_all)

    def run_nvring(self, *args):
        return subprocess.run([NVRING, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)

    def nvring(self, *args):
        done = self.run_nvring(*args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def refused(self, text, *args):
        done = self.run_nvring(*args)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(text, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def listed(self):
        return json.loads(self.nvring("attach", "--list", "--json"))

    def attach(self, disk, *args):
        return pathlib.Path(self.nvring("attach", disk, "--as", "fuse", "--cpus", min(os.sched_getaffinity(0)), *args))

    def end_all(self):
        for row in self.listed():
            self.nvring("detach", "--force", row["node"])

    def mounts(self):
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if "fuse.nvring" in line]

    def nothing_is_left(self):
        self.assertEqual(self.mounts(), [])
        for folder in ("/run/nvring/attach", "/run/nvring/fuse"):
            self.assertEqual(os.listdir(folder) if os.path.exists(folder) else [], [], folder)


class Data(FuseCase):
    def test_bytes(self):
        node = self.attach(self.image)
        self.assertEqual(str(node), "/run/nvring/fuse/disk0")
        self.assertEqual((node.stat().st_size, node.stat().st_mode), (8 * MIB, 0o100600))
        want = bytearray(self.image.read_bytes())
        fd = os.open(node, os.O_RDWR)
        chance = random.Random(2)
        for _ in range(200):
            off, length = chance.randrange(8 * MIB), chance.choice((1, 7, 511, 512, 4096, 70000, 300000))
            if chance.randrange(2):
                data = chance.randbytes(min(length, 8 * MIB - off))
                self.assertEqual(os.pwrite(fd, data, off), len(data))
                want[off:off + len(data)] = data
            self.assertEqual(os.pread(fd, length, off), want[off:off + length])
        os.fsync(fd)
        for mode in (PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE | KEEP_SIZE):
            off, length = chance.randrange(4 * MIB), 12345
            fallocate(fd, mode, off, length)
            want[off:off + length] = bytes(length)
        self.assertEqual(os.pread(fd, 100, 8 * MIB), b"")
        self.assertEqual(os.pwrite(fd, b"x" * 100, 8 * MIB - 50), 50)
        want[-50:] = b"x" * 50
        for call, number in ((lambda: os.pwrite(fd, b"x", 8 * MIB), errno.ENOSPC), (lambda: os.ftruncate(fd, 1), errno.EINVAL),
                             (lambda: fallocate(fd, 0, 0, 9 * MIB), errno.ENOSPC),
                             (lambda: fallocate(fd, 8, 0, 4096), errno.EOPNOTSUPP)):
            with self.assertRaises(OSError) as raised:
                call()
            self.assertEqual(raised.exception.errno, number)
        os.close(fd)
        os.close(os.open(node, os.O_WRONLY | os.O_TRUNC))
        self.assertEqual(node.read_bytes(), want)
        self.nvring("detach", node)
        self.assertEqual(self.image.read_bytes(), want)
        self.nothing_is_left()

    def test_many_at_once_on_big_blocks(self):
        """Threads write neighbouring bytes of the same blocks: each finds its own again, and the file all of them."""
        node = self.attach("ram:4M?block=4096")
        errors = []

        def worker(me):
            fd = os.open(node, os.O_RDWR)
            chance = random.Random(me)
            for _ in range(150):
                off = chance.randrange(1000) * 1024 + me * 128
                data = chance.randbytes(128)
                os.pwrite(fd, data, off)
                if os.pread(fd, 128, off) != data:
                    errors.append((me, off))
            for i in range(1000):
                os.pwrite(fd, bytes([me + 1]) * 128, i * 1024 + me * 128)
            os.close(fd)

        threads = [threading.Thread(target=worker, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        want = b"".join(bytes([i + 1]) * 128 for i in range(8))
        self.assertEqual(node.read_bytes()[:1000 * 1024], want * 1000)

    def test_programs(self):
        node = self.attach(self.image)
        for command in (["dd", "if=/dev/zero", f"of={node}", "bs=512", "count=100", "seek=3", "conv=fsync"],
                        ["dd", f"if={node}", f"of={self.folder}/b", "bs=7", "count=1000"],
                        ["qemu-img", "info", "-f", "raw", node], ["mkfs.ext4", "-q", "-F", node],
                        ["e2fsck", "-fn", node],
                        ["fio", "--name=a", f"--filename={node}", "--size=8M", "--ioengine=libaio", "--direct=1", "--rw=randrw",
                         "--bsrange=512-256k", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1"]):
            if shutil.which(command[0]):
                done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False, cwd=self.folder)
                self.assertEqual(done.returncode, 0, done.stdout)

    def test_read_only(self):
        node = self.attach(self.image, "--read-only")
        self.assertEqual(node.stat().st_mode, 0o100400)
        self.assertEqual(node.read_bytes(), self.image.read_bytes())
        with self.assertRaises(OSError) as raised:
            os.open(node, os.O_RDWR)
        self.assertEqual(raised.exception.errno, errno.EROFS)

    def test_it_grows(self):
        node = self.attach(self.image)
        rpc = self.listed()[0]["rpc"]
        with open(node, "rb") as held:
            os.truncate(self.image, 12 * MIB)
            self.nvring("-s", rpc, "disk", "resize", "disk")
            wait_for("the new size", lambda: os.fstat(held.fileno()).st_size == 12 * MIB)
            self.assertEqual(os.pread(held.fileno(), 5, 9 * MIB), bytes(5))


class Life(FuseCase):
    def test_who_has_it_open(self):
        node = self.attach(self.image)
        with open(node, "rb"):
            self.refused(f"{node} is in use by process {os.getpid()} (", "detach", node)
        self.nvring("detach", node)
        self.nothing_is_left()

    def shell(self, script, *prefix):
        """A shell that does SCRIPT with what is written to it, and has said so."""
        process = subprocess.Popen([*prefix, "sh", "-c", f"read -r node && {script} && echo done && read -r _"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end_shell, process)
        return process

    @staticmethod
    def end_shell(process):
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()

    def hears(self, process, node):
        process.stdin.write(f"{node}\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "done\n")

    def test_who_has_another_of_that_path_open(self):
        """A process that sees other mounts, and another file of the same path there, is not the one."""
        other = self.shell('mount -t tmpfs none "${node%/*}" && exec 3>"$node"', "unshare", "-m")
        wait_for("its mounts", lambda: os.readlink(f"/proc/{other.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"))
        holder = self.shell('exec 3<"$node"')  # comes behind it in /proc
        node = self.attach(self.image)
        self.hears(other, node)
        self.hears(holder, node)
        self.refused(f"{node} is in use by process {holder.pid} (sh)", "detach", node)
        self.end_shell(holder)
        self.nvring("detach", node)
        self.nothing_is_left()

    def test_by_force(self):
        node = self.attach(self.image)
        with open(node, "rb") as held:
            self.nvring("detach", "--force", node)
            with self.assertRaises(OSError):
                os.pread(held.fileno(), 1, 0)
        self.nothing_is_left()

    def test_paths(self):
        path = self.folder / "my,disk"
        self.assertEqual(self.attach(self.image, "--path", path), path)
        self.refused(f"attached already: {path}", "attach", self.image, "--as", "fuse")
        (self.folder / "b.img").write_bytes(bytes(MIB))
        self.refused(f"{path} is there already", "attach", self.folder / "b.img", "--path", path)
        self.refused("/nonexistent/x cannot be made", "attach", "null:1M", "--path", "/nonexistent/x")
        self.refused("a path and a number are one too many", "attach", "null:1M", "--path", "/run/x", "--number", "1")
        self.refused("No such file", "attach", self.folder / "nix.img", "--as", "fuse")
        self.refused("No such file", "attach", self.folder / "nix.img")
        self.refused("a file has one", "attach", "null:1M", "--as", "fuse", "--queues", "2")
        second = self.attach("null:1M", "--number", "5")
        self.assertEqual(str(second), "/run/nvring/fuse/disk5")
        self.refused("/run/nvring/fuse/disk5 is there already", "attach", "null:2M", "--as", "fuse", "--number", "5")
        self.assertEqual({row["node"] for row in self.listed()}, {str(path), str(second)})
        self.nvring("detach", path)
        self.nvring("detach", second)
        self.assertFalse(path.exists())
        self.nothing_is_left()

    def test_no_fuse_here(self):
        """Nothing half attached, and one line."""
        hidden = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /dev/fuse && exec "$@"', "sh"]
        done = subprocess.run([*hidden, NVRING, "attach", str(self.image), "--as", "fuse"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("cannot be mounted", done.stderr)
        done = subprocess.run(["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", NVRING, "attach", str(self.image),
                               "--as", "fuse"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertIn("that takes root", done.stderr)
        self.nothing_is_left()

    def kill_server(self):
        row, = self.listed()
        ticks = pathlib.Path(f"/proc/{row['pid']}/stat").read_text().rpartition(")")[2].split()[19]
        record, = pathlib.Path("/run/nvring/attach").glob("*.at")
        self.assertIn(f"\nstart {ticks}\n", record.read_text())
        os.kill(row["pid"], signal.SIGKILL)
        wait_for("its end", lambda: not os.path.exists(f"/proc/{row['pid']}/exe"))
        wait_for("the mount to be dead", lambda: self.is_dead(row["node"]))

    @staticmethod
    def is_dead(node):
        try:
            os.stat(node)
        except OSError as error:
            return error.errno == errno.ENOTCONN
        return False

    def test_killed_and_attached_again(self):
        node = self.attach(self.image)
        held = os.open(node, os.O_RDONLY)
        self.kill_server()
        with self.assertRaises(OSError):
            os.pread(held, 1, 0)
        done = self.run_nvring("attach", self.image, "--as", "fuse")
        self.assertEqual((done.returncode, done.stdout.strip()), (0, str(node)), done.stderr)
        self.assertIn(f"{node}, whose server is gone, was cleared away", done.stderr)
        self.assertEqual(node.read_bytes(), self.image.read_bytes())
        os.close(held)
        self.nvring("detach", node)
        self.nothing_is_left()

    def test_killed_and_listed(self):
        self.attach(self.image, "--path", self.folder / "f")
        self.kill_server()
        self.assertEqual(self.listed(), [])
        self.assertFalse((self.folder / "f").exists())
        self.nothing_is_left()

    def test_killed_and_detached(self):
        node = self.attach(self.image)
        self.kill_server()
        self.nvring("detach", node)
        self.nothing_is_left()

    def test_somebody_unmounts_it(self):
        node = self.attach(self.image)
        subprocess.run(["umount", node], check=True, timeout=PATIENCE)
        self.nvring("detach", node)
        self.nothing_is_left()

    def test_a_socket_whose_name_a_uri_reserves(self):
        sock, log = self.folder / "a?b%41.sock", open(self.folder / "log", "w")
        daemon = subprocess.Popen([NVRINGD, "--no-rpc", "--disk", f"v=file:{self.image}", "--vhost-user-blk", f"v={sock}"],
                                  stdin=subprocess.DEVNULL, stderr=log)
        log.close()
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        wait_for("the socket", lambda: listens(sock))
        path = self.attach(sock)
        self.assertEqual(path.read_bytes(), self.image.read_bytes())
        self.nvring("detach", path)

    def test_a_running_nvringd(self):
        rpc, log = self.folder / "s.sock", open(self.folder / "log", "w")
        daemon = subprocess.Popen([NVRINGD, "--rpc", rpc, "--disk", f"v=file:{self.image}", "--fuse", f"v=3,path={self.folder}/no",
                                   ], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertIn("one too many", daemon.communicate(timeout=PATIENCE)[1])
        daemon = subprocess.Popen([NVRINGD, "--rpc", rpc, "--disk", f"v=file:{self.image}", "--fuse", "v=3,depth=8"],
                                  stdin=subprocess.DEVNULL, stderr=log)
        log.close()
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        wait_for("the file", lambda: os.path.exists("/run/nvring/fuse/disk3") and self.run_nvring("-s", rpc, "status").returncode == 0)
        row, = json.loads(self.nvring("-s", rpc, "rpc", "fuse_get_disks"))
        self.assertEqual((row["fuse_device"], row["queue_depth"]), ("/run/nvring/fuse/disk3", 8))
        self.assertEqual(pathlib.Path("/run/nvring/fuse/disk3").read_bytes(), self.image.read_bytes())
        self.nvring("-s", rpc, "rpc", "fuse_stop_disk", '{"fuse_id": 3}')
        self.assertEqual(self.mounts(), [])
        self.assertIn("disk0", self.nvring("-s", rpc, "rpc", "fuse_start_disk", '{"bdev_name": "v"}'))
        daemon.terminate()
        self.assertEqual(daemon.wait(PATIENCE), 0)
        self.nothing_is_left()


def main():
    if os.environ.get("NVRING_FUSE_NAMESPACE"):
        unittest.main()
    if os.geteuid() or not os.path.exists("/dev/fuse") or not shutil.which("unshare"):
        print("needs root, /dev/fuse and unshare")
        sys.exit(77)
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        print("no mount namespaces here (CAP_SYS_ADMIN is missing, or / is no mount point)")
        sys.exit(77)
    os.environ["NVRING_FUSE_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                          'mount -t tmpfs tmpfs /run && exec "$@"', "sh", sys.executable, *sys.argv])


if __name__ == "__main__":
    main()
