# SPDX-License-Identifier: BSD-3-Clause
"""A client for QEMU's machine protocol over a UNIX socket."""

import json
import socket
import time

from .errors import GuestError
from .process import PATIENCE


def connect(path, deadline):
    """A stream to the UNIX socket PATH, which may appear only later."""
    while True:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(path))
            return link
        except OSError as error:
            link.close()
            if time.monotonic() > deadline:
                raise GuestError(f"socket {path}: {error}") from error
            time.sleep(0.05)


class Qmp:
    """Connects to PATH, retrying for WAIT seconds; call it with a command and its arguments."""

    def __init__(self, path, wait=PATIENCE):
        self.events = []
        self._socket = connect(path, time.monotonic() + wait)
        self.limit(wait)
        self._stream = self._socket.makefile("rb")
        self._receive()  # greeting
        self("qmp_capabilities")

    def limit(self, seconds):
        """How long QEMU may take for an answer from now on."""
        self._socket.settimeout(seconds)

    def _receive(self):
        line = self._stream.readline()
        if not line:
            raise GuestError("QMP connection closed")
        return json.loads(line)

    def __call__(self, command, arguments=None):
        """Executes COMMAND, returns what it returns; events met on the way are kept in `events`."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise GuestError(f"QMP {command}: {error}; QEMU is gone?") from error
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise GuestError(f"QMP {command}: {answer['error']['desc']}")
            self.events.append(answer)

    def event(self, name, timeout=PATIENCE, match=lambda data: True):
        """Waits for the event NAME whose data MATCH accepts; takes it out of `events`."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] == name and match(event.get("data", {})):
                    self.events.remove(event)
                    return event.get("data", {})
            if time.monotonic() > deadline:
                raise GuestError(f"no QMP event {name} within {timeout} s")
            time.sleep(0.02)
            self("query-status")  # an answer brings the events before it

    def close(self):
        self._stream.close()
        self._socket.close()
