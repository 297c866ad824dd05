# SPDX-License-Identifier: BSD-3-Clause
"""The second half of tools/quickstart: SSD, nvringd, a guest on its disk, a report, and the end of all."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
GUEST = TOP / "tests" / "guest"
sys.path.insert(0, str(GUEST))

from lib import accel, debian, initramfs, server  # noqa: E402
from lib.errors import GuestError, Unavailable  # noqa: E402
from lib.vm import Vm  # noqa: E402

DISK_MIB = 1024
CPUS = 2
GUEST_SECONDS = 240
BENCH_SECONDS = 3


def say(what, text):
    print(f"  {what:<10} {text}", flush=True)


def title(text):
    print(f"\n{text}", flush=True)


def wrapped(argv):
    """A command line as a person would type it: an option and its value on a line."""
    words = [shlex.quote(str(word)) for word in argv]
    lines, line = [], words[0]
    for word in words[1:]:
        if word.startswith("-") and len(line) + len(word) > 60:
            lines.append(line)
            line = "  " + word
        else:
            line += " " + word
    return " \\\n  ".join([*lines, line])


def start_ssd(folder, image, keep):
    ssd = server.Ssd(folder, [image])
    ssd.outlive = keep
    ssd.start()
    say("nvring-ssd", f"an NVMe SSD in software, on {ssd.socket}")
    return ssd


def start_daemon(folder, image, ssd, keep):
    export = server.Export("vol0", image, [folder / "vol0.sock"], uri=ssd.uri(1) if ssd else None)
    daemon = server.Nvringd(folder, [export])
    daemon.outlive = keep
    began = time.monotonic()
    daemon.start()
    way = "through the NVMe driver" if ssd else "as a file"
    say("nvringd", f"listens after {(time.monotonic() - began) * 1000:.0f} ms, disk vol0: "
        f"{DISK_MIB} MiB in {image}, {way}")
    return daemon


def prepare_guest(folder, daemon, keep):
    kernel = debian.kernel()
    image = initramfs.shared(kernel)
    vm = Vm(folder, "guest", cpus=CPUS)
    vm.outlive = keep
    environment = {"SHELL_AFTERWARDS": 1} if keep else {}
    vm.boot_shared(kernel, image, (TOP / "tools/lib/quickstart-guest.sh").read_text(),
                   (GUEST / "lib" / "start.sh").read_text(), environment)
    vm.add_disk(daemon.exports[0].sockets[0], "vol0", num_queues=CPUS)
    return vm, kernel


def run_guest(vm, kernel):
    kind = accel.choose().upper()
    vm.start()
    up = vm.console.wait(r"GUEST-UP (.+)", GUEST_SECONDS)[1]
    say("guest", f"Linux {kernel.release} in QEMU with {kind}, up after {up} s")
    title("What the guest sees")
    seen = 0
    while True:
        found = vm.console.wait(r"TELL (.+?): (.+)|GUEST-RC (\d+)", GUEST_SECONDS, seen)
        seen = next(n for n in range(seen, len(vm.console.lines)) if vm.console.lines[n] == found.string) + 1
        if found[3] is not None:
            break
        say(found[1], found[2])
    if found[3] != "0":
        raise GuestError(f"the guest's script failed:\n{vm.console.tail()}")
    if kind == "TCG":
        say("", "(KVM does not work here, so the guest's CPU is emulated: its IOPS are no measure of nvring.)")


def bench(target):
    """One figure from the host: the same daemon and disk, without a guest in front."""
    argv = [os.environ["NVRING"], "bench", "--json", "--no-progress", "--rw", "randread", "--bs", "4k", "--depth", "32",
            "--time", f"{BENCH_SECONDS}s", str(target)]
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                         timeout=60 + BENCH_SECONDS)
    if run.returncode != 0:
        raise GuestError(f"nvring bench: exit {run.returncode}: {run.stderr.strip()}")
    result = json.loads(run.stdout)
    latency = result["read"]["latency_ns"]
    say("bench", f"{result['iops']} IOPS (4 KiB, random read, depth 32), "
        f"p50 {latency['p50'] / 1000:.1f} µs, p99 {latency['p99'] / 1000:.1f} µs")
    say("", f"nvring bench --depth 32 {target.name}")
    say("", "(Most of the new image is holes: this is nvring's own path, not what the storage below can do.)")


def report_by_hand(vm_line, daemon, ssd):
    """The same without this script; sockets and image in the present folder."""
    print("  truncate -s 1G disk.img")
    uri = "file:disk.img"
    if ssd:
        uri = "nvme+vfio-user:ssd.sock/1"
        print(f"  {wrapped([os.environ['NVRING_SSD'], '--socket', 'ssd.sock', '--ns', 'file=disk.img'])} &")
    print(f"  {wrapped([os.environ['NVRINGD'], '--disk', f'vol0={uri}', '--vhost-user-blk', 'vol0=vol0.sock'])} &")
    print("  " + vm_line.replace(str(daemon.exports[0].sockets[0]), "vol0.sock"))


def report_end(vm, daemon, ssd, kernel, keep):
    by_hand = Vm(vm.folder, "guest", cpus=CPUS).boot_shell(kernel, initramfs.shared(kernel))
    by_hand.add_disk(daemon.exports[0].sockets[0], "vol0", num_queues=CPUS)
    line = wrapped(by_hand.argv_by_hand())
    title("A guest by hand: a shell in it, with the disk as /dev/vda")
    if not keep:
        report_by_hand(line, daemon, ssd)
        return
    print("  " + line)
    title("All of them go on running")
    running = [vm, daemon, *([ssd] if ssd else [])]
    say("console", f"socat -,rawer,escape=0x1d UNIX-CONNECT:{vm.console_socket}   (Enter shows the prompt, Ctrl-] leaves)")
    say("control", f"{os.environ['NVRING']} -s {daemon.rpc_path} disk list")
    say("stop", f"{'; '.join(f'kill {each.process.pid}' for each in running)}; rm -r {vm.folder}")


def quickstart(folder, use_file, keep):
    image = folder / "disk.img"
    ssd = daemon = vm = None
    kept = False
    try:
        with open(image, "wb") as out:
            out.truncate(DISK_MIB << 20)
        ssd = None if use_file else start_ssd(folder, image, keep)
        daemon = start_daemon(folder, image, ssd, keep)
        vm, kernel = prepare_guest(folder, daemon, keep)
        run_guest(vm, kernel)
        if not keep:
            vm.finish(60)
            title("What the host sees, without a guest between")
            bench(daemon.exports[0].sockets[0])
            daemon.stop()
            if ssd:
                ssd.stop()
        report_end(vm, daemon, ssd, kernel, keep)
        kept = keep
    finally:
        if not kept:
            for running in (vm, daemon, ssd):
                if running:
                    getattr(running, "abandon", getattr(running, "stop", None))()
            shutil.rmtree(folder, ignore_errors=True)


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nvring-"))
    try:
        quickstart(folder, "--file" in sys.argv[1:], "--keep" in sys.argv[1:])
    except (GuestError, Unavailable) as error:
        print(f"\ntools/quickstart: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
