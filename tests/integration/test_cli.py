#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring: tables, JSON, exit statuses; and that help, completion and man page speak of the same commands."""

import json
import os
import pathlib
import re
import subprocess
import unittest

from daemon_rig import NVRING, PATIENCE, DaemonCase, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ["NVRING_ROOT"] = "/nonexistent"  # whatever NVMe controllers this machine has: doctor asks more of it then


def nvring(*args, **options):
    return subprocess.run([NVRING, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE, check=False, **options)


def words():
    """Each command with its options."""
    lines = nvring("help", "--words").stdout.splitlines()
    return {" ".join(w for w in line.split() if w[0] != "-"): [w for w in line.split() if w[0] == "-"]
            for line in lines}


def complete(*line):
    """What bash offers for the last word."""
    script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nvring; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, str(ROOT / "tools/completion/nvring"), *line],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE,
                          env={**os.environ, "PATH": f"{pathlib.Path(NVRING).parent}:{os.environ['PATH']}"})
    return set(done.stdout.split())


class Commands(DaemonCase):
    def test_a_path_in_any_script(self):
        """Shown as it is, in whatever locale, but for what would steer the terminal."""
        daemon = self.start("--disk", "v=ram:8M", "--vhost-user-blk", "v=gr\u00f6\u00dfe\u78c1\u009b2J.sock")
        plain = {key: value for key, value in os.environ.items() if not key.startswith("LC_") and key != "LANG"}
        for env in (plain, {**plain, "LC_ALL": "C.UTF-8"}, {**plain, "LC_ALL": "C"}):
            done = nvring("-s", str(daemon.rpc), "export", "list", env=env, encoding="utf-8")
            self.assertRegex(done.stdout, "(?m) gr\u00f6\u00dfe\u78c1\\?2J\\.sock$")

    def test_a_walk_through(self):
        self.start("--disk", "v=ram:8M", "--vhost-user-blk", "v=v.sock")
        self.assertEqual(self.cli("disk", "create", "w", "w.img", "--size", "64M"), "")
        self.assertEqual(self.path("w.img").stat().st_size, 64 << 20)
        self.assertEqual(self.cli("disk", "list").splitlines(), [
            "DISK    SIZE  DRIVER  MODE  BLOCK  EXPORTS  URI",
            "v      8 MiB  ram     rw      512        1  ram:8M",
            f"w     64 MiB  file    rw      512        0  file:{self.folder}/w.img"])
        self.assertEqual(self.cli("export", "create", "w", "w.sock", "--name", "x", "--read-only", "--serial=ABC"),
                         f"{self.folder}/w.sock\n")
        self.assertEqual(self.cli("export", "list").splitlines(), [
            "EXPORT  DISK  MODE  STATE    PEER  QUEUES  IN FLIGHT  SOCKET",
            "v       v     rw    waiting     -       -          -  v.sock",
            f"x       w     ro    waiting     -       -          -  {self.folder}/w.sock"])
        self.assertIn("waiting for a front-end", self.cli("export", "show", "x"))
        self.assertEqual(self.cli("disk", "resize", "w", "128M"), "")
        self.assertEqual(self.path("w.img").stat().st_size, 128 << 20)
        status = self.cli("status")
        for what in ("DISK ", "EXPORT ", "REACTOR ", "w.sock", "128 MiB"):
            self.assertIn(what, status)
        self.cli("export", "delete", "x")
        self.cli("disk", "delete", "w")
        self.assertNotIn("w.sock", self.cli("export", "list"))
        self.assertEqual(self.cli("log"), "notice\n")
        self.cli("log", "debug")
        self.assertEqual(self.cli("log"), "debug\n")
        self.cli("reactor", "mode", "interrupt", "0")
        self.assertRegex(self.cli("reactor", "list"), r"\n +0 +\d+ +interrupt +10-200 us ")
        self.cli("reactor", "idle", "5", "50", "0")
        self.assertRegex(self.cli("reactor", "list"), r"\n +0 +\d+ +interrupt +5-50 us ")
        self.assertEqual(self.cli("config", "save", "c.json"), f"written to {self.folder}/c.json\n")
        self.assertEqual(json.loads(self.cli("config", "show")), json.loads(self.path("c.json").read_text()))
        self.assertEqual(json.loads(self.cli("rpc", "bdev_get_bdevs", '{"name": "v"}'))[0]["name"], "v")
        self.assertIn("daemon: nvring", self.cli("version"))

    def test_json(self):
        self.start("--disk", "v=ram:8M", "--vhost-user-blk", "v=v.sock")
        for command in ("status", "disk list", "disk stats", "export list", "export show v", "reactor list", "log",
                        "config show", "version", "doctor", "rpc rpc_get_methods", "log info"):
            for args in (["--json", *command.split()], [*command.split(), "-j"]):
                json.loads(self.cli(*args))
        self.assertEqual(json.loads(self.cli("status", "--json"))["disks"][0]["size_bytes"], 8 << 20)

    def test_stats(self):
        self.start("--disk", "v=ram:8M", "--vhost-user-blk", "v=v.sock")
        self.cli("bench", "v.sock", "--ios", "5000", "--rw", "randread")
        line = self.cli("disk", "stats", "v").splitlines()[1].split()
        self.assertEqual(line[:2], ["v", "read"])
        self.assertGreaterEqual(int(line[2]), 5000)
        _, parts, ways = ([row.split() for row in table.splitlines()] for table in self.cli("disk", "stats", "v").split("\n\n"))
        self.assertEqual([row[:3] for row in parts[1:3]], [["v", "read", "scheduler"], ["v", "read", "driver"]])
        self.assertEqual(parts[2][3], line[2])
        self.assertEqual(ways[0][:4], ["DISK", "REACTOR", "SPLIT", "BOUNCED"])
        self.assertEqual(ways[1], ["v", "all", "0", "0", "0", "B", "0", "0", "0"])

    def test_where(self):
        self.start("--disk", "v=fault:op=read,drop@ram:8M", "--vhost-user-blk", "v=v.sock")
        self.assertEqual(json.loads(self.cli("where", "-j")), {"total": 0, "ios": []})
        bench = subprocess.Popen([NVRING, "bench", str(self.path("v.sock")), "--ios", "6", "--rw", "randread", "--depth", "3"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("three I/Os in flight", lambda: json.loads(self.cli("where", "-j"))["total"] == 3)
        first, second = json.loads(self.cli("where", "-j")), json.loads(self.cli("where", "-j"))
        for io, later in zip(first["ios"], second["ios"]):
            self.assertEqual((io["disk"], io["export"], io["op"], io["bytes"], io["layer"], io["driver"]),
                             ("v", "v", "read", 4096, "driver", "fault"))
            self.assertLess(io["age_ns"], later["age_ns"])
            self.assertEqual(io["offset"], later["offset"])
        self.assertEqual(len({io["slot"] for io in first["ios"]}), 3)
        self.assertEqual(self.cli("where").count("driver fault"), 3)
        self.cli("disk", "faults", "v")
        bench.wait(PATIENCE)
        self.assertEqual(json.loads(self.cli("where", "-j"))["total"], 0)

    def test_limits(self):
        self.start("--disk", "v=ram:8M")
        self.cli("group", "add", "gold", "--iops", "50000", "--bps", "1G", "--write-bps=512M")
        self.cli("disk", "limit", "v", "--iops", "5000", "--read-bps", "100M", "--group", "gold", "--min-iops=50",
                 "--latency-us", "500", "--weight", "7")
        self.assertEqual(json.loads(self.cli("disk", "limit", "v", "-j"))[0]["qos"],
                         {"iops": 5000, "read_bps": 100 << 20, "group": "gold", "min_iops": 50, "latency_us": 500, "weight": 7})
        shown = dict(re.split(r"  +", line) for line in self.cli("disk", "limit", "v").splitlines())
        self.assertEqual(shown, {"WHAT": "VALUE", "iops": "5000", "read_bps": "100 MiB/s", "group": "gold", "min_iops": "50",
                                 "latency_us": "500.0 us", "weight": "7", "delayed so far": "0", "time throttled": "-",
                                 "waiting now": "0", "frozen": "no", "path_timeout_ms": "30 s (default)"})
        self.assertEqual(self.cli("group", "list").splitlines(), [
            "GROUP  DELAYED  THROTTLED  WAITING  LIMITS                                        DISKS",
            "gold         0          -        0  write_bps 512 MiB/s, iops 50000, bps 1 GiB/s  v"])
        self.cli("disk", "limit", "v", "--iops", "none", "--weight=none", "--min-iops", "none")
        self.cli("disk", "limit", "v", "--group", "none")
        self.assertEqual(json.loads(self.cli("disk", "limit", "v", "-j"))[0]["qos"],
                         {"read_bps": 100 << 20, "latency_us": 500})
        self.cli("group", "set", "gold", "--bps", "none", "--iops", "60k")
        self.assertEqual(json.loads(self.cli("group", "list", "-j"))[0]["limits"], {"iops": 60000, "write_bps": 512 << 20})
        self.cli("disk", "freeze", "v")
        self.assertRegex(self.cli("disk", "limit", "v"), r"(?m)^frozen +yes$")
        self.assertRegex(self.cli("disk", "list"), r"(?m)^v +8 MiB +ram +frozen ")
        self.cli("disk", "thaw", "v")
        self.assertRegex(self.cli("disk", "list"), r"(?m)^v +8 MiB +ram +rw ")
        self.cli("group", "delete", "gold")

    def test_limits_that_cannot_be(self):
        self.start("--disk", "v=ram:8M")
        for args, said in (("disk limit v --iops 0", "iops: must be a number from 1 to 1000000000, or null for none, not 0"),
                           ("disk limit v --path-timeout-ms 1d", 'path_timeout_ms: must be a number from 0 to 86400000, or null for the default'),
                           ("disk limit v --iops=-5", "iops: must be .* not -5"),
                           ("disk limit v --iops 5K", 'iops: must be .* not "5K"'),
                           ("disk limit v --weight 5 --iops 99999999999999999999", "iops: must be "),
                           ("disk limit v --weight 5 --bps 1X", "bps: must be "),
                           ("disk limit v --group gold", 'no group named "gold"'),
                           ("disk limit w", 'no disk named "w"'),
                           ("disk thaw v", "the disk is not frozen"),
                           ("group set gold --iops 5", 'no group named "gold"'),
                           ("group add none", 'name: "none" takes a disk out of its group'),
                           ("group delete gold", 'no group named "gold"')):
            with self.subTest(args=args):
                self.assertRegex(self.cli(*args.split(), status=1), f"^nvring: {said}.*\n$")
        self.assertEqual(json.loads(self.cli("disk", "limit", "v", "-j"))[0]["qos"], {})
        self.assertIn("say which limit", self.cli("group", "set", "gold", status=2))

    def test_refusals(self):
        self.start("--disk", "v=ram:8M", "--vhost-user-blk", "v=v.sock")
        self.assertEqual(self.cli("disk", "delete", "v", status=1),
                         "nvring: the disk is exported: delete its exports first\n")
        self.assertEqual(self.cli("disk", "create", "v", "ram:1M", status=1),
                         'nvring: there is another disk named "v"\n')
        self.cli("disk", "create", "v", "v.img", "--size", "1M", status=1)
        self.assertFalse(self.path("v.img").exists())
        self.path("w.img").write_text("precious")
        self.cli("disk", "create", "w", "w.img", "--size", "1M", status=1)
        self.assertEqual(self.path("w.img").read_text(), "precious")

    def test_no_daemon(self):
        said = self.cli("status", status=3)
        self.assertIn("cannot reach nvringd on", said)
        self.assertIn("is nvringd running?", said)

    def test_usage(self):
        self.assertIn("'disk' needs one more word", nvring("disk").stderr)
        for args in ("", "dsk", "disk", "disk lst", "disk list --foo", "disk create", "disk create a b c", "--foo",
                     "disk create a b --size", "disk list --json=1", "status --timeout soon",
                     "disk create a ram:1M --size 1M", "rpc x y", "export create a --queues many"):
            done = nvring(*args.split())
            self.assertEqual(done.returncode, 2, args)
            self.assertEqual(done.stdout, "", args)
            self.assertTrue(done.stderr.startswith("nvring: "), args + done.stderr)

    def test_doctor(self):
        self.start("--disk", "v=ram:8M")
        out = self.cli("doctor", "--path", self.folder).splitlines()
        self.assertRegex(out[-1], r"^\d+ passed, \d+ to improve, 0 failed$")
        self.assertTrue(all(re.match(r"(PASS|INFO|WARN)  \S|      +mend: ", line) for line in out[:-1]), out)
        self.assertIn("PASS  daemon", out[0])

    def test_doctor_finds_a_missing_daemon(self):
        done = nvring("-s", str(self.path("rpc.sock")), "doctor", "--json")
        self.assertEqual(done.returncode, 1)
        findings = {f["check"]: f for f in json.loads(done.stdout)}
        self.assertEqual(findings["daemon"]["result"], "FAIL")
        self.assertTrue(findings["daemon"]["mend"].startswith("nvringd "))

    def test_output_that_does_not_arrive(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([NVRING, "help"], stdout=full, check=False)
        self.assertNotEqual(done.returncode, 0)


class Names(DaemonCase):
    def test_completion_asks_the_daemon_that_is_meant(self):
        self.start("--disk", "v=ram:8M")
        self.assertEqual(complete("nvring", "-s", str(self.path("rpc.sock")), "disk", "delete", ""), {"v"})
        self.assertEqual(complete("nvring", "-s", str(self.path("rpc.sock")), "disk", "freeze", ""), {"v"})
        self.cli("group", "add", "gold")
        self.assertEqual(complete("nvring", "-s", str(self.path("rpc.sock")), "group", "set", ""), {"gold"})
        self.assertEqual(complete("nvring", "-s", str(self.path("no.sock")), "disk", "delete", ""), set())


class Words(unittest.TestCase):
    """One table of commands stands behind all of it."""

    def test_help_of_every_command(self):
        top = nvring("help").stdout
        for command, options in words().items():
            self.assertRegex(top, rf"\n  {command}[ \n]")
            for args in ([*command.split(), "--help"], ["help", *command.split()]):
                done = nvring(*args)
                self.assertEqual(done.returncode, 0, args)
                self.assertRegex(done.stdout, rf"(?m)^Usage: nvring {command}")
                for option in options:
                    self.assertIn(option, done.stdout)

    def test_man_page(self):
        page = (ROOT / "docs/man/nvring.1").read_text()
        page = re.sub(r'\\f[BIR]|\\|(?m:^\.BI? "?)', "", page)
        for command, options in words().items():
            self.assertRegex(page, rf"(?m)^nvring {command}", command)
            for option in options:
                self.assertIn(option, page)
        named = {m for m in re.findall(r"(?m)^nvring ((?:disk|group|export|reactor|config|setup) \w+)", page)}
        self.assertLessEqual(named, set(words()))

    def test_attach_refusals(self):
        for args, code, text in ((["attach"], 2, "which disk?"), (["attach", "--list", "x"], 2, "--list takes no disk"),
                                 (["attach", "x", "--as", "loop"], 2, "--as: ublk, nbd or fuse, not 'loop'"),
                                 (["attach", "x", "--as", "nbd", "--path", "y"], 2, "--path: only a file has one"),
                                 (["detach", "/dev/sda"], 1, "/dev/sda is not attached by nvring")):
            done = nvring(*args)
            self.assertEqual(done.returncode, code, args)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        listed = nvring("attach", "--list")
        self.assertEqual((listed.returncode, listed.stdout.split()[:3]), (0, ["NODE", "AS", "STATE"]))

    def test_daemon_man_page(self):
        page = re.sub(r"\\f[BIR]|\\", "", (ROOT / "docs/man/nvringd.8").read_text())
        helped = subprocess.run([os.environ["NVRINGD"], "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        for option in set(re.findall(r"--[a-z][a-z-]+", helped)):
            self.assertIn(option, page)

    def test_completion(self):
        first = {command.split()[0] for command in words()}
        self.assertEqual(complete("nvring", ""), first)
        self.assertEqual(complete("nvring", "sta"), {"status"})
        self.assertEqual(complete("nvring", "disk", ""),
                         {c.split()[1] for c in words() if c.startswith("disk ")})
        self.assertLessEqual({"--size", "--read-only", "--json"}, complete("nvring", "disk", "create", "--"))
        self.assertEqual(complete("nvring", "disk", "create", "--si"), {"--size"})
        self.assertLessEqual({"--verify", "--depth"}, complete("nvring", "bench", "--"))
        self.assertEqual(complete("nvring", "reactor", "mode", "a"), {"adaptive"})
        self.assertEqual(complete("nvring", "reactor", "i"), {"idle"})
        self.assertEqual(complete("nvring", "log", "n"), {"notice"})
        self.assertEqual(complete("nvring", "nvme", "format", "disk0", "--force-"), {"--force-exported"})
        self.assertEqual(complete("nvring", "nvme", "sanitize-log", "disk0", "--force"), set())


if __name__ == "__main__":
    unittest.main()
