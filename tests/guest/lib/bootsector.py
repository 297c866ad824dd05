# SPDX-License-Identifier: BSD-3-Clause
"""The disk of the 512-byte guest: lays it out, says whether it is right afterwards."""

import struct

from . import compiled

SECTOR = 512
SUM_AT = 504
FIRST_LBA, SECTORS, ROUNDS, OWN_LBA = 64, 64, 32, 4096
IMAGE_MIB = 8


def prepare(image):
    """Writes the sector and the pattern it reads to the file IMAGE."""
    words = [(n * 40503 + 7) & 0xffff for n in range(SECTORS * ROUNDS * SECTOR // 2)]
    code = bytearray(compiled.boot_sector().read_bytes())
    assert len(code) == SECTOR, len(code)
    struct.pack_into("<I", code, SUM_AT, sum(words) & 0xffffffff)
    with open(image, "r+b") as disk:
        disk.write(code)
        disk.seek(FIRST_LBA * SECTOR)
        disk.write(struct.pack(f"<{len(words)}H", *words))


def written(image):
    """Whether the guest's own pattern is on IMAGE, and nothing right behind it."""
    count = SECTORS * SECTOR // 2
    with open(image, "rb") as disk:
        disk.seek(OWN_LBA * SECTOR)
        got = disk.read(SECTORS * SECTOR)
        behind = disk.read(SECTORS * SECTOR)
    return got == struct.pack(f"<{count}H", *((0x1234 + 7 * n) & 0xffff for n in range(count))) and not any(behind)
