# SPDX-License-Identifier: BSD-3-Clause
"""What every guest test stands on: a folder of its own, a place among the running guests, clean ends, kept logs."""

import fcntl
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback
import unittest

from . import accel, cache, compiled, debian, initramfs, server
from .errors import GuestError, Unavailable
from .process import PATIENCE
from .vm import Vm

GUESTS_AT_ONCE = 2
SKIPPED = 77
# TCG with several CPUs, of a kernel that changes its own code (docs/TESTING.md)
EMULATOR_FAULT = "Oops: int3: 0000"
AGAIN = "NVRING_GUEST_AGAIN"  # set for the second and last time
HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "scripts"


def take_place():
    """Waits for one of the places for guests; held until the file is closed."""
    while True:
        for number in range(GUESTS_AT_ONCE):
            place = open(cache.folder() / f"place-{number}.lock", "w", encoding="ascii")
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return place
            except BlockingIOError:
                place.close()
        time.sleep(0.2)


class GuestCase(unittest.TestCase):
    """A test with servers and guests; everything it starts is ended, the logs stay where it fails."""

    # abilities of the server without which the test makes no sense
    needs = frozenset()
    emulator_failed = False  # in some test of this program

    def setUp(self):
        self.server_class = server.chosen()
        missing = self.needs - self.server_class.abilities
        if missing:
            self.skipTest(f"{self.server_class.program} lacks: {', '.join(sorted(missing))}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvg-"))
        self.addCleanup(self._clear)
        self._started = []
        self._place = take_place()
        self.addCleanup(self._place.close)

    def run(self, result=None):
        """As unittest's, but what the machine lacks is a skip."""
        method = getattr(self, self._testMethodName)

        def guarded():
            try:
                method()
            except Unavailable as reason:
                self.skipTest(str(reason))
            except GuestError:
                self._tell_states()
                raise
        setattr(self, self._testMethodName, guarded)
        super().run(result)

    def _tell_states(self):
        """What all are at that this test has started, before they are ended."""
        for what in self._started:
            print(f"-- {what.log.stem}\n{what.state()}", file=sys.stderr, flush=True)

    def _clear(self):
        if self._failed():
            self._keep_logs()
            GuestCase.emulator_failed |= any(EMULATOR_FAULT in log.read_text(errors="replace") for log in self.folder.rglob("*.log"))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _failed(self):
        result = self._outcome.result
        return any(case is self for case, _ in result.failures + result.errors) or not self._outcome.success

    def _keep_logs(self):
        base = pathlib.Path(os.environ.get("NVRING_TEST_LOGS") or cache.folder() / "logs")
        kept = base / self.id().removeprefix("__main__.")
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True, exist_ok=True)
        for log in self.folder.rglob("*.log"):
            shutil.copy(log, kept)
        print(f"logs kept in {kept}", file=sys.stderr)

    def image(self, size_mib, name="disk.img"):
        """A new sparse image file."""
        path = self.folder / name
        with open(path, "wb") as out:
            out.truncate(size_mib << 20)
        return path

    def serve(self, *exports):
        """Starts the server with EXPORTS; it must also end well."""
        running = self.server_class(self.folder, exports)
        self._started.append(running)
        self.addCleanup(running.abandon)
        running.start()
        return running

    def serve_one(self, size_mib=512, **options):
        """Starts the server with one new disk `vol0`; returns it and the disk's socket."""
        socket = self.folder / "vol0.sock"
        export = server.Export("vol0", self.image(size_mib), [socket], **options)
        return self.serve(export), socket

    def ssd(self, *images, name="ssd", **options):
        """A running software SSD with IMAGES as namespaces; it must also end well."""
        if not shutil.which(server.Ssd.program):
            raise Unavailable("NVRING_SSD names no program")
        made = server.Ssd(self.folder, images, name=name, **options)
        self._started.append(made)
        self.addCleanup(made.abandon)
        return made.start()

    def vm(self, name="vm", **options):
        made = Vm(self.folder, name, **options)
        self._started.append(made)
        self.addCleanup(made.stop)
        return made

    def linux(self, script, environment=None, name="vm", append="", verifier=False, iommu_bits=0,
              newer_kernel=False, **options):
        """A Linux guest, not started, that will run tests/guest/scripts/SCRIPT; with an IOMMU if IOMMU_BITS is 39 or 48."""
        append = f"{append} intel_iommu=on" if iommu_bits else append
        kernel = debian.kernel(newer_kernel)
        made = self.vm(name, **options).boot_shared(
            kernel, initramfs.shared(kernel), (SCRIPTS / script).read_text(), (HERE / "start.sh").read_text(),
            environment, append)
        if iommu_bits:
            made.add_iommu(iommu_bits)
        if verifier:
            shutil.copy(compiled.verifier(), made.share / "verifier")
        return made

    @staticmethod
    def progress(vm, ticks=2):
        """The guest's verifier completes I/O from now on: so many more of its lines that count some.

        The first line is not one of them: it may count what was done before.
        """
        console = vm.console
        seen = len(console.lines)
        for pattern in (r"VERIFIER tick", *[r"VERIFIER tick \d+ ops [1-9]"] * ticks):
            console.wait(rf"{pattern}|GUEST-RC", PATIENCE, after=seen)
            seen = len(console.lines)

    @staticmethod
    def restart(end, running, vm, away=0):
        """END ends the server (its `kill` or `stop`); AWAY seconds later there is a new one, and QEMU is connected to it.

        QEMU 7.2 never comes back to a server that dies while it connects (docs/TESTING.md). Who ends the server more
        than once has to know that QEMU is through with connecting, and I/O in the guest does not tell.
        """
        end()
        vm.wait_links(False)
        time.sleep(away)
        running.start()
        vm.wait_links(True)

    def settle(self, running, *guests):
        """The end of a test that went well: the guests are gone, the daemon ends on SIGTERM."""
        for guest in guests:
            guest.stop()
        if not running.alive():
            raise GuestError(f"{running.program} died:\n{running.tail()}")
        running.stop()


class _Result(unittest.TextTestResult):
    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"SKIP: {reason}", flush=True)

    def _exc_info_to_string(self, err, test):
        if isinstance(err[1], GuestError):  # its text tells all; where it was raised does not
            frame = traceback.extract_tb(err[2])
            ours = [entry for entry in frame if "/tests/guest/test_" in entry.filename]
            where = f"{pathlib.Path(ours[-1].filename).name}:{ours[-1].lineno}: " if ours else ""
            return f"{where}{err[1]}"
        return super()._exc_info_to_string(err, test)


def main():
    """Runs the tests of the calling file: all, or those named; exit status 77 when all were skipped."""
    runner = unittest.TextTestRunner(verbosity=2, resultclass=_Result)
    result = unittest.main(module="__main__", testRunner=runner, exit=False).result
    if not result.wasSuccessful():
        if GuestCase.emulator_failed and accel.choose() == "tcg" and not os.environ.get(AGAIN):
            print(f"the emulator's fault ({EMULATOR_FAULT}), once more", file=sys.stderr)
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, AGAIN: "1"})
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun == len(result.skipped) else 0)
