#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An nvringd that was built without FUSE: it says so, and nothing is left of what was asked for."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from daemon_rig import NVRING, NVRINGD, PATIENCE

SAID = "this nvring was built without libfuse3: attach as ublk or nbd, or build it with libfuse3-dev"
NOBODY = 65534


class Fuse(unittest.TestCase):
    def setUp(self):
        """Both programs beside each other, as installed; run by a user, whose files are in a folder of ours."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="without-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.run_folder = self.folder / "run"
        self.run_folder.mkdir()
        shutil.copy(NVRING, self.folder / "nvring")
        shutil.copy(NVRINGD, self.folder / "nvringd")
        (self.folder / "a.img").write_bytes(bytes(1 << 20))
        self.user = {}
        if os.geteuid() == 0:
            self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in (self.run_folder, self.folder / "a.img"):
                os.chown(path, NOBODY, NOBODY)

    def fails(self, program, *args):
        """What it says, in its last line."""
        done = subprocess.run([self.folder / program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False, **self.user,
                              env={**os.environ, "XDG_RUNTIME_DIR": str(self.run_folder)})
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        return done.stderr.splitlines()

    def files(self):
        return [str(path) for path in self.run_folder.rglob("*") if not path.is_dir()]

    def test_nvringd(self):
        said = self.fails("nvringd", "--no-rpc", "--disk", f"v=file:{self.folder}/a.img", "--fuse", "v")
        self.assertTrue(said[-1].endswith(f"--fuse v: {SAID}"), said)
        self.assertEqual(len([line for line in said if "without libfuse3" in line]), 1)
        self.assertEqual(self.files(), [])

    def test_nvring_attach(self):
        self.assertEqual(self.fails("nvring", "attach", f"{self.folder}/a.img", "--as", "fuse"), [f"nvring: {SAID}"])
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    unittest.main()
