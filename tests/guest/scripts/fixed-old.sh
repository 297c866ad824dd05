#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Registered buffers on the kernel of this guest, in which rings cannot share them: the unit tests, on a file system that takes
# direct I/O. URING_FIXED: the program
disk=/dev/vda
await test -b $disk
check "mkfs.ext4" mkfs.ext4 -q -F $disk
mkdir /run/m
check "mount" mount $disk /run/m
cd /run/m || fail "cd"
unit() { timeout 400 "$URING_FIXED" >/run/unit.out 2>&1; }
unit || { tail -n 40 /run/unit.out; fail "unit tests"; }
# one that skips has printed why
if grep "SKIPPED\|going on without" /run/unit.out; then
	fail "no registered buffers"
fi
same "failed" "$(grep -c FAILED /run/unit.out)" 0
same "groups passed" "$(grep -c PASSED /run/unit.out)" 3
