#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts in which nvringd serves the kernel's vDPA bus. NVRINGD, NVRING: the programs; VDPA_DRIVER: who
# takes the devices, instead of virtio_vdpa.
modules vduse "${VDPA_DRIVER:-virtio_vdpa}"
level=debug
. /mnt/daemon.sh

# attach DISK OPTION…: $disk is the block device that virtio-vdpa makes of it
attach() {
	disk=$(nvring vduse attach "$@" 2>/run/attach.err) && [ -b "$disk" ] || { cat /run/attach.err; fail "attach $*"; }
	echo "ok attach $* = $disk"
}
# device KEY: its value in the daemon's account of vol0, the first one found
device() { nvring rpc vduse_get_devices '{"name": "vol0"}' | sed -nE "s/^ *\"$1\": \"?([^\",]*)\"?,?$/\1/p" | head -n 1; }
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
# verify NODE OPTION…: writes and reads, and what is read is what was written
verify() {
	local node=$1
	shift
	timeout 300 fio --name=verify --filename="$node" --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 \
		--rw=randrw --bsrange=4k-64k --iodepth=32 "$@"
}
