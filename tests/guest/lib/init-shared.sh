#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# First process of the full guest: the host's root read-only below us, our share on /mnt, then the script in it;
# a shell on the console where there is no share.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in /m/*; do
	insmod "$m" || echo "GUEST-WARN insmod $m"
done
if ! mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose hroot /root; then
	echo "GUEST-RC 97"
	poweroff -f
fi
for d in proc sys dev; do
	mount --move /$d /root/$d
done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
for d in dev/shm run var/tmp; do
	mount -t tmpfs tmpfs /root/$d
done
busybox cp /bin/busybox /root/run/busybox
if mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none hout /root/mnt 2>/dev/null; then
	exec chroot /root /bin/bash /mnt/start.sh
fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TERM=${TERM:-linux}
echo "A guest on the host's root, read-only. Its disks: $(cd /root/sys/block && echo vd*). It ends with the shell."
chroot /root /run/busybox setsid -c /bin/bash -i </root/dev/ttyS0 >/root/dev/ttyS0 2>&1
poweroff -f
