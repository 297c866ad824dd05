#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs in the full guest, in the host's root: the frame round the test's script, and words for it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/run HOME=/run LC_ALL=C
cd /run || exit 1
. /mnt/environment.sh
[ ! -e /mnt/verifier ] || cp /mnt/verifier /run/

# mark WORDS…: a line the host can wait for
mark() { echo "MARK $*"; }
# fail WORDS…: says what is wrong and ends the script
fail() { echo "FAIL $*"; exit 1; }
# check WHAT COMMAND…: the command must succeed; its output is shown if it does not
check() {
	local what=$1 rc=0
	shift
	"$@" >/run/check.out 2>&1 || rc=$?
	if [ $rc -ne 0 ]; then
		tail -n 20 /run/check.out
		fail "$what: exit $rc"
	fi
	echo "ok $what"
}
# refuse WHAT COMMAND…: the command must fail
refuse() {
	local what=$1
	shift
	if "$@" >/run/check.out 2>&1; then
		fail "$what: succeeded"
	fi
	echo "ok $what"
}
# same WHAT GOT WANTED
same() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; echo "ok $1 = $2"; }
# await COMMAND…: until the command succeeds. The limit ends what hangs, and comes before the host's (PATIENCE), which
# could not say what it was
await() {
	local end=$((SECONDS + 400))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "waited in vain for: $*"
		sleep 0.1
	done
}
# hear NAME: until the host has said NAME (a file in the share)
hear() { await test -e "/mnt/say-$1"; }
# modules NAME…: loads them and what they need from the kernel's package
modules() { check "modules $*" modprobe -d "$KERNEL_TREE" -a "$@"; }
# pci_driver BDF DRIVER: the PCI function is DRIVER's from now on (vfio-pci, nvme), or nobody's (-)
pci_driver() {
	local function=/sys/bus/pci/devices/$1
	[ ! -e "$function/driver" ] || echo "$1" >"$function/driver/unbind"
	[ "$2" != - ] || return 0
	echo "$2" >"$function/driver_override"
	echo "$1" >/sys/bus/pci/drivers_probe
	same "driver of $1" "$(basename "$(readlink "$function/driver")")" "$2"
}

read -r up _ </proc/uptime
echo "GUEST-UP $up"
(. /mnt/script.sh)
echo "GUEST-RC $?"
read -r up _ </proc/uptime
echo "GUEST-END $up"
if [ -n "$SHELL_AFTERWARDS" ]; then
	/run/busybox setsid -c /bin/bash -i </dev/ttyS0 >/dev/ttyS0 2>&1
fi
exec /run/busybox poweroff -f
