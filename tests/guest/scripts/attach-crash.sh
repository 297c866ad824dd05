#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Verified writes all the while nvringd is killed and comes back, with the disk still there, and so it is with a file
# system. KIND: ublk or nbd; BACKEND: the disk; KILLS: how often.
. /mnt/attach-daemon.sh
modules "$MODULE"
truncate -s 96M /run/vol0.img
daemon --disk vol0="$BACKEND" "--$KIND" vol0
disk=$(echo /dev/"$NODE"0)
/run/verifier "$disk" 3600 8 4 /run/stop >/run/verifier.out 2>&1 &
verifier=$!
await goes_on 2
for round in $(seq "$KILLS"); do
	daemon_dies
	sleep "0.$((round % 3 * 4))"
	seen=$(ticks)
	daemon --disk vol0="$BACKEND" "--$KIND" vol0
	await goes_on "$((seen + 3))"
done
touch /run/stop
wait $verifier || { tail -n 20 /run/verifier.out; fail "verifier"; }
tail -n 1 /run/verifier.out
nvring rpc attach_get_disks | grep -q '"adopted": *true' || fail "the device was not taken over"
same "nodes" "$(ls /dev | grep -c "^${NODE}[0-9]*$")" "$NODES"
quiet
check "mkfs" mkfs.ext4 -q "$disk"
mkdir -p /run/fs
check "mount" mount "$disk" /run/fs
check "a file" dd if=/dev/urandom of=/run/fs/file bs=1M count=8 status=none
sum=$(md5sum </run/fs/file)
# in good order, and mounted: it stays
daemon_ends
daemon --disk vol0="$BACKEND" "--$KIND" vol0
check "sync" timeout 300 sync -f /run/fs/file
echo 3 >/proc/sys/vm/drop_caches
same "the file" "$(timeout 300 md5sum </run/fs/file)" "$sum"
check "umount" timeout 300 umount /run/fs
check "fsck" fsck.ext4 -fn "$disk"
daemon_ends
same "records left" "$(ls /run/nvring/attach)" ""
