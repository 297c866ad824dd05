#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nvring setup on a real kernel: FREE and USED are NVMe controllers, SHARED one whose IOMMU group has a neighbour.
# NVRING: the program; HASDRIVERCTL: 1 if driverctl is there.
free=0000:00:10.0 used=0000:00:11.0 shared=0000:00:12.0

# refused WHY ARGUMENT…: nvring setup fails with one line that has WHY in it, and FREE stays where it is
refused() {
	local why=$1 rc=0
	shift
	"$NVRING" setup "$@" >/run/out 2>/run/err || rc=$?
	same "exit status of: $*" "$rc" 1
	[ "$(wc -l </run/err)" = 1 ] || fail "more or less than one line: $(cat /run/err)"
	grep -qF -- "$why" /run/err || fail "'$why' is not in: $(cat /run/err)"
	same "driver of $free" "$(driver $free)" nvme
	same "override of $free" "$(cat /sys/bus/pci/devices/$free/driver_override)" "(null)"
}
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
disk_of() { ls "/sys/bus/pci/devices/$1/nvme/"*/ 2>/dev/null | sed -nE 's/^nvme([0-9]+)(c[0-9]+)?(n[0-9]+)$/nvme\1\3/p' | head -n 1; }
# is_sleep PID: our child is sleep by now, with the files it was given
is_sleep() { grep -qx sleep "/proc/$1/comm"; }
has_disk() { [ -n "$(disk_of "$1")" ] && [ -b "/dev/$(disk_of "$1")" ]; }

modules nvme dm_mod
for bdf in $free $used $shared; do
	await has_disk $bdf
done
disk=/dev/$(disk_of $free)
part=/dev/$(disk_of $used)p1
await test -b "$part"

refused "driver vfio-pci is not loaded; mend: modprobe vfio-pci" bind $free
modules vfio_pci vfio_iommu_type1
"$NVRING" setup status --json >/mnt/before.json || fail "status"
head -c 1M /dev/urandom >/run/random
check "write by the kernel" dd if=/run/random of="$disk" bs=1M oflag=direct status=none

# Who holds it
mkdir -p /run/m
check "mkfs" mkfs.ext4 -q "$part"
check "mount" mount "$part" /run/m
refused "$part is mounted on /run/m; mend: umount /run/m" bind $free $used
"$NVRING" setup status --json >/mnt/mounted.json || fail "status"
umount /run/m
unshare -m sh -c "mount $part /run/m && : >/run/ready && exec sleep 1000" &
hidden=$!
await test -e /run/ready
refused "is in use" bind $free $used
kill $hidden
wait $hidden
check "mkswap" mkswap "$part"
await swapon "$part"
refused "the system swaps on $part; mend: swapoff" bind $free $used
swapoff "$part"
check "dm" dmsetup create --noudevsync held --table "0 2048 linear $part 0"
refused "$part is held by dm-0 (held); mend: dmsetup remove held" bind $free $used
check "no dm" dmsetup remove --noudevsync held
sleep 1000 <"$part" &
holder=$!
await is_sleep $holder
refused "$part is open in sleep (pid $holder)" bind $free $used
kill $holder
wait $holder
refused "shares IOMMU group" bind $free $shared
grep -q "0000:00:12.1 (virtio-pci)" /run/err || fail "who shares it: $(cat /run/err)"
refused "0000:00:17.0: no such PCI device" bind $free 00:17.0
refused "is no NVMe controller; --force" bind $free 00:12.1

# There
"$NVRING" setup bind $free --dry-run >/run/dry || fail "dry run"
same "lines of the dry run" "$(wc -l </run/dry)" 3
same "driver after the dry run" "$(driver $free)" nvme
same "bind" "$("$NVRING" setup bind $free --user nobody 2>&1)" "$free (1b36 0010): nvme -> vfio-pci"
same "driver" "$(driver $free)" vfio-pci
group=/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$free/iommu_group")")
[ -c "$group" ] || fail "no $group"
same "owner of $group" "$(stat -c %U "$group")" nobody
[ ! -e "$disk" ] || fail "$disk is still there"
same "again" "$("$NVRING" setup bind $free 2>&1)" "$free (1b36 0010): Already using the vfio-pci driver"
"$NVRING" setup status --json >/mnt/bound.json || fail "status"
same "the other one" "$(driver $used)" nvme

# And back
sleep 1000 <>"$group" &
holder=$!
await is_sleep $holder
"$NVRING" setup unbind $free 2>/run/err && fail "it was taken from its user"
grep -q "$group is open in sleep (pid $holder)" /run/err || fail "$(cat /run/err)"
same "driver in use" "$(driver $free)" vfio-pci
kill $holder
wait $holder
same "unbind" "$("$NVRING" setup unbind $free 2>&1)" "$free (1b36 0010): vfio-pci -> nvme"
await has_disk $free
disk=/dev/$(disk_of $free)
check "content" cmp -n 1M /run/random "$disk"
same "override" "$(cat /sys/bus/pci/devices/$free/driver_override)" "(null)"

# Both at once, by the environment
PCI_ALLOWED="$free $used" "$NVRING" setup bind >/run/out || fail "bind both"
same "lines" "$(grep -c ' -> vfio-pci$' /run/out)" 2
PCI_ALLOWED="$free,$used" "$NVRING" setup unbind >/run/out || fail "unbind both"
await has_disk $free
await has_disk $used

# Whom the kernel's driver does not want back: nobody has it, and that is said
await modprobe -d "$KERNEL_TREE" -r nvme # the kernel may still look for partitions
same "bind without nvme" "$("$NVRING" setup bind $free 2>&1)" "$free (1b36 0010): no driver -> vfio-pci"
"$NVRING" setup unbind $free >/run/out 2>/run/err || fail "unbind without nvme"
grep -q "no driver took it; mend: modprobe nvme" /run/err || fail "$(cat /run/err)"
modules nvme
await has_disk $free

[ "$HASDRIVERCTL" = 1 ] || exit 0
mount -t tmpfs tmpfs /etc/driverctl.d || fail "no /etc/driverctl.d"
# driverctl finds no module vfio-pci in the host's folders: what was bound goes back
refused "driverctl set-override $free vfio-pci: exit status 1" bind $free --persist
await has_disk $free
export MODPROBE_OPTIONS="-d $KERNEL_TREE"
"$NVRING" setup bind $free --persist || fail "persist"
same "driverctl's file" "$(cat /etc/driverctl.d/pci-$free)" vfio-pci
same "driver" "$(driver $free)" vfio-pci
"$NVRING" setup unbind $free >/run/out 2>/run/err || fail "unbind"
grep -q "takes it again at the next boot" /run/err || fail "no warning: $(cat /run/err)"
"$NVRING" setup unbind $free --persist || fail "unbind --persist"
[ ! -e /etc/driverctl.d/pci-$free ] || fail "driverctl has not forgotten it"
