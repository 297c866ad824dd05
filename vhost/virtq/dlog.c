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

int dlog_create(int fd, uint64_t off, uint64_t size, struct dlog **ret_log, struct errbuf *eb)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start = CC_ALIGN_DOWN(off, page);
	struct dlog *log;
	struct stat st;
	int err;

	if (size == 0 || size > INT64_MAX || off > INT64_MAX - size)
		return errbuf_set(eb, -EINVAL, "dirty log of %#llx bytes at %#llx",
				  (unsigned long long)size, (unsigned long long)off);
	if (fstat(fd, &st))
		return errbuf_set(eb, -errno, "dirty log: fstat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || off + size > (uint64_t)st.st_size)
		return errbuf_set(eb, -EINVAL, "dirty log ends at %#llx, its file has %#llx bytes",
				  (unsigned long long)(off + size), (unsigned long long)st.st_size);
	log = calloc(1, sizeof(*log));
	if (!log)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	log->map_bytes = off - start + size;
	log->map = mmap(NULL, log->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (log->map == MAP_FAILED) {
		err = errbuf_set(eb, -errno, "dirty log: mmap: %s", strerror(errno));
		free(log);
		return err;
	}
	log->bits = (uint8_t *)log->map + (off - start);
	log->nbytes = size;
	log->refs = 1;
	*ret_log = log;
	return 0;
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
