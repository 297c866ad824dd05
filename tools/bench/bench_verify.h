/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every block must hold. Each unit (up to 4 KiB) is written with a stamp: magic, identity of
 * the state, number of the unit, generation, checksum; its generations are remembered here, in a
 * file when they must outlive the process:
 *
 *   committed ── bench_verify_write: issued = next generation ──► in flight ── bench_verify_commit
 * ──► committed = issued
 *
 * A unit read at rest must hold a generation from committed to issued; they differ only where a
 * write failed or a process died. What it then holds is the truth from there on. A unit is used by
 * one thread at a time.
 */
#ifndef TOOLS_BENCH_BENCH_VERIFY_H
#define TOOLS_BENCH_BENCH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

struct bench_verify;

#define BENCH_VERIFY_UNIT_MAX 4096u

/* The unit for I/Os of @bs bytes (a multiple of 512): the largest power of two that divides it, at
 * most 4 KiB. */
uint32_t bench_verify_unit_for(uint32_t bs);

/**
 * bench_verify_open - for @bytes of a device from @offset on. @path: the state file, made when it
 * is not there, gone on with when it is (an mmap: always current, also after kill -9); NULL: memory
 * only. 0; -EINVAL when the file is of another range or unit; -errno.
 */
int bench_verify_open(const char *path, uint64_t offset, uint64_t bytes, uint32_t unit,
		      struct bench_verify **ret_v, struct errbuf *eb);
void bench_verify_close(struct bench_verify *v);

uint32_t bench_verify_unit(const struct bench_verify *v);

/* Before a read: nothing in @buf looks like a stamp. */
void bench_verify_poison(const struct bench_verify *v, void *buf, unsigned n);

/* Before a write of @n units from @unit on: next generation, @buf filled with stamped content. */
void bench_verify_write(struct bench_verify *v, uint64_t unit, unsigned n, void *buf);

/* Before a write-zeroes (@zeroes) or a discard (content unknown afterwards). */
void bench_verify_erase(struct bench_verify *v, uint64_t unit, unsigned n, bool zeroes);

/* It was answered with success. */
void bench_verify_commit(struct bench_verify *v, uint64_t unit, unsigned n);

/* Is there anything to check in these units? */
bool bench_verify_is_known(const struct bench_verify *v, uint64_t unit, unsigned n);

struct bench_verify_result {
	unsigned checked, bad; /* units */
	char text[256];	       /* the first bad one: what, where */
};

/* What was read from @unit on. */
void bench_verify_check(struct bench_verify *v, uint64_t unit, unsigned n, const void *buf,
			struct bench_verify_result *ret);

#endif
