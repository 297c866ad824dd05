#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A disk of nvringd behind /dev/vhost-vdpa-0, driven as QEMU drives it. VDPA_PROBE: the program that does.
VDPA_DRIVER=vhost_vdpa
. /mnt/vduse-daemon.sh
daemon --disk vol0=ram:32M --vduse vol0,queues=2
same "node" "$(nvring vduse attach vol0)" /dev/vhost-vdpa-0
for layout in split packed split; do
	check "$layout ring" timeout 300 "$VDPA_PROBE" /dev/vhost-vdpa-0 $layout
	cat /run/check.out
done
check detach nvring vduse detach vol0
daemon_ends
! grep -E 'error|broken' /mnt/nvringd.log || fail "nvringd complains"
