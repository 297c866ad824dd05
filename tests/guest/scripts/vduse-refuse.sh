#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Everything about VDUSE devices that must be refused is, in one line that says why, and nothing half done stays.
. /mnt/vduse-daemon.sh
daemon --disk vol0=ram:32M --disk vol1=ram:32M --disk-ro vol2=ram:32M
second() { timeout 300 "$NVRINGD" --no-rpc --log-level error --disk "d0=ram:32M" "$@"; }


says 'no disk named "vol9"' nvring vduse attach vol9
says 'no disk named "vol9"' second --vduse vol9
says 'no VDUSE device named "vol9"' nvring vduse detach vol9
says '1 to 256' nvring rpc vduse_create_blk_device '{"name": "x", "dev_name": "vol1", "queues": 0}'
says "/dev/vduse/control is the kernel's own" nvring vduse attach vol1 --name control
says 'a name consists of' nvring vduse attach vol1 --name ../vol1

attach vol0
says 'is attached already' nvring vduse attach vol0
says 'is a device of the disk vol0' nvring vduse attach vol1 --name vol0
says 'vol0 is taken: another process serves it' second --vduse d0=vol0
says 'detach it first' nvring rpc vduse_delete_device '{"name": "vol0"}'
says 'exported' nvring disk delete vol0
install -d -o 1234 /run/user
says 'no permission' setpriv --reuid 1234 --regid 1234 --clear-groups \
	"$NVRINGD" --rpc /run/user/x.sock --log-level error --disk d0=ram:32M --vduse d0
attach vol2 --name ro
same "read-only" "$(blockdev --getro "$disk")" 1
refuse "write to it" dd if=/dev/zero of="$disk" bs=4k count=1 oflag=direct
check "detach it" nvring vduse detach ro
same "still there" "$(ls /dev/vduse | xargs)" "control vol0"

check detach nvring vduse detach vol0
daemon_ends

# memory that may not be locked is no memory for an SSD: told in one line, I/O fails, nothing breaks
truncate -s 32M /run/ssd.img
"$NVRING_SSD" --socket /run/ssd.sock --ns /run/ssd.img >>/mnt/ssd.log 2>&1 &
await listens /run/ssd.sock
ulimit -l 8192
complaints() { grep -c 'out of reach for an NVMe SSD.*RLIMIT_MEMLOCK' /mnt/nvringd.log; }
before=$(complaints)
daemon --disk vol0=nvme+vfio-user:/run/ssd.sock/1
attach vol0
refuse "read without locked memory" dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct
same "told so" "$(complaints)" $((before + 1))
same "state" "$(device state)" RUNNING
check detach nvring vduse detach vol0
daemon_ends

check "no drivers any more" rmmod virtio_vdpa
daemon --disk vol0=ram:32M
[ -z "$(nvring vduse attach vol0 2>/run/says.err)" ] && grep -q 'load virtio_vdpa' /run/says.err || fail "no word of the driver"
check detach nvring vduse detach vol0
says 'the program vdpa is missing: install iproute2' unshare -m sh -c \
	'mount -t tmpfs none /usr/sbin; PATH=/nowhere exec "$0" -s "$1" vduse attach vol0' "$NVRING" $rpc
same "nothing half done" "$(ls /dev/vduse)" control
daemon_ends
check "no module any more" rmmod vduse
says 'load the kernel module vduse' second --vduse d0
