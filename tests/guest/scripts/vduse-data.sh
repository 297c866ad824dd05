#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk of nvringd as the kernel's own: verified I/O, a file system, discard. BACKEND: its URI; OPTIONS, LAYOUT: of the
# device and what becomes of its rings; MEMLOCK: the limit, in KiB; UMEM: true where the kernel takes our memory then.
. /mnt/vduse-daemon.sh
ulimit -l "$MEMLOCK"
case $BACKEND in
file:*) truncate -s 96M "${BACKEND#file:}" ;;
nvme+vfio-user:*)
	truncate -s 96M /run/ssd.img
	"$NVRING_SSD" --socket /run/ssd.sock --ns /run/ssd.img >>/mnt/ssd.log 2>&1 &
	await listens /run/ssd.sock
	;;
esac
daemon --disk "vol0=$BACKEND"
# shellcheck disable=SC2086 # words
attach vol0 --queues 4 --serial nvring-1 $OPTIONS
same "size" "$(blockdev --getsize64 "$disk")" $((96 << 20))
same "serial" "$(cat "/sys/block/${disk#/dev/}/serial")" nvring-1
same "queues" "$(ls "/sys/block/${disk#/dev/}/mq" | wc -l)" 4
same "cache" "$(cat "/sys/block/${disk#/dev/}/queue/write_cache")" "write back"
same "layout" "$(device layout)" "$LAYOUT"
check "verify on 4 CPUs" verify "$disk" --numjobs=4 --size=4m --offset_increment=16m --cpus_allowed=0-3 \
	--cpus_allowed_policy=split
same "whose memory" "$(device umem)" "$UMEM"
for i in 0 1 2 3; do
	n=$(nvring rpc vduse_get_devices | grep '"requests"' | sed -n "$((i + 1))p" | tr -dc 0-9)
	[ "${n:-0}" -gt 0 ] || fail "queue $i had nothing to do"
done
check mkfs mkfs.ext4 -q -F "$disk"
mkdir -p /run/fs
check mount mount -t ext4 "$disk" /run/fs
check "verify files" verify /run/fs/file --size=8m
refuse "detach what is mounted" nvring vduse detach vol0
check trim fstrim /run/fs
check umount umount /run/fs
check fsck e2fsck -fn "$disk"
check discard blkdiscard -f -o 32M -l 16M "$disk"
check "discarded is zero" cmp -n 16M -i 32M:0 "$disk" /dev/zero
nvring status | grep -q "^vol0 .*$disk .*RUNNING" || fail "status does not name $disk"
nvring vduse list
check detach nvring vduse detach vol0
same "nodes left" "$(ls /dev/vduse)" control
same "logs left" "$(ls /run/*.log 2>/dev/null)" ""
daemon_ends
! dmesg | grep -qE 'I/O error|blocked for more' || fail "the kernel complains"
