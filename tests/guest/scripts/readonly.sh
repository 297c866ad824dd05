#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A read-only disk: it can be read, nothing can be written.
disk=/dev/vda
await test -b $disk
same "ro" "$(cat /sys/block/vda/ro)" 1
same "sum" "$(sha256sum <$disk)" "$SUM  -"
refuse "write" dd if=/dev/zero of=$disk bs=4k count=1 oflag=direct
refuse "make it writable and write" sh -c "blockdev --setrw $disk && dd if=/dev/zero of=$disk bs=4k count=1 oflag=direct"
refuse "discard" blkdiscard -f -o 0 -l 1M $disk
refuse "write zeroes" blkdiscard -f -z -o 0 -l 1M $disk
echo 3 >/proc/sys/vm/drop_caches
same "sum afterwards" "$(sha256sum <$disk)" "$SUM  -"
