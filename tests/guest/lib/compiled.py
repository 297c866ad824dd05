# SPDX-License-Identifier: BSD-3-Clause
"""The harness's own small programs, built with gcc into the cache: the boot sector and the static verifier."""

import os
import pathlib
import subprocess

from . import cache
from .errors import GuestError, Unavailable

SOURCES = pathlib.Path(__file__).resolve().parent.parent


def _build(source, flags):
    path = SOURCES / source
    name = f"programs/{cache.digest(path.read_bytes(), *flags)}-{path.stem}"
    made = cache.folder() / name
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    scratch = made.with_name(f".{made.name}.{os.getpid()}")
    try:
        subprocess.run(["gcc", *flags, "-o", scratch, path], check=True, text=True, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise Unavailable("gcc is not installed") from error
    except subprocess.CalledProcessError as error:
        raise GuestError(f"{source} does not compile:\n{error.stderr}") from error
    scratch.rename(made)
    return made


def verifier():
    """The path of the static verifier."""
    return _build("verifier.c", ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"])


def boot_sector():
    """The path of the boot sector."""
    return _build("bootsector.S", ["-m32", "-nostdlib", "-static", "-no-pie",
                                   "-Wl,-Ttext=0x7c00,--build-id=none,--oformat=binary"])
