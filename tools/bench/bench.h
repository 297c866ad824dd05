/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator behind `nvring bench`: drives a bdev URI or a vhost-user-blk socket, verifies,
 * reports. */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

/**
 * bench_main - one run, as `nvring bench` does it; argv[0] is the name in messages.
 * Ends in 0 (all well), 1 (an I/O failed, verification found something, the target is gone), 2
 * (usage). Starts threads, writes to standard output and standard error. Once per process.
 */
int bench_main(int argc, char **argv);

#endif
