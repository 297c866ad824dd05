#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A pool on an SSD that nvringd drives: a volume of it is a block device through nvring attach, its file system outlives
# nvringd, and the kernel finds it on a partition afterwards. SSD: the controller; NVRING_VOLUME, HTTP_POST: the plugin,
# and what speaks to it.
. /mnt/attach-daemon.sh
modules vfio_iommu_type1 vfio_pci ublk_drv nvme
mkdir -p /run/fs

check "bind" "$NVRING" setup bind "$SSD"
daemon --pool "ssd=nvme:$SSD/1"
says "is no pool yet; mend: nvring pool init ssd" nvring volume create data 24M
check "init" nvring pool init ssd
check "create" nvring volume create data 24M
check "create" nvring volume create other 4M
socket=$(nvring volume export data) || fail "export"
node=$(nvring attach "$socket" --as ublk) || fail "attach"
same "size" "$(blockdev --getsize64 "$node")" $((24 << 20))
check "verify" verify "$node" --size=8m
check "mkfs" mkfs.ext4 -q "$node"
check "mount" mount "$node" /run/fs
head -c 4M /dev/urandom >/run/fs/file
sum=$(md5sum </run/fs/file)
check "sync" sync -f /run/fs/file
says "data is in use by process" nvring volume remove data
check "umount" umount /run/fs
check "detach" nvring detach "$node"
check "unexport" nvring volume unexport data

# Another life of nvringd, which serves the block device itself.
daemon_ends
daemon --pool "ssd=nvme:$SSD/1" --disk "data=nvme:$SSD/1?part=name:data" --ublk data=7
await test -b /dev/ublkb7
check "mount" mount /dev/ublkb7 /run/fs
same "the file" "$(md5sum </run/fs/file)" "$sum"
echo more >/run/fs/more
check "umount" umount /run/fs

# The plugin makes nothing there, and leaves nothing.
"$NVRING_VOLUME" --listen /run/plugin.sock -s $rpc --state /run/state --mounts /run/mounts --backend attach \
	--program "$NVRING" 2>/run/plugin.log &
plugin=$!
await "$HTTP_POST" /run/plugin.sock /Plugin.Activate ""
refuse "plugin" "$HTTP_POST" /run/plugin.sock /VolumeDriver.Create '{"Name": "third", "Opts": {"size": "4M"}}'
grep -q "third is in pool ssd, which is no folder" /run/check.out || fail "$(cat /run/check.out)"
same "volumes" "$(nvring volume list | awk 'NR > 1 { print $1 }' | sort | xargs)" "data other"
kill "$plugin"
wait "$plugin" || fail "the plugin: exit $?"

daemon_ends
quiet
! dmesg | grep 'DMAR.*fault' || fail "the kernel complains"
check "unbind" "$NVRING" setup unbind "$SSD"
await test -b /dev/nvme0n1p2
check "mount" mount /dev/nvme0n1p1 /run/fs
same "the file" "$(md5sum </run/fs/file)" "$sum"
same "the other" "$(cat /run/fs/more)" more
check "umount" umount /run/fs
check "fsck" fsck.ext4 -fn /dev/nvme0n1p1
