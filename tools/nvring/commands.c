/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of commands. The man page nvring(1) describes the same ones; a test compares. */
#include <stddef.h>

#include "tools/bench/bench.h"
#include "tools/nvring/cli.h"

#define RATES(what_, who_)                                                                        \
	{ what_ "iops", "N", "I/Os per second" who_ },                                             \
	{ what_ "iops-burst", "N", "that may be saved up" },                                       \
	{ what_ "bps", "SIZE", "bytes per second" who_ },                                          \
	{ what_ "bps-burst", "SIZE", "that may be saved up" }
#define LIMITS RATES("", ""), RATES("read-", ", reads"), RATES("write-", ", writes and all else")

const struct cli_command cli_commands[] = {
	{ "status", NULL, "disks, exports and reactors at a glance", .fn = cli_status },
	{ "disk list", NULL, "the disks that are open", .fn = cli_disk_list },
	{ "disk create", "NAME URI", "open a disk",
	  "URI is file:PATH, nvme:BDF/NAMESPACE, nvme+vfio-user:SOCKET/NAMESPACE, ram:SIZE,\n"
	  "null:SIZE, fault:RULES@URI, or just a path.\n"
	  "Example: nvring disk create vol1 vol1.img --size 10G\n",
	  { { "read-only", NULL, "never write to it" },
	    { "size", "SIZE", "make the file first, sparse and of that size" } },
	  .fn = cli_disk_create },
	{ "disk resize", "NAME [SIZE]", "change the size; without SIZE look how large it is now",
	  "The guests that use the disk see the new size at once.\n", .fn = cli_disk_resize },
	{ "disk delete", "NAME", "close a disk that is not exported", .fn = cli_disk_delete },
	{ "disk stats", "[NAME]", "operations, bytes, errors and latencies", .fn = cli_disk_stats },
	{ "disk faults", "NAME [RULES]", "set the rules of a fault: disk; without RULES none",
	  "RULES as in the URI, for example op=write,p=0.1,error=EIO\n", .fn = cli_disk_faults },
	{ "disk limit", "NAME", "limits and scheduling of a disk; without options what is in force",
	  "What is not named stays. Each value may be 'none'. In force at once, also for what waits.\n"
	  "N may end in k, M, G (powers of 1000), SIZE in K, M, G, T (powers of 1024).\n"
	  "Example: nvring disk limit vol0 --iops 5k --read-bps 100M\n",
	  { LIMITS,
	    { "group", "NAME", "whose limits it is under, too" },
	    { "min-iops", "N", "guaranteed minimum within the group" },
	    { "min-bps", "SIZE", "the same in bytes per second" },
	    { "weight", "N", "1 to 1000, against the others of the group (default 100)" },
	    { "latency-us", "N", "what its p99 should keep to; its neighbours wait for it" },
	    { "read-deadline-us", "N", "reads that wait for room go after this time" },
	    { "write-deadline-us", "N", "the same for all else" },
	    { "path-timeout-ms", "N", "try so long when the way to it fails, 0: not (default 30000)" } },
	  .fn = cli_disk_limit },
	{ "disk freeze", "NAME", "hold back its I/O; ends when the device has none any more",
	  "The guests wait. Deleting the disk or an export of it, and the end of nvringd, thaw it.\n"
	  "When the device has some for longer than --timeout, the command fails and the disk is thawed.\n",
	  .fn = cli_disk_freeze },
	{ "disk thaw", "NAME", "let the I/O of a frozen disk go on", .fn = cli_disk_thaw },
	{ "group list", NULL, "groups of disks, their limits and what waited for them",
	  .fn = cli_group_list },
	{ "group add", "NAME", "a group of disks that share limits; see disk limit --group",
	  "Example: nvring group add gold --iops 50000 --bps 1G\n", { LIMITS }, .fn = cli_group_add },
	{ "group set", "NAME", "change limits of a group", "What is not named stays; 'none' removes.\n",
	  { LIMITS }, .fn = cli_group_set },
	{ "group delete", "NAME", "remove a group that no disk is in", .fn = cli_group_delete },
	{ "export list", NULL, "the sockets and who is connected", .fn = cli_export_list },
	{ "export create", "DISK [SOCKET]", "serve a disk on a vhost-user socket",
	  "Without SOCKET it is made beside the control socket. Prints the path.\n",
	  { { "name", "TEXT", "name of the export (default: the disk's)" },
	    { "read-only", NULL, "the guest cannot write" },
	    { "queues", "N", "queues offered (default 64)" },
	    { "serial", "TEXT", "serial number that the guest sees" },
	    { "mode", "MODE", "of the socket file, octal (default 0600)" },
	    { "cpus", "LIST", "run its queues on these CPUs only, such as 0-3,8" },
	    { "no-packed", NULL, "do not offer packed rings" },
	    { "write-through", NULL, "start with the write cache off" } },
	  .fn = cli_export_create },
	{ "export delete", "NAME", "end the session and remove the socket",
	  .fn = cli_export_delete },
	{ "export show", "NAME", "the session: features, memory regions, queues",
	  .fn = cli_export_show },
	{ "vhost move", "EXPORT QUEUE REACTOR", "let a running queue go on on another data thread",
	  "What it has in flight ends first; no I/O is lost, done twice or reordered. Until the\n"
	  "front-end connects again. See 'export show' (queues) and 'reactor list'.\n",
	  .fn = cli_vhost_move },
	{ "reactor list", NULL, "the data threads and what they do", .fn = cli_reactor_list },
	{ "reactor idle", "MIN MAX [ID]", "for how long an idle queue is polled, in microseconds",
	  "In mode adaptive each queue has a window between MIN and MAX, which grows while polling\n"
	  "pays and shrinks while it does not ('export show --json' tells it). Without ID for all\n"
	  "data threads.\n",
	  .fn = cli_reactor_idle },
	{ "reactor mode", "MODE [ID]", "adaptive, poll or interrupt; without ID on all of them",
	  .fn = cli_reactor_mode },
	{ "reactor rebalance", "[on|off]",
	  "show or set whether queues move from busy data threads to others",
	  "Once a second at most one moves, when the difference has been clear for some seconds.\n",
	  .fn = cli_reactor_rebalance },
	{ "log", "[LEVEL]", "show or set the log level: error, warn, notice, info, debug",
	  .fn = cli_log },
	{ "config show", NULL, "the configuration as it is now", .fn = cli_config_show },
	{ "config save", "[FILE]", "write it; without FILE to the one nvringd was started with",
	  .fn = cli_config_save },
	{ "rpc", "METHOD [PARAMS]", "one call of the control interface; PARAMS is a JSON object",
	  "Example: nvring rpc bdev_get_bdevs '{\"name\": \"vol0\"}'\n", .fn = cli_rpc },
	{ "setup status", NULL, "NVMe controllers: who drives them, and can they be bound",
	  .fn = cli_setup_status },
	{ "setup bind", "[BDF...]", "give NVMe controllers to VFIO, and so to nvring",
	  "All of them or none. A controller whose disks are mounted, swapped on or held is refused.\n"
	  "Environment: PCI_ALLOWED (instead of BDF), PCI_BLOCKED, TARGET_USER, DRIVER_OVERRIDE.\n"
	  "Example: nvring setup bind 0000:01:00.0 --user $USER\n",
	  { { "driver", "NAME", "instead of vfio-pci" },
	    { "user", "NAME", "who may use the IOMMU group: owner of /dev/vfio/GROUP" },
	    { "persist", NULL, "at every boot, through driverctl" },
	    { "force", NULL, "also a device that is no NVMe controller" },
	    { "dry-run", NULL, "check, and say what would be written where" } },
	  .fn = cli_setup_bind },
	{ "setup unbind", "[BDF...]", "give them back to the kernel's driver", NULL,
	  { { "persist", NULL, "forget what bind --persist has set" },
	    { "force", NULL, "also a device that is no NVMe controller" },
	    { "dry-run", NULL, "check, and say what would be written where" } },
	  .fn = cli_setup_unbind },
	{ "bench", "URI|SOCKET [OPTION...]", "measure or verify a disk or a socket",
	  .raw = bench_main },
	{ "top", NULL, "what disks, queues and reactors do, live",
	  "Keys: q quits, l shows where the latencies come from, arrows and PgUp, PgDn scroll, Ctrl-L draws anew.\n",
	  { { "interval", "SECONDS", "between two looks (default 1)" },
	    { "latency", NULL, "begin with where the latencies come from: scheduler, driver, notification" },
	    { "once", NULL, "two looks, then plain tables or, with --json, JSON" } },
	  .fn = cli_top },
	{ "where", NULL, "the I/Os in flight: since when, and who has them", .fn = cli_where },
	{ "exec", "[-- COMMAND...]", "run nvme, smartctl and the like on controllers that nvring holds",
	  "They find them as /dev/nvme0 and so on: the first numbers that the kernel has not taken.\n"
	  "Example: nvring exec -- nvme smart-log /dev/nvme0\n",
	  { { "controller", "TARGET", "this one, instead of all that the daemon holds" },
	    { "writable", NULL, "let through commands that change the device" },
	    { "force-exported", NULL, "also those that destroy what an exported disk is made of" } },
	  .fn = cli_exec, .takes_rest = true },
	{ "doctor", NULL, "check this machine; says how to mend what fails", NULL,
	  { { "path", "FOLDER", "where the disk images shall be (default: here)" } },
	  .fn = cli_doctor },
	{ "version", NULL, "of this program and of the daemon", .fn = cli_version },
	{ "help", "[COMMAND [VERB]]", "this text, or that of a command", NULL,
	  { { "words", NULL, "all commands and options for completion" } },
	  .fn = cli_help },
	{ .more = cli_nvme_commands },
};
