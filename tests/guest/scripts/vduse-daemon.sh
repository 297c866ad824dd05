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
