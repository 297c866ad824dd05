#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Verified writes all the while the daemon behind the application is killed and comes back, by the verifier and by fio.
disk=/dev/vda
await test -b $disk
features=$(cat /sys/block/vda/device/features)
same "packed ring" "${features:34:1}" $PACKED

mark "in use"
/run/verifier $disk 3600 16 4 /mnt/say-stop || fail "verifier"
mark "fio"
round() {
	fio --name=killed --filename=$disk --direct=1 --ioengine=libaio --iodepth=16 --rw=randrw --bs=4k --size=2M \
		--verify=crc32c --verify_backlog=32 --verify_fatal=1 --output=/run/fio
}
until [ -e /mnt/say-enough ]; do
	check "fio" round
done
! dmesg | grep -qE 'I/O error|blocked for more|is not a head' || fail "the kernel complains"
