/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log of live migration (VHOST_F_LOG_ALL): one bit per 4 KiB guest page, shared with the front-end. */
#ifndef VHOST_VIRTQ_DLOG_H
#define VHOST_VIRTQ_DLOG_H

#include <stdint.h>

#include "core/base/cc.h"
#include "core/base/errbuf.h"

#define DLOG_PAGE_BYTES 4096

struct dlog {
	uint8_t *bits; /* start of the log proper: mmap + offset, applied once (CVE-2026-86563) */
	uint64_t nbytes;
	void *map;
	uint64_t map_bytes;
	unsigned refs; /* control thread */
};

struct sigbus_owner;

/* The log as the front-end describes it; fd stays the caller's. */
struct dlog_desc {
	uint64_t off, size;
	int fd;
	struct sigbus_owner *owner; /* told when the file shrinks later; NULL: nobody */
};

/* Maps [off, off+size) of the file. -EINVAL with eb for wrap or a file too short. Control thread.
 */
int dlog_create(const struct dlog_desc *d, struct dlog **ret_log, struct errbuf *eb);
struct dlog *dlog_get(struct dlog *log);
void dlog_put(struct dlog *log);

/* Mark [gpa, gpa+len): atomic or of bits; pages beyond the log are ignored. Any reactor. */
void dlog_mark(struct dlog *log, uint64_t gpa, uint64_t len);

/*
 * The same for data that a full barrier (barrier_full()) has followed: there a look will do at a page that is marked. Who
 * takes the bit that we have seen takes it later, and finds our data.
 */
static cc_always_inline void dlog_mark_behind_barrier(struct dlog *log, uint64_t gpa, uint64_t len)
{
	uint64_t page = gpa / DLOG_PAGE_BYTES;

	if (len - 1 < DLOG_PAGE_BYTES - gpa % DLOG_PAGE_BYTES && page / 8 < log->nbytes &&
	    __atomic_load_n(&log->bits[page / 8], __ATOMIC_RELAXED) & 1u << (page & 7))
		return;
	dlog_mark(log, gpa, len);
}

#endif
