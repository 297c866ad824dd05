#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts that run containers with crun. A container has volumes, each N of them as /dev/volN and behind
# /run/volN.sock, and a folder /data of its own. Its root holds nothing but static programs. DISK_FILE, DISK_COPY: clients.
mount -t cgroup2 cgroup2 /sys/fs/cgroup || fail "cgroup v2"

box_root() { echo "/run/$1/rootfs"; }
box_data() { echo "/run/$1/data"; }
box_output() { echo "/run/$1/output"; }
# box_numbers N: major and minor of volume N's node
box_numbers() { stat -c '%Hr %Lr' "/dev/ublkb$1"; }

# box_make BOX: its folders and programs
box_make() {
	local root name
	root=$(box_root "$1")
	mkdir -p "$root"/{bin,dev,proc,run,data} "$(box_data "$1")"
	cp /run/busybox /run/verifier "$root/bin/"
	cp "$DISK_FILE" "$root/bin/disk_file"
	cp "$DISK_COPY" "$root/bin/disk_copy"
	for name in sh ls dd mknod cmp; do
		ln -s busybox "$root/bin/$name"
	done
}
# box_json TEXT: as a string
box_json() {
	local text=${1//\\/\\\\}
	text=${text//\"/\\\"}
	text=${text//$'\n'/\\n}
	echo "\"${text//$'\t'/ }\""
}
# box_config BOX VOLUMES COMMAND: config.json
box_config() {
	local n major minor sockets="" nodes="" rules="" may='["CAP_MKNOD"]'
	for n in $2; do
		read -r major minor <<<"$(box_numbers "$n")"
		sockets+=", { \"destination\": \"/run/vol$n.sock\", \"type\": \"bind\", \"source\": \"/run/vol$n.sock\", \"options\": [\"bind\"] }"
		nodes+=", { \"path\": \"/dev/vol$n\", \"type\": \"b\", \"major\": $major, \"minor\": $minor, \"fileMode\": 384, \"uid\": 0, \"gid\": 0 }"
		rules+=", { \"allow\": true, \"type\": \"b\", \"major\": $major, \"minor\": $minor, \"access\": \"rw\" }"
	done
	cat <<-END
		{ "ociVersion": "1.0.0",
		  "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": true,
		    "args": ["sh", "-c", $(box_json "$3")],
		    "capabilities": { "bounding": $may, "effective": $may, "permitted": $may } },
		  "root": { "path": "rootfs", "readonly": true },
		  "mounts": [
		    { "destination": "/proc", "type": "proc", "source": "proc" },
		    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
		    { "destination": "/data", "type": "bind", "source": "$(box_data "$1")", "options": ["bind", "nodev", "nosuid"] }
		    $sockets ],
		  "linux": {
		    "namespaces": [ { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
		      { "type": "cgroup" } ],
		    "devices": [ ${nodes#, } ],
		    "resources": { "devices": [ { "allow": false, "access": "rwm" }, { "allow": true, "type": "b", "access": "m" } $rules ] } } }
	END
}
# box_start BOX VOLUMES COMMAND: the shell in it runs that; $BOX is the process to wait for
box_start() {
	box_config "$@" >"/run/$1/config.json"
	rm -f "$(box_output "$1")" # who waits for its words must not find those of the last one
	timeout 300 crun --cgroup-manager=cgroupfs run --bundle "/run/$1" "$1" >"$(box_output "$1")" 2>&1 </dev/null &
	printf -v "$1" %s $!
}
# box_ends BOX WHAT: in good order
box_ends() {
	local rc=0
	wait "${!1}" || rc=$?
	[ $rc = 0 ] || { tail -n 20 "$(box_output "$1")"; fail "$1, $2: exit $rc"; }
	echo "ok $1, $2"
}
