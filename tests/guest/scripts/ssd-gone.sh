#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Verified I/O on two disks; vda goes away under it and may come back, vdb does not notice.
await test -b /dev/vda -a -b /dev/vdb
/run/verifier /dev/vda 3600 4 8 >/run/vda.out 2>&1 &
vda=$!
/run/verifier /dev/vdb 3600 4 8 /mnt/say-stop >/run/vdb.out 2>&1 &
vdb=$!
await grep -q "ops [1-9]" /run/vda.out
mark "in use"
wait $vda && fail "no error: $(tail -n 3 /run/vda.out)"
grep BAD /run/vda.out
if grep "other data" /run/vda.out; then
	fail "wrong data"
fi
refuse "read" dd if=/dev/vda of=/run/x bs=4k count=1 iflag=direct status=none
mark "gone"
hear stop
wait $vdb || { tail -n 5 /run/vdb.out; fail "the other disk"; }
mark "verified"
heard() { [ -e /mnt/say-back ] || [ -e /mnt/say-end ]; }
await heard
if [ -e /mnt/say-back ]; then
	works() { dd if=/dev/vda of=/run/x bs=4k count=1 iflag=direct; }
	await works
	check "verified" /run/verifier /dev/vda 2 4 8
	mark "works again"
fi
hear end
