# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own vDPA example, unmodified: from Debian's source package of the installed libdpdk, compiled into the cache."""

import os
import pathlib
import shlex
import subprocess
import tarfile
import tempfile

from . import cache
from .errors import GuestError, Unavailable

EXAMPLE = "examples/vdpa"


def _output(argv, **kwargs):
    try:
        return subprocess.run(argv, check=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=600, **kwargs).stdout.strip()
    except FileNotFoundError as error:
        raise Unavailable(f"{argv[0]} is not on this machine (Debian's packages are needed)") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{argv[0]} {argv[-1]}: no answer from the mirror") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no output"])[-1]
        raise Unavailable(f"{argv[0]} … {argv[-1]}: {last}") from error


def version():
    """The version of Debian's package of DPDK's headers."""
    try:
        return _output(["dpkg-query", "-W", "-f", "${Version}", "libdpdk-dev"])
    except Unavailable as error:
        raise Unavailable("libdpdk-dev is not installed: no DPDK application can be built") from error


def _source_lines():
    """Where the host has its packages from, with sources instead; its own lists stay as they are."""
    lines = _output(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                     "Created-By: Packages"]).splitlines()
    found = sorted({line for line in lines if line.endswith(" main") and "/debian" in line})
    if not found:
        raise Unavailable("apt knows no mirror of Debian: the sources of DPDK's example cannot be had")
    return "".join(f"deb-src {line}\n" for line in found)


def _fetch(wanted, folder):
    """The archive of DPDK's sources of that version, below FOLDER."""
    for sub in ("lists/partial", "cache/archives/partial"):
        (folder / sub).mkdir(parents=True)
    (folder / "sources.list").write_text(_source_lines())
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=-",
           "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
    if os.getuid() == 0:
        apt += ["-o", "APT::Sandbox::User=root"]
    _output([*apt, "update"])
    _output([*apt, "source", "--download-only", f"dpdk={wanted}"], cwd=folder)
    archives = list(folder.glob("dpdk_*.orig.tar.*"))
    if len(archives) != 1:
        raise Unavailable(f"apt-get source dpdk={wanted} brought {len(archives)} archives")
    return archives[0]


def _unpack(archive, target):
    """Only the example's files, flat."""
    target.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            path = pathlib.PurePosixPath(member.name)
            if member.isfile() and str(path.parent).endswith(f"/{EXAMPLE}"):
                (target / path.name).write_bytes(tar.extractfile(member).read())
    if not (target / "main.c").exists():
        raise Unavailable(f"{archive.name} has no {EXAMPLE}/main.c")


def _sources(wanted):
    made = cache.folder() / "dpdk" / f"vdpa-{wanted}"
    if made.is_dir():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
        folder = pathlib.Path(scratch)
        _unpack(_fetch(wanted, folder), folder / "example")
        (folder / "example").rename(made)
    return made


def example():
    """The path of the compiled program, dpdk-vdpa."""
    wanted = version()
    with cache.locked("dpdk"):
        sources = _sources(wanted)
        made = sources / "dpdk-vdpa"
        if made.exists():
            return made
        flags = shlex.split(_output(["pkg-config", "--cflags", "--libs", "libdpdk"]))
        scratch = sources / ".dpdk-vdpa"
        done = subprocess.run(["gcc", "-O2", "-w", "-DALLOW_EXPERIMENTAL_API", "-o", scratch, sources / "main.c", *flags],
                              text=True, check=False, stderr=subprocess.PIPE)
        if done.returncode:
            raise GuestError(f"DPDK's {EXAMPLE}/main.c does not compile:\n{done.stderr}")
        scratch.rename(made)
        return made


def plugin():
    """The driver to test. EAL refuses one below a folder that everybody may write to."""
    built = os.environ.get("NVRING_VDPA_PMD", "")
    if not os.path.exists(built):
        raise Unavailable("NVRING_VDPA_PMD names no driver: it is not built without libdpdk-dev 22.11 to 24.11")
    for folder in pathlib.Path(built).resolve().parents:
        if folder.stat().st_mode & 0o002:
            raise Unavailable(f"{built} is below {folder}, which everybody may write to: DPDK loads nothing from there")
    return built
