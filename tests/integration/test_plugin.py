#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvring-volume: its HTTP with hostile clients, volumes that are mounted and counted, and podman on top of it."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import unittest

import podman_rig
from daemon_rig import PATIENCE, wait_for

NVRING_VOLUME = os.environ.get("NVRING_VOLUME", "nvring-volume")

MOUNTS = "the mounts"  # the kernel's tables write the space otherwise

# In the place of `nvring attach`: a loop device that does not go by itself.
ATTACH = """#!/bin/sh
case $1 in
attach) echo "attached as this" >&2; losetup -f --show "$2" ;;
detach) losetup -d "$2" ;;
esac
"""

# The same, with a server and its record, as the real one has them; a disk that is there gets another server.
SERVED = """#!/bin/sh
image=${{2#file:}}
case $1 in
attach)
    echo "$@" >>{folder}/attached
    test -e {folder}/broken && {{ echo "nvring: broken" >&2; exit 1; }}
    node=$(losetup -n -O NAME -j "$image")
    test "$node" || node=$(losetup -f --show "$image")
    {folder}/nvringd 1000 </dev/null >/dev/null 2>&1 &
    echo $! >>{folder}/pids
    until readlink /proc/$!/exe | grep -q nvringd; do :; done
    mkdir -p /run/nvring/attach
    name=${{node#/dev/}}
    {{ printf 'node %s\\ntype ublk\\ndisk v\\nuri file:%s\\nrpc \\nid 0\\n' "$node" "$image"
      printf 'seq %s\\npid %s\\nstart %s\\n' "$(cat /sys/block/$name/diskseq)" $! "$(awk '{{print $22}}' /proc/$!/stat)"
    }} >/run/nvring/attach/$name.new
    mv /run/nvring/attach/$name.new /run/nvring/attach/$name.at
    echo "$node" ;;
detach)
    kill $(sed -n 's/^pid //p' /run/nvring/attach/${{2#/dev/}}.at)
    rm /run/nvring/attach/${{2#/dev/}}.at
    losetup -d "$2" ;;
esac
"""


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("plugin", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        try:
            self.sock.connect(str(self.path))
        except OSError:
            self.sock.close()
            raise


class PluginCase(podman_rig.PodmanCase):
    def setUp(self):
        super().setUp()
        self.path("pool").mkdir()
        self.daemon = self.start("--pool", "p=dir:pool")
        self.backend = ["--backend", "loop"]
        self.plugin = None
        self.begin()
        self.addCleanup(self.end)

    def command(self, *more):
        return [NVRING_VOLUME, "--listen", str(self.path("plugin.sock")), "-s", str(self.daemon.rpc), "--state",
                str(self.path("state")), "--mounts", str(self.path(MOUNTS)), *self.backend, *more]

    def begin(self):
        self.plugin = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for("the plugin", lambda: self.is_answering() or self.plugin.poll() is not None)
        self.assertIsNone(self.plugin.poll(), self.plugin.poll() and self.plugin.stderr.read())

    def is_answering(self):
        try:
            return self.ask("Plugin.Activate")[0] == 200
        except (FileNotFoundError, ConnectionError):  # no socket yet, or the one of a plugin that was killed
            return False

    def end(self, signo=signal.SIGTERM):
        if self.plugin.poll() is None:
            self.plugin.send_signal(signo)
        _, err = self.plugin.communicate(timeout=PATIENCE)
        self.assertIn(self.plugin.returncode, (0, -signal.SIGKILL), err)
        for point in self.mounts():
            subprocess.run(["umount", point], check=True)

    def ask(self, path, body=b"", method="POST"):
        connection = Connection(self.path("plugin.sock"))
        connection.request(method, "/" + path, body if isinstance(body, bytes) else json.dumps(body).encode())
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def do(self, method, **members):
        status, data = self.ask("VolumeDriver." + method, members)
        answer = json.loads(data)
        self.assertEqual((status, answer["Err"]), (200, ""))
        return answer

    def refuse(self, said, method, status=500, **members):
        got, data = self.ask("VolumeDriver." + method, members)
        self.assertEqual(got, status, data)
        self.assertIn(said, json.loads(data)["Err"])

    def mounts(self):
        """What is mounted below our folder."""
        lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        points = [line.split()[4].encode().decode("unicode_escape") for line in lines]  # \040 is a space there
        return sorted(point for point in points if point.startswith(str(self.path(MOUNTS))))

    def loops(self):
        listed = subprocess.run(["losetup", "-n", "-l", "-O", "BACK-FILE"], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [line for line in listed.splitlines() if str(self.folder) in line]

    def nothing_is_left(self):
        """Whoever else looks at a loop device, as udev does at each, holds up its end."""
        self.assertEqual(self.mounts(), [])
        wait_for("the loop device to go", lambda: not self.loops())


class Http(PluginCase):
    def test_answers(self):
        status, data = self.ask("Plugin.Activate")
        self.assertEqual((status, json.loads(data)), (200, {"Err": "", "Implements": ["VolumeDriver"]}))
        self.assertEqual(self.do("Capabilities")["Capabilities"], {"Scope": "local"})
        self.assertEqual(self.do("List")["Volumes"], [])
        self.assertEqual(stat.S_IMODE(os.stat(self.path("plugin.sock")).st_mode), 0o600)

    def test_requests_that_make_no_sense(self):
        for body, said in ((b"", "not JSON"), (b"{", "not JSON"), (b"null", "not JSON"), (b"[]", "must be a JSON object"),
                           (b"{} {}", "not JSON"), (b"[" * 1000, "not JSON"), (b'{"Name": "\xff"}', "not JSON"),
                           (b"{}", "Name: missing"), (b'{"Name": 7}', "Name: must be a text"),
                           (b'{"Name": null}', "Name: must be a text"), (b'{"Name": ""}', "Name: must have 1 to 63 characters"),
                           (b'{"Name": "' + b"x" * 64 + b'"}', "Name: must have 1 to 63 characters"),
                           (b'{"Name": "a\\u0000b"}', "Name: has a character"), (b'{"Name": "../a"}', "Name: a name consists of"),
                           (b'{"Name": "a/b"}', "Name: a name consists of"), (b'{"Name": "-a"}', "Name: a name begins"),
                           (b'{"Name": "a", "Opts": []}', "Opts: must be an object"),
                           (b'{"Name": "a", "Opts": {"size": 5}}', "size: must be a text"),
                           (b'{"Name": "a", "Opts": {"size": "-1G"}}', "is no size such as 10G"),
                           (b'{"Name": "a", "Opts": {"size": "4097"}}', "a size is a multiple of 4096"),
                           (b'{"Name": "a", "Opts": {"size": "99999999999T"}}', "is no size such as 10G"),
                           (b'{"Name": "a", "Opts": {"fstype": "../sh"}}', "is no file system such as ext4"),
                           (b'{"Name": "a", "Opts": {"pool": "/"}}', "pool: a name"),
                           (b'{"Name": "a", "Opts": {"sise": "1G"}}', "sise: unknown option (known: size=10G")):
            with self.subTest(body=body):
                status, data = self.ask("VolumeDriver.Create", body)
                self.assertEqual(status, 400)
                self.assertIn(said, json.loads(data)["Err"])
        for method in ("Mount", "Unmount"):
            self.refuse("ID: missing", method, 400, Name="a")
            self.refuse("ID: must have 1 to 255 characters", method, 400, Name="a", ID="x" * 256)
        self.assertEqual(self.ask("VolumeDriver.List", method="GET")[0], 405)
        self.assertEqual(self.ask("VolumeDriver.Nothing")[0], 404)
        self.assertEqual(self.ask("../../etc/passwd")[0], 404)
        self.assertEqual(self.ask("VolumeDriver.Create", b"x" * (1 << 20))[0], 413)
        self.assertEqual(self.do("List")["Volumes"], [])
        self.assertEqual(os.listdir(self.path("state")), [])
        self.assertEqual(os.listdir(self.path("pool")), [])

    def test_clients_that_are_no_clients(self):
        held = []
        for data in (b"", b"\0" * 100000, b"POST", b"POST / HTTP/9.9\r\n\r\n", b"GET " + b"a" * 100000,
                     b"POST /VolumeDriver.Create HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"POST /VolumeDriver.Create HTTP/1.1\r\nContent-Length: -5\r\n\r\nx",
                     b"POST /VolumeDriver.Create HTTP/1.1\r\nHost: p\r\nContent-Length: 100\r\n\r\n{",
                     b"POST /VolumeDriver.Create HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"POST /VolumeDriver.Create HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
                     b"X: y\r\n" * 20000):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(5)
            sock.connect(str(self.path("plugin.sock")))
            try:
                sock.sendall(data)
            except OSError:
                pass
            held.append(sock)  # and it stays
            self.assertEqual(self.do("List")["Volumes"], [])
        for sock in held:
            sock.close()
        self.assertEqual(self.do("List")["Volumes"], [])

    def test_programs_that_do_not_start(self):
        for more, status, said in (((), 1, "another nvring-volume uses it"),
                                   (("--state", str(self.path("other"))), 1, "another process listens on this socket"),
                                   (("--state", "/proc/no/such"), 1, "/proc/no: cannot be made"),
                                   (("--state", str(self.path("third")), "--backend", "tape"), 1, "--backend: auto, attach or loop"),
                                   (("what",), 2, "'what' is not an option")):
            done = subprocess.run(self.command(*more), stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(said, done.stderr)


class Driver(PluginCase):
    def test_a_life(self):
        self.do("Create", Name="v", Opts={"size": "32M"})
        self.do("Create", Name="v", Opts={"size": "32M"})  # again: it is there
        self.assertEqual(self.do("List")["Volumes"], [{"Name": "v", "Mountpoint": ""}])
        self.nothing_is_left()
        point = self.do("Mount", Name="v", ID="one")["Mountpoint"]
        self.assertEqual(self.do("Mount", Name="v", ID="two")["Mountpoint"], point)
        self.assertEqual(self.do("Mount", Name="v", ID="two")["Mountpoint"], point)
        self.assertEqual(self.mounts(), [point])
        self.assertEqual(self.do("Path", Name="v")["Mountpoint"], point)
        pathlib.Path(point, "file").write_text("precious")
        self.assertEqual(self.do("Get", Name="v")["Volume"], {
            "Name": "v", "Mountpoint": point, "Status": {"pool": "p", "size": 32 << 20, "fstype": "ext4", "users": 2}})
        self.refuse("v is mounted for one and others", "Remove", Name="v")
        self.assertIn("in use by the loop device /dev/loop", self.cli("volume", "remove", "v", status=1))
        self.assertIn("in use by the loop device /dev/loop", self.cli("volume", "export", "v", status=1))
        self.do("Unmount", Name="v", ID="two")
        self.do("Unmount", Name="v", ID="two")
        self.do("Unmount", Name="v", ID="other")
        self.assertEqual(self.mounts(), [point])
        with open(os.path.join(point, "file"), "rb"):
            self.refuse("cannot be unmounted", "Unmount", Name="v", ID="one")
            self.refuse("v is mounted for one", "Remove", Name="v")
        self.do("Unmount", Name="v", ID="one")
        self.nothing_is_left()
        point = self.do("Mount", Name="v", ID="three")["Mountpoint"]
        self.assertEqual(pathlib.Path(point, "file").read_text(), "precious")
        self.do("Unmount", Name="v", ID="three")
        self.nothing_is_left()
        self.do("Remove", Name="v")
        self.assertEqual(os.listdir(self.path("pool")), [])
        self.assertEqual(os.listdir(self.path("state")), [])
        for method in ("Remove", "Get", "Path"):
            self.refuse("no such volume: v", method, Name="v")
        self.refuse("no such volume: v", "Mount", Name="v", ID="x")

    def test_restarts(self):
        """Killed while volumes are mounted: counted on, by the same plugin that comes after it."""
        self.do("Create", Name="v", Opts={"size": "32M"})
        point = self.do("Mount", Name="v", ID="one")["Mountpoint"]
        self.do("Mount", Name="v", ID="two")
        self.plugin.kill()
        self.plugin.communicate(timeout=PATIENCE)
        self.begin()
        self.assertEqual(self.mounts(), [point])
        self.assertEqual(self.do("Get", Name="v")["Volume"]["Status"]["users"], 2)
        self.do("Unmount", Name="v", ID="one")
        self.assertEqual(self.mounts(), [point])
        self.do("Unmount", Name="v", ID="two")
        self.assertEqual(self.mounts(), [])
        # the users are gone from the file, the mount is not: as if it had ended in between
        self.do("Mount", Name="v", ID="one")
        self.plugin.kill()
        self.plugin.communicate(timeout=PATIENCE)
        state = self.path("state/v.json")
        state.write_text(json.dumps({**json.loads(state.read_text()), "users": []}))
        self.begin()
        self.assertEqual(self.mounts(), [])
        # a host that was restarted: nothing is mounted, nobody is a user
        state.write_text(json.dumps({**json.loads(state.read_text()), "users": ["one"], "boot": "another"}))
        self.assertEqual(self.do("Get", Name="v")["Volume"]["Status"]["users"], 0)
        self.nothing_is_left()
        self.do("Remove", Name="v")

    def test_an_unfinished_create(self):
        """The plugin ended after the volume was made, before its file system was: the next mount or create goes on."""
        self.do("Create", Name="v", Opts={"size": "32M"})
        state = json.loads(self.path("state/v.json").read_text())
        for name in ("made", "formatted"):
            self.cli("volume", "create", name, "32M")
            self.path(f"state/{name}.json").write_text(json.dumps({**state, "name": name, "ready": False}))
        subprocess.run(["mkfs.ext4", "-q", self.path("pool/formatted/disk.img")], check=True)
        self.do("Mount", Name="made", ID="x")
        before = self.path("pool/formatted/disk.img").read_bytes()
        self.do("Create", Name="formatted", Opts={"size": "32M"})
        self.assertEqual(self.path("pool/formatted/disk.img").read_bytes(), before)
        self.do("Mount", Name="formatted", ID="x")
        self.path("state/never.json").write_text(json.dumps({**state, "name": "never", "ready": False}))
        self.refuse("no such volume: never", "Get", Name="never")
        self.do("Create", Name="never", Opts={"size": "32M"})
        self.assertEqual(sorted(v["Name"] for v in self.do("List")["Volumes"]), ["formatted", "made", "never", "v"])

    def test_what_is_refused(self):
        self.refuse("size: missing", "Create", Name="v")
        self.refuse("no such pool", "Create", Name="v", Opts={"size": "32M", "pool": "q"})
        self.refuse("cannot run mkfs.nofs: No such file", "Create", Name="v", Opts={"size": "32M", "fstype": "nofs"})
        self.refuse("mkfs.ext4 failed", "Create", Name="v", Opts={"size": "4K"})
        self.assertEqual([os.listdir(self.path(p)) for p in ("pool", "state")], [[], []])
        # what somebody else made is adopted with its file system, and never formatted
        self.cli("volume", "create", "blank", "32M")
        self.refuse("carries no file system", "Create", Name="blank", Opts={"size": "32M"})
        self.cli("volume", "create", "parted", "32M")
        subprocess.run(["sfdisk", "-q", self.path("pool/parted/disk.img")], input="label: gpt\nsize=8M\n", text=True, check=True)
        self.refuse("carries something that is no file system", "Create", Name="parted")
        self.cli("volume", "create", "theirs", "32M")
        subprocess.run(["mkfs.ext4", "-q", self.path("pool/theirs/disk.img")], check=True)
        self.do("Create", Name="theirs")
        self.assertEqual(self.do("Get", Name="theirs")["Volume"]["Status"]["fstype"], "ext4")
        self.nothing_is_left()
        self.cli("volume", "export", "theirs")
        self.refuse("theirs is served by nvringd as disk theirs", "Mount", Name="theirs", ID="x")
        self.cli("volume", "unexport", "theirs")
        # removed behind our back
        self.cli("volume", "remove", "theirs")
        self.refuse("theirs is no longer in any pool", "Mount", Name="theirs", ID="x")
        self.do("Remove", Name="theirs")
        self.path("state/bad.json").write_text("{")
        self.refuse("state/bad.json: makes no sense", "Get", Name="bad")
        self.assertEqual(self.do("List")["Volumes"], [])
        self.nothing_is_left()
        self.daemon.stop()
        self.refuse("cannot reach nvringd", "Create", Name="v", Opts={"size": "32M"})


class Attach(PluginCase):
    """The other back end: a program that attaches and detaches."""

    def attach_by_program(self):
        """From now on; the program."""
        program = self.path("attach")
        program.write_text(ATTACH)
        program.chmod(0o755)
        self.end()
        self.backend = ["--backend", "attach", "--program", str(program)]
        self.begin()
        return program

    def test_a_life(self):
        program = self.attach_by_program()
        self.do("Create", Name="v", Opts={"size": "32M"})
        self.nothing_is_left()
        point = self.do("Mount", Name="v", ID="one")["Mountpoint"]
        pathlib.Path(point, "file").write_text("precious")
        self.plugin.kill()
        self.plugin.communicate(timeout=PATIENCE)
        self.begin()
        self.do("Unmount", Name="v", ID="one")
        self.nothing_is_left()
        program.write_text("#!/bin/sh\necho 'nvring: this kernel has neither' >&2; exit 1\n")
        self.refuse("attach failed: nvring: this kernel has neither", "Mount", Name="v", ID="one")
        program.write_text("#!/bin/sh\necho /dev/null\n")
        self.refuse("\"/dev/null\" is no block device", "Mount", Name="v", ID="one")
        self.assertEqual(self.do("Get", Name="v")["Volume"]["Status"]["users"], 0)
        program.write_text(ATTACH)
        self.do("Remove", Name="v")

    def test_ends_in_between(self):
        """Whatever was done and not written down, or undone by others, is cleared away or taken as it is."""
        program = self.attach_by_program()
        self.do("Create", Name="v", Opts={"size": "32M"})
        # the node is written down before anybody is a user: what fails behind it leaves nothing
        program.write_text(ATTACH.replace("losetup -f", f"cp {self.path('state/v.json')} {self.path('seen')}; losetup -f"))
        point = self.do("Mount", Name="v", ID="one")["Mountpoint"]
        self.assertEqual(json.loads(self.path("seen").read_text())["users"], [])
        self.end_in_between("v", users=[])
        self.nothing_is_left()
        # attached, and not mounted
        self.do("Mount", Name="v", ID="one")
        subprocess.run(["umount", point], check=True)
        self.end_in_between("v", users=[])
        self.nothing_is_left()
        # detached by others
        self.end_in_between("v", users=["one"], node="/dev/no-such-node")
        self.do("Unmount", Name="v", ID="one")
        self.assertEqual(self.do("Get", Name="v")["Volume"]["Status"]["users"], 0)
        # another disk has the node since
        point = self.do("Mount", Name="v", ID="one")["Mountpoint"]
        node = json.loads(self.path("state/v.json").read_text())["node"]
        subprocess.run(["umount", point], check=True)
        self.end_in_between("v", seq=1)
        self.do("Unmount", Name="v", ID="one")
        self.assertEqual(len(self.loops()), 1)
        subprocess.run(["losetup", "-d", node], check=True)
        # it cannot be mounted: neither user nor node stays
        subprocess.run(["wipefs", "-qa", self.path("pool/v/disk.img")], check=True)
        self.refuse("cannot be mounted", "Mount", Name="v", ID="one")
        self.assertEqual(json.loads(self.path("state/v.json").read_text())["node"], "")
        self.nothing_is_left()
        self.do("Remove", Name="v")

    def server(self):
        """The process of the only record; None while there is none."""
        record, = pathlib.Path("/run/nvring/attach").glob("*.at")
        pid = int(record.read_text().split("\npid ")[1].split()[0])
        try:
            return pid if "nvringd" in os.readlink(f"/proc/{pid}/exe") else None
        except OSError:
            return None

    def kill_server(self):
        before = self.server()
        os.kill(before, signal.SIGKILL)
        return before

    def kill_servers(self):
        for pid in self.path("pids").read_text().split():
            if os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe").startswith(str(self.folder)):
                os.kill(int(pid), signal.SIGKILL)

    def attached(self):
        return self.path("attached").read_text().splitlines()

    def test_a_server_that_dies_is_followed_by_another(self):
        program = self.attach_by_program()
        program.write_text(SERVED.format(folder=self.folder))
        shutil.copy("/bin/sleep", self.path("nvringd"))
        self.path("pids").touch()
        self.addCleanup(self.kill_servers)
        self.do("Create", Name="v", Opts={"size": "32M"})
        self.nothing_is_left()
        point = self.do("Mount", Name="v", ID="one")["Mountpoint"]
        pathlib.Path(point, "file").write_text("precious")
        count = len(self.attached())
        before = self.kill_server()
        after = wait_for("another server", lambda: self.server() not in (None, before) and self.server())
        self.assertEqual((len(self.attached()), self.attached()[-1]),
                         (count + 1, f"attach file:{self.path('pool/v/disk.img')} --as ublk"))
        # once more, and the next one does not start: tried again, after pauses
        self.path("broken").touch()
        os.kill(after, signal.SIGKILL)
        wait_for("two attempts", lambda: len(self.attached()) >= count + 3)
        self.assertIsNone(self.server())
        self.path("broken").unlink()
        wait_for("a server in the end", self.server)
        failed = len(self.attached()) - count - 2
        # what was unmounted is nobody's to start again
        server = self.server()
        self.do("Unmount", Name="v", ID="one")
        self.nothing_is_left()
        wait_for("its end", lambda: not os.path.exists(f"/proc/{server}/exe"))
        self.do("List")
        self.assertEqual(len(self.attached()), count + 2 + failed)
        self.plugin.terminate()
        said = [line for line in self.plugin.communicate(timeout=PATIENCE)[1].splitlines() if "has died" in line]
        self.assertEqual([line.rpartition(" has died")[2] for line in said],
                         [", another goes on", *(f", and no other starts, tried again in {2 << i} s: {program} failed: "
                                                 "nvring: broken" for i in range(failed)), ", another goes on"])
        self.begin()
        self.do("Remove", Name="v")

    def end_in_between(self, name, **members):
        self.plugin.kill()
        self.plugin.communicate(timeout=PATIENCE)
        state = self.path(f"state/{name}.json")
        state.write_text(json.dumps({**json.loads(state.read_text()), **members}))
        self.begin()


class Podman(PluginCase):
    def test_create_write_remove_run_again(self):
        self.podman("volume", "create", "--driver", "nvring", "-o", "size=32M", "data")
        self.assertIn("nvring", self.podman("volume", "ls"))
        self.run_in("echo precious >/data/file; sync", "-v", "data:/data")
        self.assertEqual((self.mounts(), self.do("Get", Name="data")["Volume"]["Status"]["users"]), ([], 0))
        self.end(signal.SIGKILL)
        self.begin()
        self.assertEqual(self.run_in("cat /data/file", "-v", "data:/data"), "precious\n")
        self.assertEqual(self.mounts(), [])
        self.assertIn("is no size", self.podman("volume", "create", "--driver", "nvring", "-o", "size=lots", "other", status=1))
        self.podman("volume", "rm", "data")
        self.assertEqual(os.listdir(self.path("pool")), [])

    def test_two_containers_one_volume(self):
        self.podman("volume", "create", "--driver", "nvring", "-o", "size=32M", "data")
        first = self.begin_in("echo one >/data/one; while ! test -e /data/two; do :; done; cat /data/two", "-v", "data:/data")
        wait_for("the first", lambda: self.mounts() and os.path.exists(os.path.join(self.mounts()[0], "one")))
        self.run_in("echo two >/data/two.new; sync; cat /data/one; exec /bin/busybox mv /data/two.new /data/two",
                    "-v", "data:/data")
        self.assertEqual(first.communicate(timeout=4 * PATIENCE)[0], "two\n")
        self.assertEqual(self.mounts(), [])
        self.podman("volume", "rm", "data")


if __name__ == "__main__":
    podman_rig.main()
