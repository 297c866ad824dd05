#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Memory comes and goes under verified I/O. TOTAL_MIB: what the host will plug in the end. BUFFERS_MIB: how much of it
# to fill with buffers in flight afterwards, so that some of them span two memory regions.
disk=/dev/vda
await test -b $disk
total_mib() { echo $(($(awk "/MemTotal/ {print \$2}" /proc/meminfo) / 1024)); }
/run/verifier $disk 3600 4 8 /mnt/say-stop &
verifier=$!
before=$(total_mib)
mark "in use"
grown() { [ $(($(total_mib) - before)) -ge $((TOTAL_MIB * 9 / 10)) ]; }
await grown
mark "all memory is here"
if [ "$BUFFERS_MIB" -gt 0 ]; then
	# page cache on the old memory drives the buffers to the new
	big() {
		fio --name=big --filename=$disk --offset=64M --size="${BUFFERS_MIB}M" --rw=write --bs=1M --iodepth="$BUFFERS_MIB" \
			--ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --minimal
	}
	check "buffers of 1 MiB, $BUFFERS_MIB in flight" big
fi
mark "memory may go"
hear stop
wait $verifier || fail "verifier"
