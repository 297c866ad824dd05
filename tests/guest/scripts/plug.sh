#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Disks come and go while the guest runs. ROUNDS: how often.
for round in $(seq "$ROUNDS"); do
	mark "plug $round"
	await test -b /dev/vda
	mkfs.ext4 -q -F /dev/vda || fail "mkfs"
	mkdir -p /run/m
	check "mount" mount /dev/vda /run/m
	head -c 3M /dev/urandom >/run/m/file
	sum=$(sha256sum </run/m/file)
	check "unmount" umount /run/m
	check "mount again" mount /dev/vda /run/m
	same "checksum" "$(sha256sum </run/m/file)" "$sum"
	check "unmount" umount /run/m
	mark "unplug $round"
	await test ! -b /dev/vda
done
hear end
