# SPDX-License-Identifier: BSD-3-Clause
"""Builds initramfs images: busybox, some modules, an init script; cached by what went in."""

import gzip
import lzma
import pathlib
import stat

from . import cache, debian

HERE = pathlib.Path(__file__).resolve().parent
BUSYBOX_NAMES = ("sh", "mount", "umount", "mkdir", "insmod", "chroot", "cat", "echo", "sleep", "dd", "cmp", "ls",
                 "grep", "tr", "poweroff", "reboot", "sync", "dmesg")
SHARED_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "virtio_blk", "virtio_mem", "ext4", "crc32c_generic")
MINI_MODULES = ("virtio_pci", "virtio_blk")


class Archive:
    """A cpio archive in the format "newc" (Linux's Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.parts = []
        self.count = 0

    def _pad(self, data):
        return data + bytes(-len(data) % 4)

    def _add(self, name, mode, data=b""):
        self.count += 1
        path = name.encode() + b"\0"
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields)
        self.parts += [self._pad(head + path), self._pad(data)]

    def folder(self, name):
        self._add(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self._add(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def finish(self):
        self._add("TRAILER!!!", 0)
        return b"".join(self.parts)


def _module(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def build(kernel, init, modules, extra=()):
    """An image whose /init is the text INIT; EXTRA lists (name, path) of programs for /bin."""
    files = kernel.module_files(modules)
    programs = [("busybox", debian.busybox()), *extra]
    contents = [(name, pathlib.Path(path).read_bytes()) for name, path in programs]
    key = cache.digest(init, "\n".join(map(str, files)), " ".join(BUSYBOX_NAMES),
                       *(data for _, data in contents))
    path = cache.folder() / "initramfs" / f"{key}.gz"
    if path.exists():
        return path
    archive = Archive()
    for name in ("bin", "proc", "sys", "dev", "run", "root", "m"):
        archive.folder(name)
    for name, data in contents:
        archive.file(f"bin/{name}", data)
    for name in BUSYBOX_NAMES:
        archive.link(f"bin/{name}", "busybox")
    for number, file in enumerate(files):
        name = file.name.removesuffix(".xz")
        archive.file(f"m/{number:02}-{name}", _module(file), 0o644)
    archive.file("init", init.encode())
    return cache.store(f"initramfs/{key}.gz", gzip.compress(archive.finish(), 1, mtime=0))


def shared(kernel):
    """The image of the full guest: its root is the host's, over 9p, read-only."""
    return build(kernel, (HERE / "init-shared.sh").read_text(), SHARED_MODULES)


def mini(kernel, extra=()):
    """The image of the guest without any share."""
    return build(kernel, (HERE / "init-mini.sh").read_text(), MINI_MODULES, extra)
