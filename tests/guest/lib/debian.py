# SPDX-License-Identifier: BSD-3-Clause
"""Debian packages unpacked into the cache, never installed: the guest's kernel and its static busybox."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile

from . import bzimage, cache
from .errors import Unavailable

KERNEL_META = "linux-image-amd64"
OLD_RELEASE = "bookworm"  # whose own kernel is 6.1; its backports have the next release's
KERNEL_NAME = re.compile(r"linux-image-(\d[\w.+-]*-amd64)$")


def _run(argv, **kwargs):
    try:
        return subprocess.run(argv, check=True, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{argv[0]} is not on this machine (Debian's packages are needed)") from error
    except subprocess.CalledProcessError as error:
        last = (error.stdout.strip().splitlines() or ["no output"])[-1]
        raise Unavailable(f"{' '.join(argv[:3])} …: {last}") from error


def codename():
    """Of the Debian that this machine runs."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


class Apt:
    """apt as it is set up on this machine; with package lists of our own where the machine has none.

    With SUITE that suite alone, from the mirror that this machine uses: the machine's own sources never hear of it,
    or apt would take more than a kernel from there.
    """

    def __init__(self, suite=""):
        self.options = ["-o", "APT::Sandbox::User=root"] if os.getuid() == 0 else []
        self._base = cache.folder() / (f"apt-{suite}" if suite else "apt")
        if suite:
            self._only(suite)

    def _mirror(self):
        out = _run(["apt-get", *self.options, "indextargets", "--format", "$(REPO_URI) $(RELEASE)",
                    "Component: main", "Created-By: Packages"])
        for line in out.splitlines():
            uri, _, release = line.partition(" ")
            if release == codename():
                return uri
        raise Unavailable(f"apt has no source for {codename()}")

    def _only(self, suite):
        self._base.mkdir(parents=True, exist_ok=True)
        sources = self._base / "sources.list"
        sources.write_text(f"deb {self._mirror()} {suite} main\n")
        self.options += ["-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-"]
        self._private_lists()

    def _private_lists(self):
        base = self._base
        for sub in ("lists/partial", "cache/archives/partial"):
            (base / sub).mkdir(parents=True, exist_ok=True)
        self.options += ["-o", f"Dir::State::Lists={base}/lists", "-o", f"Dir::Cache={base}/cache"]
        _run(["apt-get", *self.options, "-q", "update"])

    def resolve(self, meta):
        """The newest package that META depends on."""
        for attempt in range(2):
            out = _run(["apt-cache", *self.options, "depends", meta]) if attempt else \
                self._try(["apt-cache", *self.options, "depends", meta])
            for line in out.splitlines():
                word = line.split()[-1] if line.strip() else ""
                if "Depends:" in line and KERNEL_NAME.match(word):
                    return word
            if not attempt:
                self._private_lists()
        raise Unavailable(f"apt knows no package behind {meta}")

    @staticmethod
    def _try(argv):
        try:
            return _run(argv)
        except Unavailable:
            return ""

    def unpack(self, package, target):
        """Downloads PACKAGE and unpacks it as the folder TARGET, whole or not at all."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            try:
                _run(["apt-get", *self.options, "-q", "download", package], cwd=scratch)
            except Unavailable:
                self._private_lists()
                _run(["apt-get", *self.options, "-q", "download", package], cwd=scratch)
            archives = list(pathlib.Path(scratch).glob("*.deb"))
            if len(archives) != 1:
                raise Unavailable(f"apt-get download {package} brought {len(archives)} files")
            tree = pathlib.Path(scratch) / "tree"
            tree.mkdir()
            _run(["dpkg-deb", "-x", str(archives[0]), str(tree)])
            tree.chmod(0o755)
            tree.rename(target)


class Kernel:
    """An unpacked kernel package: `vmlinux` to boot and `tree` for modprobe -d."""

    def __init__(self, tree):
        self.tree = tree
        self.release = KERNEL_NAME.match(tree.name)[1]
        self.vmlinux = tree.with_name(f"vmlinux-{self.release}")
        self.modules = tree / "lib" / "modules" / self.release

    def _module_file(self, name):
        wanted = name.replace("-", "_")
        for line in (self.modules / "modules.dep").read_text().splitlines():
            head, _, rest = line.partition(":")
            stem = pathlib.PurePath(head).name.split(".ko")[0].replace("-", "_")
            if stem == wanted:
                return head, rest.split()
        return None, []

    def module_files(self, names):
        """Files of the modules NAMES and what they need, in an order that insmod takes. Built-in ones vanish."""
        files = []
        for name in names:
            head, needs = self._module_file(name)
            if head is None:
                builtin = (self.modules / "modules.builtin").read_text().replace("-", "_")
                if f"/{name.replace('-', '_')}.ko" not in builtin:
                    raise Unavailable(f"kernel {self.release} has no module {name}")
                continue
            for file in [*reversed(needs), head]:
                if file not in files:
                    files.append(file)
        return [self.modules / file for file in files]


def _prune(keep):
    for old in keep.parent.glob("*linux-*"):
        if old not in (keep, Kernel(keep).vmlinux):
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def kernel(newer=False):
    """The guest's kernel, from the cache or from Debian; NEWER: at least 6.12, with modules that 6.1 lacks."""
    folder = "kernel-6.12" if newer else "kernel"
    base = cache.folder() / folder
    with cache.locked(folder):
        ready = sorted(base.glob("linux-image-*")) if base.is_dir() else []
        if ready:
            return Kernel(ready[-1])
        apt = Apt(f"{OLD_RELEASE}-backports" if newer and codename() == OLD_RELEASE else "")
        package = apt.resolve(KERNEL_META)
        scratch = base / f"new-{package}"
        shutil.rmtree(scratch, ignore_errors=True)
        apt.unpack(package, scratch)
        made = scratch.with_name(package)
        release = KERNEL_NAME.match(package)[1]
        _run(["depmod", "-b", str(scratch), release],
             env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})
        image = (scratch / "boot" / f"vmlinuz-{release}").read_bytes()
        cache.store(f"{folder}/vmlinux-{release}", bzimage.payload(image))
        scratch.rename(made)
        _prune(made)
        return Kernel(made)


def busybox():
    """A static busybox."""
    tree = cache.folder() / "busybox"
    with cache.locked("busybox"):
        if not tree.is_dir():
            Apt().unpack("busybox-static", tree)
    for place in ("bin/busybox", "usr/bin/busybox"):
        if (tree / place).is_file():
            return tree / place
    raise Unavailable("busybox-static holds no busybox")
