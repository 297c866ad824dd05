#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What nvme-cli and smartctl say of a controller that the kernel drives, then what nvring says of it over VFIO.
# NVRING: the program; BDF: the controller. Not show-regs: that of nvme-cli 2.3 crashes here.
verbs=(id-ctrl list-ns smart-log error-log fw-log "get-feature -f 2" "get-feature -f 4" "get-feature -f 6")
ns_verbs=(id-ns ns-descs)
# tell PREFIX CONTROLLER NAMESPACE COMMAND…: the output of each verb into a file of the share
tell() {
	local prefix=$1 ctrlr=$2 ns=$3 verb target
	shift 3
	for verb in "${verbs[@]}" "${ns_verbs[@]}"; do
		target=$ctrlr
		case $verb in id-ns | ns-descs) target=$ns ;; esac
		case $verb in
		get-feature*)
			# shellcheck disable=SC2086 # verbs with their options
			"$@" $verb "$target" >"/mnt/$prefix-${verb// /}.txt" 2>/run/err || fail "$prefix $verb: $(cat /run/err)"
			;;
		*)
			"$@" "$verb" "$target" -o json >"/mnt/$prefix-$verb.json" 2>/run/err || fail "$prefix $verb: $(cat /run/err)"
			;;
		esac
	done
	echo "ok $prefix"
}

modules nvme vfio_iommu_type1 vfio_pci
await test -b /dev/nvme0n1
tell kernel /dev/nvme0 /dev/nvme0n1 nvme
smartctl -a -j /dev/nvme0 >/mnt/kernel-smartctl.json || fail "smartctl"
# an error leaves an entry in the log, and the same words
nvme get-feature /dev/nvme0 -f 0xd9 2>/mnt/kernel-error.txt && fail "a feature that there is not"

pci_driver "$BDF" vfio-pci
tell nvring "$BDF" "$BDF/1" timeout 300 "$NVRING" nvme
tell exec /dev/nvme0 /dev/nvme0n1 timeout 300 "$NVRING" exec --controller "$BDF" -- nvme
timeout 300 "$NVRING" exec --controller "$BDF" -- smartctl -a -j /dev/nvme0 >/mnt/exec-smartctl.json || fail "smartctl by exec"
timeout 300 "$NVRING" exec --controller "$BDF" -- nvme list -o json >/mnt/exec-list.json || fail "nvme list by exec"
"$NVRING" nvme get-feature "$BDF" -f 0xd9 2>/mnt/nvring-error.txt
same "exit status of a refusal" $? 1

# what changes needs consent; a format takes place
refuse "format without consent" "$NVRING" nvme format "$BDF/1"
check "format" timeout 300 "$NVRING" nvme format "$BDF/1" --block-size 4096 --force
check "reset" timeout 300 "$NVRING" nvme reset "$BDF" --force
pci_driver "$BDF" nvme
await test -b /dev/nvme0n1
same "block size afterwards" "$(cat /sys/block/nvme0n1/queue/logical_block_size)" 4096
