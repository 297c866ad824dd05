#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts that start nvringd in the guest. NVRINGD, NVRING: the programs; level: what nvringd logs.
rpc=/run/rpc.sock

# nvring WORD…: the CLI, which must not hang
nvring() { timeout 120 "$NVRING" -s $rpc "$@"; }
# daemon OPTION…: starts nvringd
daemon() {
	"$NVRINGD" --rpc $rpc --log-level "$level" "$@" >>/mnt/nvringd.log 2>&1 &
	daemon=$!
	await 60 nvring status
}
# daemon_ends: it does so on SIGTERM, and says 0
daemon_ends() {
	kill "$daemon"
	wait "$daemon" || { cat /mnt/nvringd.log; fail "nvringd: exit $?"; }
	echo "ok nvringd ended"
}
