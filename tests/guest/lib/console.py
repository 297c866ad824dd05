# SPDX-License-Identifier: BSD-3-Clause
"""Reads a guest's serial console: keeps the log, finds the lines tests wait for."""

import re
import threading
import time

from .errors import GuestError

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RESULT = re.compile(r"GUEST-RC (\d+)$")
DISASTER = re.compile(r"Kernel panic|BUG: |Oops: |blocked for more than|I/O error, dev|Looped descriptor")
IO_ERROR = re.compile(r"I/O error, dev")
TAIL_LINES = 40


class Console:
    """Lines of the stream STREAM (bytes), read by a thread into `lines` and the file LOG."""

    def __init__(self, stream, log, echo=None):
        self.lines = []
        self.ended = False
        self._echo = echo
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream, log), daemon=True)
        self._thread.start()

    def _read(self, stream, log):
        start = time.monotonic()
        with open(log, "w", encoding="utf-8") as out:
            for raw in iter(stream.readline, b""):
                line = ESCAPES.sub("", raw.decode(errors="replace")).strip("\r\n")
                out.write(f"{time.monotonic() - start:8.2f} {line}\n")
                out.flush()
                if self._echo:
                    self._echo(line)
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait(self, pattern, timeout, after=0):
        """The match of PATTERN in the first line from number AFTER on that has one."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        seen = after
        with self._changed:
            while True:
                while seen < len(self.lines):
                    found = wanted.search(self.lines[seen])
                    seen += 1
                    if found:
                        return found
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "the guest ended" if self.ended else f"{timeout:.0f} s passed"
                    raise GuestError(f"{why} without a line like /{pattern}/\n{self.tail()}")
                self._changed.wait(left)

    def has(self, pattern):
        return any(re.search(pattern, line) for line in self.lines)

    def find(self, pattern):
        """All matches of PATTERN so far."""
        return [found for line in list(self.lines) if (found := re.search(pattern, line))]

    def disaster(self, io_errors=False):
        """The first line that tells of a kernel in trouble; with IO_ERRORS set those are expected."""
        return next((line for line in self.lines if DISASTER.search(line) and
                     not (io_errors and IO_ERROR.search(line))), None)

    def result(self):
        """The exit status of the guest's script, None before it has ended."""
        found = self.find(RESULT)
        return int(found[-1][1]) if found else None

    def tail(self):
        return "\n".join(f"  | {line}" for line in self.lines[-TAIL_LINES:])

    def join(self, timeout):
        self._thread.join(timeout)
