#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""libnvring-client as a user gets it: installed into a folder, found with pkg-config, built against with nothing else."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from daemon_rig import DaemonCase, PATIENCE

BUILD = os.environ.get("NVRING_BUILD_ROOT", "build-test/gcc")
MESON = os.environ.get("MESON_PROGRAM", "meson")
MAP = pathlib.Path(os.environ.get("NVRING_CLIENT_MAP", "vhost/client/nvring-client.map"))
LIBRARY = os.environ.get("NVRING_CLIENT", "libnvring-client.so")
CXX = shutil.which("g++") or shutil.which("clang++")
STRICT = ("-Wall", "-Wextra", "-pedantic-errors", "-Werror")

USES_ALL = """#include <nvring_client.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	struct nvrc_opts opts = { sizeof(opts), argv[0], NVRC_SLEEP, 1, 0, 0, 0, 0, 0, 0, 0 };
	const void *all[] = { %s };
	struct nvrc *disk;
	char why[512] = "";

	if (argc > 1 || nvrc_open(&opts, &disk, why, sizeof(why)) >= 0 || !why[0] || !all[0])
		return 1;
	return printf("%%s\\n", nvrc_version()) < 0;
}
"""


def is_of_a_sanitizer(library):
    data = pathlib.Path(library).read_bytes()
    return b"__asan_init" in data or b"__tsan_init" in data


class Installed(DaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if is_of_a_sanitizer(LIBRARY):
            raise unittest.SkipTest("no user's program is linked with a sanitizer")
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nvring-installed-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        subprocess.run([MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", str(cls.root)], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": str(cls.root)})
        cls.pc = next(cls.root.rglob("libnvring-client.pc"))
        cls.lib = cls.pc.parent.parent
        cls.names = re.findall(r"^\t(nvrc_\w+);$", MAP.read_text(encoding="ascii"), re.M)
        cls.env = {**os.environ, "LC_ALL": "C", "PKG_CONFIG_PATH": str(cls.pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(cls.root),
                   "LD_LIBRARY_PATH": str(cls.lib)}

    def run_in(self, *command):
        done = subprocess.run([str(c) for c in command], cwd=self.folder, env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.strip()

    def flags(self, *words):
        return self.run_in("pkg-config", *words, "libnvring-client").split()

    def build(self, source, out, *options, static=False, compiler="cc"):
        libs = ["-static", *self.flags("--static", "--libs")] if static else self.flags("--libs")
        self.run_in(compiler, *options, source, "-o", out, *self.flags("--cflags"), *libs)
        return self.path(out)

    def test_names_and_versions(self):
        version = self.run_in("pkg-config", "--modversion", "libnvring-client")
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")
        soname = "libnvring-client.so." + version.split(".", maxsplit=1)[0]
        full = self.lib / f"libnvring-client.so.{version}"
        self.assertTrue(full.is_file() and not full.is_symlink())
        for link in ("libnvring-client.so", soname):
            self.assertEqual((self.lib / link).resolve(), full.resolve())
        self.assertTrue((self.lib / "libnvring-client.a").is_file())
        dynamic = self.run_in("readelf", "-d", full)
        self.assertIn(f"soname: [{soname}]", dynamic)
        self.assertEqual(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic), ["libc.so.6"])
        exported = self.run_in("nm", "-D", "--defined-only", "--with-symbol-versions", full)
        node = "NVRING_CLIENT_0"
        self.assertEqual(sorted(line.split()[2] for line in exported.splitlines()),
                         sorted([node, *(f"{name}@@{node}" for name in self.names)]))

    def test_each_function_has_a_page(self):
        for name in self.names:
            page = next(self.root.rglob(f"man3/{name}.3"))
            self.assertIn(name, page.read_text(encoding="utf-8"), page)
        self.assertTrue(next(self.root.rglob("man7/libnvring-client.7")).is_file())

    def test_the_header_alone(self):
        header = "#include <nvring_client.h>\n"
        for compiler, suffix, standards in (("cc", "c", ("c99", "c11", "gnu17")), (CXX, "cc", ("c++98", "c++11", "c++17"))):
            self.path(f"alone.{suffix}").write_text(header, encoding="ascii")
            for standard in standards:
                self.run_in(compiler, f"-std={standard}", *STRICT, "-Wno-long-long", "-fsyntax-only", *self.flags("--cflags"),
                            self.path(f"alone.{suffix}"))

    def test_programs_in_c_and_cpp(self):
        version = self.run_in("pkg-config", "--modversion", "libnvring-client")
        text = USES_ALL % ", ".join(f"(const void *){name}" for name in self.names)
        for compiler, source in (("cc", "all.c"), (CXX, "all.cc")):
            self.path(source).write_text(text, encoding="ascii")
            for static in (False, True):
                program = self.build(self.path(source), "all", "-Wall", "-Wextra", "-Werror", static=static, compiler=compiler)
                self.assertEqual(self.run_in(program), version)

    def test_the_example_copies_a_disk(self):
        source = next(self.root.rglob("examples/disk_copy.c"))
        self.path("from.img").write_bytes(os.urandom(8 << 20))
        for static in (False, True):
            self.image("to.img", 9)
            daemon = self.start("--disk", f"f=file:{self.path('from.img')}", "--disk", f"t=file:{self.path('to.img')}",
                                "--vhost-user-blk", "f=f.sock", "--vhost-user-blk", "t=t.sock")
            program = self.build(source, "disk_copy", "-O2", "-Wall", "-Wextra", "-Werror", static=static)
            self.assertEqual(self.run_in(program, self.path("f.sock"), self.path("t.sock")), "")
            self.assertEqual(self.path("from.img").read_bytes(), self.path("to.img").read_bytes()[:8 << 20])
            self.assertEqual(daemon.stop()[0], 0)

    def test_the_plugin_of_nbdkit(self):
        if subprocess.run(["pkg-config", "--exists", "nbdkit"], check=False).returncode:
            self.skipTest("nbdkit's headers are not installed")
        headers = self.run_in("env", "-u", "PKG_CONFIG_SYSROOT_DIR", "pkg-config", "--cflags", "nbdkit").split()
        self.build(next(self.root.rglob("examples/nbdkit_nvring.c")), "plugin.so", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                   *headers)


if __name__ == "__main__":
    unittest.main()
