#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The disk grows while it is in use, by itself and without a rescan. SIZES: what it must become, in bytes.
disk=/dev/vda
await test -b $disk
/run/verifier $disk 3600 2 8 /mnt/say-stop >/run/verifier.out 2>&1 &
verifier=$!
await grep -q "ops [1-9]" /run/verifier.out
has_size() { [ "$(blockdev --getsize64 $disk)" = "$1" ]; }
for size in $SIZES; do
	mark "want $size"
	await has_size "$size"
	head -c 1M /dev/urandom >/run/end
	check "write at the new end" dd if=/run/end of=$disk bs=1M seek=$((size / 1048576 - 1)) oflag=direct status=none
	check "nothing behind it" sh -c "! dd if=/run/end of=$disk bs=1M seek=$((size / 1048576)) oflag=direct"
	check "read at the new end" cmp -n 1M -i "$((size - 1048576)):0" $disk /run/end
done
touch /mnt/say-stop
wait $verifier || { tail -n 5 /run/verifier.out; fail "verifier"; }
tail -n 1 /run/verifier.out
