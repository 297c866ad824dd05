# SPDX-License-Identifier: BSD-3-Clause
"""One QEMU with a guest in it: builds the command line, starts it, talks to it, ends it."""

import mmap
import os
import pathlib
import shlex
import shutil
import subprocess
import time

from . import accel, process
from .console import Console
from .errors import GuestError, Unavailable
from .process import PATIENCE
from .qmp import Qmp, connect

QEMU = "qemu-system-x86_64"
# nohz=off: without it some two-CPU guests die early in boot under TCG; nowatchdog: it judges the host
APPEND = ("console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable no_timer_check nohz=off audit=0 "
          "memhp_default_state=online cryptomgr.notests rcupdate.rcu_expedited=1 nowatchdog")
# TCG: Debian's programs need no more, and without AVX there is far less to save when tasks change
CPU = {"tcg": "Nehalem,+rdrand"}
CPU_ELSEWHERE = "max,la57=off"
MEMORY_MIB = 512
SECURITY = "security_model=none"
STATE_SECONDS = 10  # that QEMU has to tell it


def _properties(properties):
    return [f"{key.replace('_', '-')}={value}" for key, value in properties.items()]


class Vm:
    """Prepared by the keyword arguments and `add…`, run by `start`, ended by `finish` or `stop`.

    With `outlive` set it goes on when this process ends, its console on the socket `console_socket`.
    """

    def __init__(self, folder, name="vm", *, cpus=1, memory_mib=MEMORY_MIB, memory_extra="", echo=None):
        self.folder = folder
        self.name = name
        self.share = folder / f"{name}.share"
        self.log = folder / f"{name}.log"
        self.outlive = False
        self.console_socket = folder / f"{name}.console"
        self.console = None
        self.process = None
        self._qmp = None
        self._echo = echo
        self._restart_on_reset = False
        self._boot = []
        self._share_argv = []
        self._cpus = cpus
        self._memory = (f"{memory_mib}M", memory_extra)
        self._more = []
        self._iommu = []
        self._links = []

    def make_migratable(self):
        """Memory of an odd size, 8 KiB more: QEMU before 9.0 loses writes of an emulated CPU otherwise (docs/TESTING.md)."""
        size, extra = self._memory
        self._memory = (f"{int(size.removesuffix('M')) * 1024 + 8}K", extra)
        return self

    def add_iommu(self, bits):
        """A VT-d IOMMU of BITS bits (39 or 48). The guest's kernel needs "intel_iommu=on"."""
        self._iommu = ["-device", f"intel-iommu,intremap=on,caching-mode=off,aw-bits={bits}"]
        return self

    def add_nvme(self, name, *namespaces, **properties):
        """An emulated NVMe SSD NAME with serial number NAME; PROPERTIES as of QEMU's device, with _ for -.

        NAMESPACES are images, or pairs of an image and a block size. It can be unplugged when it sits on the bus
        of an `add_slot`, and has its place in the guest by `addr` otherwise.
        """
        self.add("-device", ",".join([f"nvme,id={name},serial={name}", *_properties(properties)]))
        for number, entry in enumerate(namespaces, 1):
            image, block = entry if isinstance(entry, tuple) else (entry, 512)
            drive = f"{name}-{number}"
            self.add("-drive", f"file={image},if=none,id={drive},format=raw",
                     "-device", f"nvme-ns,id={drive}-ns,drive={drive},bus={name},nsid={number},"
                                f"logical_block_size={block},physical_block_size={block}")
        return self

    def add_slot(self, name, number):
        """A PCI Express slot for `bus=NAME`; what is in slot NUMBER (from 1) can be unplugged."""
        return self.add("-device", f"pcie-root-port,id={name},slot={number},chassis={number},addr={0x18 + number:#x}")

    def add(self, *argv):
        self._more += map(str, argv)
        return self

    def add_disk(self, socket, name="d0", *, link="reconnect=1", **properties):
        """A vhost-user-blk disk behind SOCKET; PROPERTIES as of QEMU's device, with _ for -.

        With LINK "server=on" QEMU listens, and waits for who serves the disk.
        """
        device = ",".join([f"vhost-user-blk-pci,id={name},chardev=c-{name}",
                           *_properties(properties)])
        self._links.append(f"c-{name}")
        return self.add("-chardev", f"socket,id=c-{name},path={socket},{link}", "-device", device)

    def wait_links(self, connected, timeout=PATIENCE):
        """Waits until QEMU has its connections to all disks of `add_disk`, and has set them up; or has lost them all.

        QEMU answers from the thread that sets a connection up: there is no half of it to be seen.
        """
        deadline = time.monotonic() + timeout
        while True:
            seen = {entry["label"]: not entry["filename"].startswith("disconnected:")
                    for entry in self.qmp("query-chardev") if entry["label"] in self._links}
            if all(up == connected for up in seen.values()):
                return
            if time.monotonic() > deadline:
                raise GuestError(f"{self.name}: after {timeout} s its disks are not all "
                                 f"{'connected' if connected else 'disconnected'}: {seen}")
            time.sleep(0.02)

    def boot_shared(self, kernel, initramfs, script, guest_lib, environment=None, append=""):
        """Boots the full guest; the text SCRIPT runs in it, with variables from ENVIRONMENT."""
        self.share.mkdir(exist_ok=True)
        variables = {"KERNEL_TREE": kernel.tree, **(environment or {})}
        (self.share / "environment.sh").write_text(
            "".join(f"export {key}={shlex.quote(str(value))}\n" for key, value in variables.items()))
        (self.share / "start.sh").write_text(guest_lib)
        (self.share / "script.sh").write_text(script)
        self._share_argv = ["-fsdev", f"local,id=hout,path={self.share},{SECURITY}",
                            "-device", "virtio-9p-pci,fsdev=hout,mount_tag=hout"]
        return self.boot_shell(kernel, initramfs, append)

    def boot_shell(self, kernel, initramfs, append=""):
        """Boots the full guest; without a share there is a shell on its console."""
        self._boot = ["-kernel", kernel.vmlinux, "-initrd", initramfs, "-append", f"{APPEND} {append}".strip(),
                      "-fsdev", f"local,id=hroot,path=/,{SECURITY},readonly=on,multidevs=remap",
                      "-device", "virtio-9p-pci,fsdev=hroot,mount_tag=hroot"]
        return self

    def boot_mini(self, kernel, initramfs, command):
        """Boots the guest without shares; it runs COMMAND."""
        words = command.replace(" ", "~")
        self._boot = ["-kernel", kernel.vmlinux, "-initrd", initramfs, "-append", f"{APPEND} do={words}"]
        return self

    def survive_reset(self):
        """A reset restarts the guest instead of ending QEMU."""
        self._restart_on_reset = True
        return self

    def _machine_argv(self):
        size, extra = self._memory
        accelerator = accel.choose()
        # interrupt remapping wants QEMU's own IOAPIC; the IOMMU comes before the devices it is for
        split = ",kernel-irqchip=split" if self._iommu and accelerator == "kvm" else ""
        return [QEMU, "-nodefaults", "-no-user-config", "-display", "none",
                *([] if self._restart_on_reset else ["-no-reboot"]),
                "-M", f"q35,memory-backend=mem,accel={accelerator}{split}", "-cpu", CPU.get(accelerator, CPU_ELSEWHERE),
                "-smp", str(self._cpus), "-m", f"{size}{extra}",
                "-object", f"memory-backend-memfd,id=mem,size={size},share=on", *self._iommu]

    def argv(self):
        """The command line."""
        serial = f"unix:{self.console_socket},server=on,wait=on" if self.outlive else "stdio"
        return [*self._machine_argv(), "-serial", serial,
                "-qmp", f"unix:{self.folder}/{self.name}.qmp,server=on,wait=off",
                *map(str, self._boot), *self._share_argv, *self._more]

    def argv_by_hand(self):
        """The command line for a person: the console on the terminal, nothing that only the harness needs."""
        return [*self._machine_argv(), "-serial", "mon:stdio", *map(str, self._boot), *self._more]

    def start(self):
        if not shutil.which(QEMU):
            raise Unavailable(f"{QEMU} is not installed")
        if self.outlive:
            with open(self.log.with_suffix(".qemu.log"), "wb") as log:
                self.process = process.spawn(self.argv(), True, stdout=log, stderr=subprocess.STDOUT)
            stream = connect(self.console_socket, time.monotonic() + PATIENCE).makefile("rb")
        else:
            self.process = process.spawn(self.argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
            stream = self.process.stdout
        self.console = Console(stream, self.log, self._echo)
        return self

    def memory(self):
        """The guest's memory, for reading, as the process of a running QEMU maps it."""
        for link in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            if "memfd:memory-backend" in os.readlink(link):
                with open(link, "rb") as file:
                    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        raise GuestError(f"{self.name}: its memory is not among the files of QEMU")

    def _connected(self, patience):
        """The one connection that QEMU takes; an answer may take PATIENCE seconds."""
        if self._qmp is None:
            self._qmp = Qmp(self.folder / f"{self.name}.qmp", patience)
        self._qmp.limit(patience)
        return self._qmp

    @property
    def qmp(self):
        return self._connected(PATIENCE)

    def state(self):
        """Where its CPUs are, for those who look why a test failed."""
        if self.process is None or self.process.poll() is not None:
            return "QEMU does not run"
        try:
            registers = self._connected(STATE_SECONDS)("human-monitor-command", {"command-line": "info registers -a"})
        except (GuestError, OSError, ValueError) as error:
            return f"QEMU does not answer: {error}"
        return "\n".join(line for line in registers.splitlines() if "RIP=" in line)

    def say(self, name):
        """The guest's `hear NAME` goes on."""
        (self.share / f"say-{name}").touch()

    def type_line(self, line):
        """Types LINE on the guest's serial console."""
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def wait_mark(self, name, timeout=PATIENCE):
        """Waits until the guest's script has said `mark NAME`."""
        found = self.console.wait(rf"MARK {name}\b|GUEST-RC \d+", timeout)
        if found[0].startswith("GUEST-RC"):
            raise GuestError(f"the guest's script ended before MARK {name}\n{self.console.tail()}")

    def finish(self, timeout=3 * PATIENCE, io_errors=False):
        """Waits for the guest to end by itself; its script must have returned 0, its kernel have seen no errors.

        It may have all of its script before it. With IO_ERRORS set those of disks are expected.
        """
        self.console.wait(r"GUEST-RC \d+", timeout)
        process.wait(self.process, "QEMU")
        self.console.join(10)
        if self.console.result() != 0:
            raise GuestError(f"guest script: exit {self.console.result()}\n{self.console.tail()}")
        if self.console.disaster(io_errors):
            raise GuestError(f"guest kernel: {self.console.disaster(io_errors)}\n{self.console.tail()}")

    def stop(self):
        """Ends QEMU whatever it does; fine in any state."""
        if self._qmp:
            self._qmp.close()
            self._qmp = None
        if self.process:
            process.end(self.process)
            self.console.join(10)
            for stream in (self.process.stdin, self.process.stdout):
                if stream:
                    stream.close()
