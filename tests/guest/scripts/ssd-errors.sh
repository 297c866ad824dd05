#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk with a block (of 4096 bytes) at 48 MiB that cannot be read, and one behind it that cannot be written; then one that
# has nothing but errors.
disk=/dev/vda
await test -b $disk
bad=12288
get() { dd if=$disk of=/run/x bs=4k count=1 skip="$1" iflag=direct status=none; }
put() { dd if=/dev/zero of=$disk bs=4k count=1 seek="$1" oflag=direct status=none; }
refuse "read of a bad block" get $bad
grep -q "Input/output error" /run/check.out || fail "another error: $(cat /run/check.out)"
check "the block behind it" get $((bad + 1))
refuse "write to a bad block" put $((bad + 1))
check "the block behind it" put $((bad + 2))
/run/verifier $disk 3600 4 8 >/run/verifier.out 2>&1 &
verifier=$!
mark "in use"
wait $verifier && fail "no error: $(tail -n 3 /run/verifier.out)"
grep BAD /run/verifier.out
if grep "other data" /run/verifier.out; then
	fail "wrong data"
fi
refuse "read" get 9
refuse "write" put 9
