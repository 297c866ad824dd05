#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The machine is reset in the middle of I/O; the second boot finds the disk working and what was flushed in place.
disk=/dev/vda
await test -b $disk
if [ ! -e /mnt/random ]; then
	head -c 4M /dev/urandom >/mnt/random
	check "write" dd if=/mnt/random of=$disk bs=1M conv=fsync oflag=direct status=none
	dd if=$disk of=/dev/null bs=64k skip=64 iflag=direct status=none
	mark "in use"
	while :; do
		dd if=/dev/zero of=$disk bs=64k seek=128 count=512 oflag=direct status=none
	done
fi
check "written before the reset" cmp -n 4M /mnt/random $disk
check "verified after the reset" /run/verifier $disk 3 4 8
