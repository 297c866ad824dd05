#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Driven by tests/bench/attach, runs in the guest: one file behind loop and ublk, in turns; each FIGURE is a line of "key=value".
# DISK: brd (completes at once) or vda (an emulated disk); ROUNDS, MILLISECONDS of each; LOADS: "RW,BLOCK,DEPTH …".
. /mnt/attach-daemon.sh
cp "$NVRINGD" /run/nvringd
cp "$NVRING" /run/nvring-cli
NVRINGD=/run/nvringd NVRING=/run/nvring-cli
# what starts while a clock runs comes from memory, not from the host's folders
mkdir /run/lib
programs=("$(command -v dd)" "$(command -v losetup)" "$(command -v fio)")
ldd $NVRINGD $NVRING "${programs[@]}" | awk '$3 ~ /^\// { print $3 }' | sort -u | xargs cp -t /run/lib
cp "${programs[@]}" /run
modules ublk_drv loop brd null_blk
ticks=$(getconf CLK_TCK)
case $DISK in
brd)
	modprobe -r -d "$KERNEL_TREE" brd
	modprobe -d "$KERNEL_TREE" brd rd_nr=1 rd_size=$((160 << 10))
	bed=/dev/ram0
	;;
*) bed=/dev/$DISK ;;
esac
check "mkfs" mkfs.ext4 -q "$bed"
mkdir -p /run/bed
check "mount" mount -o noatime "$bed" /run/bed
image=/run/bed/vol0.img
check "the file" dd if=/dev/zero of=$image bs=1M count=96 conv=fsync status=none

# busy: clock ticks that CPUs were not idle so far
busy() { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat; }
# used PID: clock ticks of this process so far, its io-wq threads among them
used() { [ -z "$1" ] || sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
# load NODE RW BLOCK DEPTH OPTION…: fio, from memory
load() {
	LD_LIBRARY_PATH=/run/lib timeout 300 /run/fio --name=m --filename="$1" --rw="$2" --bs="$3" --iodepth="$4" --ioengine=libaio \
		--direct=1 --norandommap --randrepeat=0 --output-format=json "${@:5}" || fail "fio $*"
}
# measure NAME NODE [PID of a server]: for each of LOADS; what a fio costs that does one I/O is taken off
measure() {
	local load rw block depth before once server out
	for load in $LOADS; do
		IFS=, read -r rw block depth <<<"$load"
		before=$(busy)
		load "$2" "$rw" "$block" "$depth" --number_ios=1 >/dev/null
		once=$(($(busy) - before)) before=$(busy) server=$(used "$3")
		out=$(load "$2" "$rw" "$block" "$depth" --time_based --runtime="${MILLISECONDS}ms")
		before=$(($(busy) - before - once)) server=$(($(used "$3") - server))
		echo "$out" | sed -n '/^{/,$p' | jq -r --arg name "$1 $rw $block $depth" --argjson busy "$before" \
			--argjson server "$server" --argjson hz "$ticks" '.jobs[0] | (.read.total_ios + .write.total_ios) as $ios |
			"FIGURE name=\($name) iops=\(.read.iops + .write.iops) ios=\($ios) busy=\($busy / $hz) server=\($server / $hz)"'
	done
}
with_loop() {
	local node
	node=$(losetup --find --show --direct-io="$2" $image) || fail "losetup"
	same "direct I/O of $node" "$(losetup --noheadings --output DIO "$node" | tr -d ' ')" "$3"
	measure "$1" "$node"
	check "losetup -d" losetup -d "$node"
}
# with_ublk NAME URI OPTION…: nvringd with these
with_ublk() {
	local name=$1 uri=$2
	shift 2
	daemon --log-level notice --disk vol0="$uri" --ublk vol0=0 "$@"
	measure "$name" /dev/ublkb0 "$daemon"
	daemon_ends
}
for _ in $(seq "$ROUNDS"); do
	measure null /dev/nullb0
	measure file $image
	with_loop loop off 0
	with_loop loop-direct on 1
	with_ublk ublk "file:$image?direct=0"
	with_ublk ublk-direct "file:$image?direct=1"
	with_ublk ublk-direct-fixed "file:$image?direct=1&fixed=1"
	with_ublk ublk-direct-interrupt "file:$image?direct=1" --mode interrupt
	[ "$(nproc)" = 1 ] || with_ublk ublk-direct-two "file:$image?direct=1" --cpus 0-1
done
# since NANOSECONDS: milliseconds
since() { awk -v ns=$(($(date +%s%N) - $1)) 'BEGIN { print ns / 1e6 }'; }
# first_byte NAME COMMAND…: it prints a node, from which one block is read
first_byte() {
	local name=$1 begin attached node
	shift
	begin=$(date +%s%N)
	node=$(LD_LIBRARY_PATH=/run/lib "$@" 2>/run/first.err) || fail "$*: $(cat /run/first.err)"
	attached=$(since "$begin")
	LD_LIBRARY_PATH=/run/lib /run/dd if="$node" of=/dev/null bs=512 count=1 iflag=direct status=none || fail "dd"
	echo "FIGURE name=$name attached_ms=$attached first_byte_ms=$(since "$begin")"
}
for _ in $(seq "$ROUNDS"); do
	first_byte "first byte, losetup" /run/losetup --find --show $image
	losetup -D
	first_byte "first byte, ublk" "$NVRING" attach $image --as ublk
	check "detach" nvring detach /dev/ublkb0
	begin=$(date +%s%N)
	LD_LIBRARY_PATH=/run/lib "$NVRING" --version >/run/version
	echo "FIGURE name=nvring --version ms=$(since "$begin")"
done
