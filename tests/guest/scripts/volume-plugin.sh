#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# nvring-volume with nvring attach and ublk: one device for all users, and none without; plugin and server may die at any
# time. NVRING_VOLUME, HTTP_POST: the plugin, and what speaks to it.
. /mnt/attach-daemon.sh
socket=/run/plugin.sock
point=/run/mounts/data

# ask METHOD MEMBERS: the plugin's answer, in /run/answer
ask() { timeout 110 "$HTTP_POST" $socket "/$1" "{$2}" >/run/answer 2>&1; }
# does METHOD MEMBERS: it must
does() {
	ask "VolumeDriver.$1" "$2" || fail "$1 $2: $(cat /run/answer)"
	echo "ok $1 $2: $(cat /run/answer)"
}
# declines TEXT METHOD MEMBERS: it must not, and say why
declines() {
	! ask "VolumeDriver.$2" "$3" || fail "$2 $3: $(cat /run/answer)"
	grep -qF -- "$1" /run/answer || fail "$2 $3: $(cat /run/answer), not $1"
	echo "ok refused: $(cat /run/answer)"
}
# answers TEXT: the last one does
answers() { grep -qF -- "$1" /run/answer || fail "the answer is $(cat /run/answer), not $1"; }
plugin_starts() {
	"$NVRING_VOLUME" --listen $socket -s $rpc --state /run/state --mounts /run/mounts --backend attach \
		--program "$NVRING" >>/run/plugin.log 2>&1 &
	plugin=$!
	await ask Plugin.Activate
}
plugin_dies() {
	kill -9 "$plugin"
	wait "$plugin" 2>/dev/null
	echo "ok plugin killed"
}
# nodes STATE: the block devices of the pool's images in that state
nodes() { nvring attach --list | awk -v state="$1" '$3 == state { print $1 }'; }
server() { nvring attach --list | awk '$3 == "served" { print $4 }'; }
server_is_not() { [ "$(server)" != "$1" ]; }
# server_dies: the device waits for another, or has it already, from a plugin that runs
server_dies() {
	local pid
	pid=$(server)
	kill -9 "$pid"
	await server_is_not "$pid"
	echo "ok server $pid killed"
}
mounted_from() { awk -v point=$point '$2 == point { print $1 }' /proc/self/mounts; }
# nothing: neither mounted nor attached
nothing() {
	same "mounted" "$(mounted_from)" ""
	same "attached" "$(nvring attach --list | tail -n +2)" ""
	same "nodes" "$(cd /dev && echo ublkb*)" "ublkb*"
}
# gives_up: after a failure, what waits for a server would keep the guest from ending
gives_up() {
	local node
	for node in $(nodes waits); do
		timeout 10 "$NVRING" detach --force "$node"
	done
}

trap gives_up EXIT
modules ublk_drv
mkdir -p /run/pool
daemon --pool fast=dir:/run/pool
plugin_starts
does Create '"Name": "data", "Opts": {"size": "32M", "fstype": "ext4"}'
nothing

does Mount '"Name": "data", "ID": "one"'
answers "\"$point\""
node=$(mounted_from)
[[ $node == /dev/ublkb* ]] || fail "mounted from $node"
head -c 4M /dev/urandom >$point/file
sum=$(md5sum <$point/file)
does Mount '"Name": "data", "ID": "two"'
answers "\"$point\""
same "devices" "$(nodes served)" "$node"
declines "data is mounted for one and others" Remove '"Name": "data"'

# The plugin dies; its devices have servers of their own.
plugin_dies
check "sync" timeout 300 sync -f $point/file
plugin_starts
same "the file" "$(md5sum <$point/file)" "$sum"
does Path '"Name": "data"'
answers "\"$point\""
does Unmount '"Name": "data", "ID": "one"'
same "still mounted" "$(mounted_from)" "$node"

# The server dies: a mount, a start of the plugin, an unmount make a new one.
server_dies
does Mount '"Name": "data", "ID": "three"'
same "devices" "$(nodes served)" "$node"
echo 3 >/proc/sys/vm/drop_caches
same "the file" "$(timeout 300 md5sum <$point/file)" "$sum"
plugin_dies
server_dies
plugin_starts
same "devices" "$(nodes served)" "$node"
does Unmount '"Name": "data", "ID": "three"'
echo more >$point/more
server_dies
does Unmount '"Name": "data", "ID": "two"'
nothing

# The plugin dies between attach and what it writes down: the device is there, and nobody knows whose.
same "attached" "$(nvring attach /run/pool/data/disk.img 2>/dev/null)" "$node"
does Mount '"Name": "data", "ID": "four"'
same "mounted" "$(mounted_from)" "$node"
same "the file" "$(timeout 300 md5sum <$point/file)" "$sum"
same "the other" "$(cat $point/more)" more
declines "data is mounted for four" Remove '"Name": "data"'
# in use: it stays
cd $point || fail "cd"
declines "cannot be unmounted" Unmount '"Name": "data", "ID": "four"'
cd /run || fail "cd"
does Unmount '"Name": "data", "ID": "four"'
nothing
does Remove '"Name": "data"'
declines "no such volume: data" Get '"Name": "data"'
same "pool" "$(ls /run/pool)" ""
same "state" "$(ls /run/state)" ""
kill "$plugin"
wait "$plugin" || fail "the plugin: exit $?"
daemon_ends
cat /run/plugin.log
