#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# First process of the guest without shares: runs the words after "do=" of the kernel's command line ("~" is a space);
# a line typed on the console makes the file /run/stop.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in /m/*; do
	insmod "$m" || echo "GUEST-WARN insmod $m"
done
(read -r _ </dev/ttyS0 && : >/run/stop) &
read -r up _ </proc/uptime
echo "GUEST-UP $up"
for word in $(cat /proc/cmdline); do
	case $word in
	do=*) echo "${word#do=}" | tr '~' ' ' >/run/do.sh ;;
	esac
done
sh /run/do.sh
echo "GUEST-RC $?"
poweroff -f
