#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Verified writes all the while nvringd is killed and comes back, or ends in good order and comes back, with the disk
# still there. OPTIONS: of the device; MEMLOCK: the limit, in KiB; RESULT: how nvringd ends, by the signals in ENDS.
. /mnt/vduse-daemon.sh
ulimit -l "$MEMLOCK"
truncate -s 96M /run/vol0.img
daemon --disk vol0="$BACKEND" --vduse "vol0,queues=4$OPTIONS"
attach vol0
/run/verifier "$disk" 3600 8 4 /run/stop >/run/verifier.out 2>&1 &
verifier=$!
await goes_on 2
round=0
for end in $ENDS; do
	kill -"$end" "$daemon"
	wait "$daemon"
	echo "ok nvringd ended by $end"
	sleep "0.$((round % 3 * 4))"
	seen=$(ticks)
	daemon --disk vol0="$BACKEND" --vduse "vol0,queues=4$OPTIONS"
	await goes_on "$((seen + 3))"
	round=$((round + 1))
done
touch /run/stop
wait $verifier || { tail -n 20 /run/verifier.out; fail "verifier"; }
tail -n 1 /run/verifier.out
same "whose memory" "$(device umem)" "$UMEM"
same "resumed" "$(grep -c 'goes on with a driver' /mnt/nvringd.log)" "$round"
! dmesg | grep -qE 'I/O error|blocked for more' || fail "the kernel complains"
check detach nvring vduse detach vol0
same "nodes left" "$(ls /dev/vduse)" control
daemon_ends
