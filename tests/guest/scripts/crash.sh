#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Verified writes all the while the daemon is killed and comes back; the verifier sees lost, old and torn writes.
disk=/dev/vda
await test -b $disk
mark "in use"
/run/verifier $disk 3600 16 4 /mnt/say-stop || fail "verifier"
! dmesg | grep -qE 'I/O error|blocked for more' || fail "the kernel complains"
check "discard still works" blkdiscard -f -o 128M -l 1M $disk
