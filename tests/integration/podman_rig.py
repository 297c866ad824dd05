# SPDX-License-Identifier: BSD-3-Clause
"""Podman in a mount namespace of the test's own: nothing that it does, mounts or writes stays on the host.

An image is made of a static busybox: there is no registry here. (With --rootfs instead, podman 4.3.1 mounts volumes and never
unmounts them: it takes the end of a container for cleaned up because it had no storage of its own to unmount.)
"""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from daemon_rig import PATIENCE, DaemonCase

BUSYBOX = "/bin/busybox"
MARK = "NVRING_PODMAN_RIG"  # set within the namespace

CONTAINERS_CONF = """[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
[engine.volume_plugins]
nvring = "{plugin}"
"""

STORAGE_CONF = """[storage]
driver = "vfs"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


def why_not():
    """What this machine does not allow; None: nothing."""
    if os.geteuid() != 0:
        return "containers with devices and mounts need root"
    if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        return "no mount namespaces here (CAP_SYS_ADMIN is missing, or / is no mount point)"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return "this kernel has no loop devices"
    return None


def main():
    """Runs the tests of the calling file within a namespace; says why not where that cannot be."""
    if os.environ.get(MARK):
        unittest.main()
        return
    if why_not():
        print("SKIP:", why_not())
        sys.exit(77)
    # crun wants cgroups of one version; it is told not to use them. podman's locks are in /dev/shm: those of whoever else runs it
    setup = ("mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && mkdir /run/cdi && "
             "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"")
    os.execvpe("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c", setup, "sh", sys.executable,
                           os.path.abspath(sys.argv[0]), *sys.argv[1:]], {**os.environ, MARK: "1"})


class PodmanCase(DaemonCase):
    def setUp(self):
        super().setUp()
        self.root = self.path("root")
        for name in ("bin", "dev", "proc", "sys", "etc", "tmp", "run", "data"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.root / "bin/busybox")
        for name in ("sh", "cat", "dd", "ls", "echo", "cmp", "sync", "test", "env", "mount"):
            (self.root / "bin" / name).symlink_to("busybox")
        self.path("containers.conf").write_text(CONTAINERS_CONF.format(plugin=self.path("plugin.sock")))
        self.path("storage.conf").write_text(STORAGE_CONF.format(folder=self.folder))
        self.has_image = False
        self.env = {**os.environ, "CONTAINERS_CONF": str(self.path("containers.conf")),
                    "CONTAINERS_STORAGE_CONF": str(self.path("storage.conf"))}

    def podman(self, *args, status=0):
        """podman's standard output; what it complains when it shall fail."""
        done = subprocess.run(["podman", *map(str, args)], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=4 * PATIENCE, check=False)
        self.assertEqual(done.returncode == 0, status == 0, done.stdout + done.stderr)
        return done.stderr if status else done.stdout

    def make_image(self):
        if self.has_image:
            return
        tar = self.path("root.tar")
        subprocess.run(["tar", "-C", self.root, "-cf", tar, "."], check=True)
        self.podman("import", tar, "nvring-test")
        self.has_image = True

    def container(self, script, *options):
        """The command line of a container that runs `script`."""
        self.make_image()
        return ["podman", "run", "--rm", "--network", "none", "--cgroups=disabled", "--security-opt", "seccomp=unconfined",
                "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", *options, "nvring-test", "sh", "-c", script]

    def run_in(self, script, *options, status=0):
        return self.podman(*self.container(script, *options)[1:], status=status)

    def begin_in(self, script, *options):
        return subprocess.Popen(self.container(script, *options), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def program(self, path):
        """A program of the host's into the container, with the libraries it needs."""
        shutil.copy(path, self.root / "bin")
        listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        for word in listed.split():
            if word.startswith("/"):
                to = self.root / word[1:]
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(word, to)
        self.has_image = False
        return "/bin/" + pathlib.Path(path).name
