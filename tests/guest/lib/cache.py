# SPDX-License-Identifier: BSD-3-Clause
"""The cache folder: what is slow to get and can be had again (kernels, initramfs images, answers of probes)."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import tempfile


def _candidates():
    if os.environ.get("NVRING_CACHE"):
        yield pathlib.Path(os.environ["NVRING_CACHE"])
        return
    if os.environ.get("XDG_CACHE_HOME"):
        yield pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "nvring"
    if os.environ.get("HOME"):
        yield pathlib.Path(os.environ["HOME"]) / ".cache" / "nvring"
    yield pathlib.Path("/var/cache/nvring")
    yield pathlib.Path(tempfile.gettempdir()) / f"nvring-cache-{os.getuid()}"


def folder():
    """The first candidate that can be made and belongs to us."""
    for path in _candidates():
        try:
            path.mkdir(parents=True, exist_ok=True)
            if path.stat().st_uid == os.getuid() and os.access(path, os.W_OK | os.X_OK):
                return path
        except OSError:
            continue
    raise OSError("no cache folder can be written; set NVRING_CACHE")


@contextlib.contextmanager
def locked(name):
    """Holds the lock NAME of the cache against other processes."""
    with open(folder() / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*parts):
    """A file name for content: the hash of byte strings and strings, in order."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:24]


def store(name, data):
    """Writes DATA as NAME in one step (readers see all of it or nothing); returns the path."""
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
