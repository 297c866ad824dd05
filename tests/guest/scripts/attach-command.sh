#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nvring attach, list and detach: the best way, a way by name, a server that dies, and what is refused in one line.
. /mnt/attach-daemon.sh
truncate -s 64M /run/a.img
says "modprobe nbd" nvring attach /run/a.img --as nbd
says "modprobe ublk_drv" nvring attach /run/a.img --as ublk
same "nothing stays" "$(ls /run/nvring/attach)" ""
modules nbd
disk=$(nvring attach /run/a.img 2>/run/attach.err) || fail "attach: $(cat /run/attach.err)"
grep -q "attached as nbd, since there is no /dev/ublk-control" /run/attach.err || fail "why: $(cat /run/attach.err)"
same "NBD" "$disk" /dev/nbd0
check "detach" nvring detach "$disk"
modules ublk_drv
disk=$(nvring attach /run/a.img --queues 2 --depth 64 2>/run/attach.err) || fail "attach: $(cat /run/attach.err)"
grep -q "attached as ublk" /run/attach.err || fail "why: $(cat /run/attach.err)"
same "ublk" "$disk" /dev/ublkb0
check "verify" verify "$disk" --size=8m
says "attached already: /dev/ublkb0" nvring attach /run/a.img
says "not attached by nvring" nvring detach /dev/ublkb7
says "no-such.img: No such file" nvring attach /run/no-such.img --as ublk
says "nbd or fuse" nvring attach /run/a.img --as loop
check "list" nvring attach --list
grep -q "/dev/ublkb0 *ublk *served" /run/check.out || fail "$(cat /run/check.out)"
check "mkfs" mkfs.ext4 -q "$disk"
mkdir -p /run/fs
check "mount" mount "$disk" /run/fs
says "mounted" nvring detach "$disk"
dd if=/dev/urandom of=/run/fs/file bs=1M count=8 status=none
sum=$(md5sum </run/fs/file)
server=$(nvring attach --list | awk '$1 == "/dev/ublkb0" { print $4 }')
kill -9 "$server"
await test ! -e "/proc/$server"
waits() { nvring attach --list | grep -q "/dev/ublkb0 *ublk *waits"; }
await waits
says "waits for the next one" nvring detach "$disk"
cd / # the name of the disk is the same from anywhere
same "it goes on" "$(nvring attach run/a.img --as ublk)" /dev/ublkb0
check "sync" timeout 300 sync -f /run/fs/file
same "the file" "$(timeout 300 md5sum </run/fs/file)" "$sum"
check "umount" umount /run/fs
check "detach" nvring detach "$disk"
[ ! -e "$disk" ] || fail "$disk is still there"
same "what stays" "$(ls /run/nvring/attach)" ""
# to give up what waits takes a word
disk=$(nvring attach /run/a.img --as ublk --number 5)
same "number" "$disk" /dev/ublkb5
check "mount" mount "$disk" /run/fs
kill -9 "$(nvring attach --list | awk '$1 == "/dev/ublkb5" { print $4 }')"
await eval 'nvring attach --list | grep -q waits'
check "by force, though it is mounted" nvring detach --force "$disk"
[ ! -e "$disk" ] || fail "$disk is still there"
check "umount" umount /run/fs
same "what stays" "$(ls /run/nvring/attach)" ""
# first byte
start=$(date +%s%N)
disk=$(nvring attach null:64M --as ublk)
check "first byte" dd if="$disk" of=/dev/null bs=512 count=1 iflag=direct status=none
echo "attach to first byte: $((($(date +%s%N) - start) / 1000000)) ms"
check "detach" nvring detach "$disk"
