#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Direct I/O of many sizes, verified. The host looks at its counters.
disk=/dev/vda
await test -b $disk
mix() {
	fio --name=mix --filename=$disk --ioengine=libaio --direct=1 --rw=randrw --bsrange="$1" --size="$2" --iodepth=16 \
		--verify=crc32c --verify_fatal=1 --minimal
}
check "fio, 512 bytes to 64 KiB" mix 512-64k 8M
check "fio, 4 KiB to 1 MiB" mix 4k-1m 48M
