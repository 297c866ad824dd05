/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of commands for volumes and containers, behind that of the others. */
#include <stddef.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/kata.h"

#define POOL_OPT { "pool", "NAME", "the pool it is in (default: the one that has it)" }

const struct cli_command cli_volume_commands[] = {
	{ "pool list", NULL, "where volumes are made (nvringd --pool)", .fn = cli_pool_list },
	{ "pool init", "NAME", "make an empty namespace the pool NAME, with a partition table",
	  "For pools that are namespaces, once. What is not empty is left as it is.\n",
	  { { "force", NULL, "give up all that is on it" } }, .fn = cli_pool_init },
	{ "volume list", NULL, "the volumes, and where they are served", NULL,
	  { { "pool", "NAME", "of this pool only" } }, .fn = cli_volume_list },
	{ "volume create", "NAME SIZE", "a new volume, empty",
	  "SIZE is a multiple of 4 KiB, in K, M, G or T (powers of 1024).\n"
	  "Example: nvring volume create vol0 10G\n",
	  { { "pool", "NAME", "where to make it (default: the only one)" } }, .fn = cli_volume_create },
	{ "volume resize", "NAME SIZE", "change its size, also while it is served", NULL,
	  { POOL_OPT, { "shrink", NULL, "let go what lies behind a smaller SIZE" } }, .fn = cli_volume_resize },
	{ "volume remove", "NAME", "delete a volume that nobody uses, with all that is on it", NULL, { POOL_OPT },
	  .fn = cli_volume_remove },
	{ "volume export", "NAME [SOCKET]", "serve it as a disk of its name on a vhost-user socket",
	  "Without SOCKET it lies in a folder of its own beside the control socket, so that the folder can\n"
	  "be given to a container. Prints the path.\n",
	  { POOL_OPT,
	    { "read-only", NULL, "nobody can write" },
	    { "mode", "MODE", "of the socket file, octal (default 0600)" } },
	  .fn = cli_volume_export },
	{ "volume unexport", "NAME", "end that; the volume stays", NULL,
	  { POOL_OPT, { "force", NULL, "also while somebody is connected" } }, .fn = cli_volume_unexport },
	{ "cdi write", "[NAME...]", "let containers have an export as --device nvring.io/volume=NAME",
	  "Writes a file of the Container Device Interface for each export (default: all of them), which\n"
	  "mounts its socket; with --node for a block device of this host instead, without nvringd.\n"
	  "Prints the names. Example: nvring cdi write vol0 && podman run --device nvring.io/volume=vol0 …\n",
	  { { "dir", "FOLDER", "where the files go (default /etc/cdi)" },
	    { "node", "PATH", "this block device, which the container sees as /dev/nvring/NAME" } },
	  .fn = cli_cdi_write },
	{ "cdi remove", "NAME...", "take that back; running containers keep what they have", NULL,
	  { { "dir", "FOLDER", "where the files are (default /etc/cdi)" } }, .fn = cli_cdi_remove },
	{ "kata write", "NAME PATH", "let a Kata container have an export as the direct volume PATH",
	  "Writes mountInfo.json for Kata's Rust runtime, with the volume type spdkvol. PATH is what the\n"
	  "container is told to mount. Example: nvring kata write vol0 /kubelet/vol0 &&\n"
	  "ctr run --mount type=spdkvol,src=/kubelet/vol0,dst=/data,options=rbind:rw …\n",
	  { { "fstype", "TYPE", "what is on it (default ext4)" },
	    { "dir", "FOLDER", "where the runtime looks (default " KATA_DIR_DEFAULT ")" } },
	  .fn = cli_kata_write },
	{ "kata remove", "PATH", "take that back", NULL,
	  { { "dir", "FOLDER", "where the runtime looks" } }, .fn = cli_kata_remove },
	{ .more = cli_nvme_commands },
};
