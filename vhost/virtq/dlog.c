/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log: map it once, set bits. */
#include "vhost/virtq/dlog.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/sigbus.h"

int dlog_create(const struct dlog_desc *d, struct dlog **ret_log, struct errbuf *eb)
{
	struct sigbus_range guard = { .what = "dirty log", .owner = d->owner };
	struct dlog *log;
	struct stat st;
	uint64_t start;
	int err;

	if (d->size == 0 || d->size > INT64_MAX || d->off > INT64_MAX - d->size)
		return errbuf_set(eb, -EINVAL, "dirty log of %#llx bytes at %#llx",
				  (unsigned long long)d->size, (unsigned long long)d->off);
	if (fstat(d->fd, &st))
		return errbuf_set(eb, -errno, "dirty log: fstat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || d->off + d->size > (uint64_t)st.st_size)
		return errbuf_set(eb, -EINVAL, "dirty log ends at %#llx, its file has %#llx bytes",
				  (unsigned long long)(d->off + d->size),
				  (unsigned long long)st.st_size);
	log = calloc(1, sizeof(*log));
	if (!log)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	guard.page = sigbus_page_bytes(&st);
	start = CC_ALIGN_DOWN(d->off, guard.page);
	guard.len = CC_ALIGN_UP(d->off - start + d->size, guard.page);
	guard.va = mmap(NULL, guard.len, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, (off_t)start);
	if (guard.va == MAP_FAILED) {
		err = errbuf_set(eb, -errno, "dirty log: mmap: %s", strerror(errno));
		goto out_free;
	}
	if (sigbus_range_add(&guard)) {
		err = errbuf_set(eb, -ENOMEM, "out of memory");
		goto out_unmap;
	}
	log->map = guard.va;
	log->map_bytes = guard.len;
	log->bits = (uint8_t *)log->map + (d->off - start);
	log->nbytes = d->size;
	log->refs = 1;
	*ret_log = log;
	return 0;

out_unmap:
	munmap(guard.va, guard.len);
out_free:
	free(log);
	return err;
}

struct dlog *dlog_get(struct dlog *log)
{
	assert(log->refs);
	log->refs++;
	return log;
}

void dlog_put(struct dlog *log)
{
	if (!log || --log->refs)
		return;
	sigbus_range_del(log->map);
	munmap(log->map, log->map_bytes);
	free(log);
}

/*
 * Always the atomic or, even when the bit seems to be set: it is also the full barrier between our
 * data and the bit. A plain look could be older than the data, and the migration would miss the
 * page.
 */
void dlog_mark(struct dlog *log, uint64_t gpa, uint64_t len)
{
	uint64_t page, last;

	if (len == 0)
		return;
	if (len - 1 > UINT64_MAX - gpa)
		len = UINT64_MAX - gpa; /* nothing beyond the end of the address space */
	page = gpa / DLOG_PAGE_BYTES;
	last = (gpa + len - 1) / DLOG_PAGE_BYTES;
	if (last / 8 >= log->nbytes)
		last = log->nbytes * 8 - 1;
	while (page <= last) {
		uint64_t end = CC_MIN(last, page | 7); /* of this byte */
		unsigned bits = (0xffu << (page & 7)) & (0xffu >> (7 - (end & 7)));

		__atomic_fetch_or(&log->bits[page / 8], (uint8_t)bits, __ATOMIC_SEQ_CST);
		page = end + 1;
	}
}
