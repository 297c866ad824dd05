#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A VDUSE disk grows under I/O, is taken away under I/O and comes again, and is gone on with only by who knows it.
. /mnt/vduse-daemon.sh
truncate -s 64M /run/vol0.img
daemon --disk vol0=file:/run/vol0.img
attach vol0
/run/verifier "$disk" 3600 4 4 /run/stop >/run/verifier.out 2>&1 &
verifier=$!
await goes_on 1
has_size() { [ "$(blockdev --getsize64 "$disk")" = "$1" ]; }
check "resize" nvring disk resize vol0 96M
await has_size $((96 << 20))
check "write at the new end" dd if=/dev/urandom of="$disk" bs=1M seek=95 count=1 oflag=direct status=none
touch /run/stop
wait $verifier || { tail -n 5 /run/verifier.out; fail "verifier"; }

for round in 1 2 3; do
	noise "$disk"
	check "take it away under I/O ($round)" nvring vduse detach vol0
	wait $noise && fail "fio did not notice"
	[ ! -e "$disk" ] || fail "$disk is still there"
	attach vol0 --queues $round
	check "it works again" verify "$disk" --size=4m
done

# settings that do not fit what is attached
kill -9 "$daemon"
wait "$daemon"
says 'was made with other settings' "$NVRINGD" --rpc $rpc --log-level error --disk vol0=file:/run/vol0.img --vduse vol0,queues=9
daemon --disk vol0=file:/run/vol0.img --vduse vol0,queues=3
check "with the right ones it goes on" verify "$disk" --size=4m
check detach nvring vduse detach vol0
daemon_ends

# nobody has attached it: a device left over is made anew, and nothing stays of it
daemon --disk vol0=file:/run/vol0.img --vduse vol0,queues=2
kill -9 "$daemon"
wait "$daemon"
same "left over" "$(ls /dev/vduse | xargs)" "control vol0"
daemon --disk vol0=file:/run/vol0.img --vduse vol0,queues=4
daemon_ends
same "nodes left" "$(ls /dev/vduse)" control
same "logs left" "$(ls /run/*.log 2>/dev/null)" ""

