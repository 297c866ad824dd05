# SPDX-License-Identifier: BSD-3-Clause
"""KVM or TCG: whether KVM really boots a guest is found out once per boot of this machine, in at most 5 s."""

import os
import pathlib
import subprocess

from . import cache, debian, initramfs, process

PROBE_SECONDS = 5
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")


def _boots_on_kvm():
    kernel = debian.kernel()
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-M", "q35,accel=kvm", "-cpu", "max,la57=off", "-m", "256M", "-serial", "stdio",
            "-kernel", kernel.vmlinux, "-initrd", initramfs.mini(kernel),
            "-append", "console=ttyS0 panic=-1 quiet do=true"]
    child = process.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = child.communicate(timeout=PROBE_SECONDS)
        return b"GUEST-RC 0" in output
    except subprocess.TimeoutExpired:
        return False
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def choose():
    """"kvm" where a guest boots on it, else "tcg"; NVRING_ACCEL overrules."""
    if os.environ.get("NVRING_ACCEL"):
        return os.environ["NVRING_ACCEL"]
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    answer = f"accel-{BOOT_ID.read_text().strip()}"
    with cache.locked("accel"):
        path = cache.folder() / answer
        if not path.exists():
            for old in cache.folder().glob("accel-*"):
                old.unlink()
            cache.store(answer, b"kvm" if _boots_on_kvm() else b"tcg")
        return path.read_text()
