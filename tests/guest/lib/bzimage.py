# SPDX-License-Identifier: BSD-3-Clause
"""Takes the ELF kernel out of a bzImage: QEMU starts it through PVH, two or three seconds sooner."""

import gzip
import lzma
import struct
import subprocess

from .errors import Unavailable

# Linux's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"
SETUP_SECTS = 0x1f1
MAGIC = 0x202
PAYLOAD_OFFSET = 0x248
SIZE_BYTES = 4  # the payload ends with its unpacked size


def _unzstd(data):
    try:
        return subprocess.run(["zstd", "-dc"], input=data, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout
    except FileNotFoundError as error:
        raise Unavailable("zstd is not installed") from error


UNPACK = {
    b"\x28\xb5\x2f\xfd": _unzstd,
    b"\xfd7zX": lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data),
    b"\x1f\x8b\x08\x00": gzip.decompress,
}


def payload(image):
    """The ELF file inside the bzImage IMAGE."""
    if image[MAGIC:MAGIC + 4] != b"HdrS":
        raise ValueError("not a bzImage")
    start = ((image[SETUP_SECTS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    packed = image[start + offset:start + offset + length - SIZE_BYTES]
    unpack = UNPACK.get(packed[:4])
    if unpack is None:
        raise Unavailable(f"kernel packed in an unknown way ({packed[:4].hex()})")
    elf = unpack(packed)
    if elf[:4] != b"\x7fELF":
        raise ValueError("the payload of the bzImage is no ELF file")
    return elf
