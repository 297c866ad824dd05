#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What a controller goes through under I/O: limits, sleep, resets from two sides, removal; its neighbour OTHER does not notice.
. /mnt/vfio-daemon.sh
has_both() { has_node "$ALONE" 1 && has_node "$OTHER" 1; }
await has_both
check "bind" "$NVRING" setup bind "$ALONE" "$OTHER"

# Too little memory to lock: said before anything is done
rc=0
setpriv --bounding-set=-ipc_lock prlimit --memlock=65536:65536 timeout 300 "$NVRINGD" --no-rpc --disk "a=nvme:$ALONE/1" \
	--vhost-user-blk a=/run/a.sock >/run/out 2>&1 || rc=$?
same "exit with 64 KiB to lock" $rc 1
cat /run/out
same "errors" "$(grep -c 'error:' /run/out)" 1
grep -q "KiB must be locked.*limit of locked memory is 64 KiB.*ulimit -l unlimited" /run/out || fail "not explained"
refuse "no such namespace" timeout 300 "$NVRINGD" --no-rpc --disk "a=nvme:$ALONE/7" --vhost-user-blk a=/run/a.sock
grep -q "there are 1, 2" /run/check.out || { cat /run/check.out; fail "the namespaces are not named"; }

serve() { daemon --disk "a=nvme:$ALONE/1?$1" --disk "c=nvme:$OTHER/1?$1" --vhost-user-blk a=/run/a.sock --vhost-user-blk c=/run/c.sock; }

# Without interrupts: the reactor looks while something is under way, and sleeps otherwise
serve irq=0
check "bench without interrupts" bench a --time 1s --size 8M
nvring reactor mode interrupt || fail "reactor mode"
check "bench without interrupts, reactors that sleep" bench a --time 1s --size 8M
if grep vfio-msix /proc/interrupts; then
	fail "there are interrupts"
fi
daemon_ends

# With them
serve "irq=1&timeout=5000"
nvring reactor mode interrupt || fail "reactor mode"
check "bench, reactors that sleep" bench a --time 1s --size 8M
first=$(interrupts "$ALONE")
[ "$first" -gt 0 ] || fail "no interrupts: $(grep -i vfio /proc/interrupts)"
nvring reactor mode adaptive || fail "reactor mode"
nvring -j reactor list >/mnt/before.json || fail "reactor list"
for _ in 1 2; do
	check "an I/O now and then" bench a --ios 8 --depth 1 --size 1M
	sleep 1
done
nvring -j reactor list >/mnt/after.json || fail "reactor list"
[ "$(interrupts "$ALONE")" -gt "$first" ] || fail "no more interrupts"

# Reset by ourselves, and by somebody else
foreign_resets() { [ "$(grep -c "reset: it is not ready any more" /mnt/nvringd.log)" -ge "$1" ]; }
load a --size 8M --verify-state /run/a.state >/run/bench.out 2>&1
bench=$!
await runs a
for round in 1 2; do
	check "reset" nvring nvme reset "$ALONE" --force --force-exported
	sleep 0.5
	echo 1 >"/sys/bus/pci/devices/$ALONE/reset" || fail "reset by sysfs"
	await foreign_resets $round
done
kill $bench
wait $bench || { cat /run/bench.out /mnt/nvringd.log; fail "I/O during resets"; }
check "all that was written" bench a --check --verify-state /run/a.state --size 8M

# The daemon is killed: the next one takes the controller over, and nothing is lost
load a --size 8M --reconnect 300 --verify-state /run/a.state >/run/bench.out 2>&1
bench=$!
await runs a
sleep 1
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
serve "irq=1&timeout=5000"
await runs a
kill $bench
wait $bench || { cat /run/bench.out /mnt/nvringd.log; fail "I/O while the daemon is killed"; }
check "all that was written" bench a --check --verify-state /run/a.state --size 8M

# Removal
load a --size 8M >/run/bench.out 2>&1
bench=$!
load c --size 8M >/run/bench-c.out 2>&1
other=$!
await runs a
await runs c
mark unplug
hear unplugged
await grep -q "I/O error" /run/bench.out
kill $bench $other
rc=0
wait $bench || rc=$?
same "exit of the bench on the disk that went" $rc 1
cat /run/bench.out
wait $other || { cat /run/bench-c.out; fail "the other disk"; }
check "the other disk afterwards" bench c --time 1s --size 8M
refuse "the disk that went" bench a --ios 8 --size 1M
grep -q "I/O error" /run/check.out || { cat /run/check.out; fail "no I/O errors"; }
check "status" nvring status
await test ! -e "/sys/bus/pci/devices/$ALONE"
daemon_ends
no_dma_faults
tail -n 5 /mnt/nvringd.log
