#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Sequential I/O in small requests, verified: what a disk that merges is for.
disk=/dev/vda
await test -b $disk
fio_verify() {
	fio --name=seq --filename=$disk --ioengine=libaio --direct=1 --rw=write --bs=4k --size=16M --iodepth=32 \
		--verify=crc32c --verify_fatal=1 "$@" --minimal
}
check "fio, requests one by one" fio_verify
check "fio, submitted in batches" fio_verify --iodepth_batch_submit=8
check "fio, two jobs" fio_verify --numjobs=2 --offset_increment=32M
