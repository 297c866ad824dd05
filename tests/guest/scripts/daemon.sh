#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts that start nvringd in the guest. NVRINGD, NVRING: the programs; level: what nvringd logs.
rpc=/run/rpc.sock

# nvring WORD…: the CLI, which must not hang
nvring() { timeout 300 "$NVRING" -s $rpc "$@"; }
# listens SOCKET: it does, and is not just there
listens() { grep -q "00010000 .* $1\$" /proc/net/unix; }
# daemon OPTION…: starts nvringd, until all it serves is there
daemon() {
	"$NVRINGD" --rpc $rpc --log-level "$level" "$@" >>/mnt/nvringd.log 2>&1 &
	daemon=$!
	await has_begun
	kill -0 "$daemon" 2>/dev/null || { tail -n 3 /mnt/nvringd.log; fail "nvringd does not start"; }
}
has_begun() { ! kill -0 "$daemon" 2>/dev/null || nvring status; }
# daemon_ends: it does so on SIGTERM, and says 0
daemon_ends() {
	kill "$daemon"
	wait "$daemon" || { cat /mnt/nvringd.log; fail "nvringd: exit $?"; }
	echo "ok nvringd ended"
}
# ticks: how many lines of the verifier (its output in /run/verifier.out) count some I/O; the first after a start may count
# what was before
ticks() { grep -cE 'VERIFIER tick [0-9]+ ops [1-9]' /run/verifier.out; }
goes_on() { [ "$(ticks)" -ge "$1" ]; }
# says TEXT COMMAND…: the command must fail, and say so in one line
says() {
	local text=$1
	shift
	if "$@" >/run/says.out 2>/run/says.err; then
		fail "$*: succeeded"
	fi
	grep -qF -- "$text" /run/says.err || { cat /run/says.err; fail "$*: does not say: $text"; }
	[ "$(wc -l </run/says.err)" = 1 ] || { cat /run/says.err; fail "$*: not one line"; }
	echo "ok refused: $(cat /run/says.err)"
}
# written NODE: sectors so far
written() { awk '{ print $7 }' "/sys/block/${1#/dev/}/stat"; }
has_written() { [ "$(written "$1")" -gt "$2" ]; }
# goes_on_writing NODE: somebody does, from now on
goes_on_writing() { await has_written "$1" "$(written "$1")"; }
# noise NODE: writes to it under way, by process $noise, which fails when it is taken away
noise() {
	fio --name=noise --filename="$1" --ioengine=libaio --direct=1 --rw=randwrite --bs=4k --iodepth=64 --time_based \
		--runtime=300 --size=32m >/run/fio.out 2>&1 &
	noise=$!
	goes_on_writing "$1"
}
# verify NODE OPTION…: writes and reads, and what is read is what was written
verify() {
	local node=$1
	shift
	timeout 300 fio --name=verify --filename="$node" --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
		--rw=randrw --bsrange=4k-64k --iodepth=32 "$@"
}
