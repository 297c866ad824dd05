# SPDX-License-Identifier: BSD-3-Clause
"""Child processes that never outlive the test: ended by their own pid, killed when the parent dies."""

import subprocess
import time

from .errors import GuestError, Unavailable

PATIENCE = 600  # seconds of every wait: they end what hangs, and judge nobody's speed


def wait_for(what, condition):
    """Until condition() is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise GuestError(f"in vain: {what}")
        time.sleep(0.02)


def spawn(argv, outlive=False, **kwargs):
    """Starts ARGV, without input unless told; the kernel kills it should this process die first, unless OUTLIVE."""
    argv = [*([] if outlive else ["setpriv", "--pdeathsig", "KILL", "--"]), *map(str, argv)]
    kwargs["start_new_session"] = outlive
    try:
        return subprocess.Popen(argv, **{"stdin": subprocess.DEVNULL, **kwargs})
    except FileNotFoundError as error:
        raise Unavailable(f"{error.filename} is not installed") from error


def said(argv, seconds=10):
    """What ARGV says, or why it says nothing."""
    try:
        return subprocess.run([*map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}\n"


def end(child, patience=10):
    """SIGTERM, then SIGKILL; returns the exit status."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait(PATIENCE)


def wait(child, what, timeout=PATIENCE):
    """The exit status of CHILD, which must end by itself."""
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise GuestError(f"{what} still runs after {timeout} s") from error
