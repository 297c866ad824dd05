#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Two disks at once: data stays on its own disk. SIZES: of vda and vdb, in bytes.
set -- $SIZES
await test -b /dev/vda -a -b /dev/vdb
same "size of vda" "$(blockdev --getsize64 /dev/vda)" "$1"
same "size of vdb" "$(blockdev --getsize64 /dev/vdb)" "$2"
for disk in vda vdb; do
	/run/verifier /dev/$disk 6 4 8 >/run/$disk.out 2>&1 &
	eval "$disk=$!"
done
for disk in vda vdb; do
	wait "${!disk}" || { tail -n 5 /run/$disk.out; fail "verifier on $disk"; }
	echo "ok $disk: $(tail -n 1 /run/$disk.out)"
done
