# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# What nvring needs of Debian, in one place; sourced by tools/quickstart and tests/run.

# shellcheck disable=SC2034 # used by those who source this
PACKAGES_BUILD=(gcc libc6-dev meson ninja-build pkg-config python3 liburing-dev libjson-c-dev libpci-dev libblkid-dev libncurses-dev libfuse3-dev libmicrohttpd-dev)
# shellcheck disable=SC2034
PACKAGES_GUEST=(qemu-system-x86 qemu-system-common fio e2fsprogs kmod zstd util-linux dmsetup driverctl iproute2 crun)
# shellcheck disable=SC2034
PACKAGES_TEST=(libcmocka-dev libdpdk-dev libsystemd-dev clang libclang-rt-14-dev llvm git binutils qemu-utils fdisk nvme-cli smartmontools spin valgrind nbdkit nbdkit-plugin-dev podman crun busybox-static)

packages_missing() {
	local package
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
	done
}

# packages_install PACKAGE…: installs those that are missing, as root or through sudo
packages_install() {
	local missing=() as_root=()
	if ! command -v apt-get >/dev/null; then
		echo "This is no Debian: please install what corresponds to: $*" >&2
		return 0
	fi
	mapfile -t missing < <(packages_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null; then
			printf 'Missing packages, and neither root nor sudo to install them. As root:\n  apt-get install --no-install-recommends %s\n' \
				"${missing[*]}" >&2
			return 1
		fi
		as_root=(sudo)
		[ -t 0 ] || as_root=(sudo -n)
	fi
	echo "installing ${missing[*]}"
	packages_apt update || return 1
	packages_apt install -y --no-install-recommends "${missing[@]}"
}

# packages_apt WORD…: apt-get, quiet unless it fails
packages_apt() {
	local log
	log=$(mktemp)
	if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		echo "apt-get $1 failed" >&2
		return 1
	fi
	rm -f "$log"
}
