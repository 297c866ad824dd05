/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces: their files, sizes and names, and which of their blocks cannot be read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/ssd/ssd_priv.h"

#define NULL_BYTES   (1ull << 40) /* of a null namespace without a size */
#define ZEROES_BYTES 65536u

/* splitmix64's finaliser over the text: the same names after every start. */
static uint64_t name_hash(const char *serial, uint32_t nsid, unsigned part)
{
	uint64_t x = ((uint64_t)nsid << 8 | part) + 0x9e3779b97f4a7c15ull;

	for (; *serial; serial++) {
		x = (x ^ (uint8_t)*serial) * 0xbf58476d1ce4e5b9ull;
		x ^= x >> 29;
	}
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void ns_name(struct ssd *s, struct ssd_ns *ns)
{
	uint64_t h[5];

	for (unsigned i = 0; i < 5; i++)
		h[i] = name_hash(s->opts.serial, ns->nsid, i);
	memcpy(ns->nguid, h, 16);
	memcpy(ns->uuid, h + 2, 16);
	ns->uuid[6] = (ns->uuid[6] & 0x0f) | 0x80; /* version 8: made our own way */
	ns->uuid[8] = (ns->uuid[8] & 0x3f) | 0x80;
	memcpy(ns->eui64, h + 4, 8);
	ns->eui64[0] = (ns->eui64[0] & 0xfc) | 0x02; /* local */
}

struct ssd_ns *ssd_ns_get(struct ssd *s, uint32_t nsid)
{
	return nsid >= 1 && nsid <= SSD_NS_MAX && s->ns[nsid].exists ? &s->ns[nsid] : NULL;
}

static void ns_begin(struct ssd *s, uint32_t nsid, unsigned shift)
{
	struct ssd_ns *ns = &s->ns[nsid];

	*ns = (struct ssd_ns){ .exists = true, .nsid = nsid, .fd = -1, .shift = shift };
	ns_name(s, ns);
}

static int file_size(struct ssd_ns *ns, const struct ssd_ns_opts *o, struct errbuf *eb)
{
	struct stat st;
	off_t end;

	if (fstat(ns->fd, &st))
		return errbuf_set(eb, -errno, "--ns %.200s: %s", o->path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return errbuf_set(eb, -EINVAL, "--ns %.200s: neither a file nor a block device",
				  o->path);
	end = lseek(ns->fd, 0, SEEK_END);
	if (S_ISREG(st.st_mode) && o->bytes > (uint64_t)end) {
		if (o->read_only)
			return errbuf_set(eb, -EINVAL,
					  "--ns %.200s: smaller than size= and read-only", o->path);
		if (ftruncate(ns->fd, (off_t)o->bytes))
			return errbuf_set(eb, -errno, "--ns %.200s: growing it: %s", o->path,
					  strerror(errno));
		end = (off_t)o->bytes;
	}
	if (o->bytes > (uint64_t)end)
		return errbuf_set(eb, -EINVAL,
				  "--ns %.200s: the device is smaller than size=", o->path);
	ns->bytes = o->bytes ? o->bytes : (uint64_t)end;
	if (ns->bytes >> ns->shift == 0)
		return errbuf_set(eb, -EINVAL, "--ns %.200s: empty; give it size=, such as size=1G",
				  o->path);
	return 0;
}

int ssd_ns_open(struct ssd *s, uint32_t nsid, const struct ssd_ns_opts *o, struct errbuf *eb)
{
	struct ssd_ns *ns = &s->ns[nsid];
	int flags = (o->read_only ? O_RDONLY : O_RDWR | (o->bytes ? O_CREAT : 0)) | O_CLOEXEC;
	int err;

	ns_begin(s, nsid, o->block == 4096 ? 12 : 9);
	ns->attached = true;
	ns->read_only = o->read_only;
	ns->boundary = o->boundary;
	if (o->null) {
		ns->null = true;
		ns->bytes = o->bytes ? o->bytes : NULL_BYTES;
		return 0;
	}
	memcpy(ns->path, o->path, sizeof(ns->path));
	ns->fd = open(o->path, flags, 0600);
	if (ns->fd < 0) {
		err = errbuf_set(eb, -errno, "--ns %.200s: %s%s", o->path, strerror(errno),
				 errno == ENOENT ? "; with size=1G it is made" : "");
	} else if (flock(ns->fd, (o->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB)) {
		err = errbuf_set(eb, -EBUSY, "--ns %.200s: another process has it locked", o->path);
	} else {
		err = file_size(ns, o, eb);
	}
	if (err)
		ssd_ns_close(s, ns);
	return err;
}

int ssd_ns_create(struct ssd *s, uint32_t nsid, uint64_t bytes, unsigned shift)
{
	struct ssd_ns *ns = &s->ns[nsid];

	ns_begin(s, nsid, shift);
	ns->volatile_file = true;
	ns->bytes = bytes;
	if (s->opts.pool)
		ns->fd = open(s->opts.pool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	else
		ns->fd = memfd_create("nvring-ssd-namespace", MFD_CLOEXEC);
	if (ns->fd < 0 || ftruncate(ns->fd, (off_t)bytes)) {
		int err = -errno;

		ns->volatile_file = false;
		ssd_ns_close(s, ns);
		return err;
	}
	s->capacity_used += bytes;
	return 0;
}

void ssd_ns_close(struct ssd *s, struct ssd_ns *ns)
{
	if (ns->fd >= 0)
		close(ns->fd);
	if (ns->volatile_file)
		s->capacity_used -= ns->bytes;
	*ns = (struct ssd_ns){ .fd = -1 };
}

int ssd_ns_resize(struct ssd *s, struct ssd_ns *ns, uint64_t bytes, struct errbuf *eb)
{
	struct stat st;

	if (ns->read_only)
		return errbuf_set(eb, -EROFS, "namespace %u is read-only", ns->nsid);
	if (bytes >> ns->shift == 0 || bytes > INT64_MAX)
		return errbuf_set(eb, -EINVAL, "a namespace cannot be that size");
	if (!ns->null) {
		if (fstat(ns->fd, &st) || !S_ISREG(st.st_mode))
			return errbuf_set(eb, -EINVAL, "namespace %u is not a file", ns->nsid);
		if (ftruncate(ns->fd, (off_t)bytes))
			return errbuf_set(eb, -errno, "namespace %u: %s", ns->nsid,
					  strerror(errno));
	}
	if (ns->volatile_file)
		s->capacity_used += bytes - ns->bytes;
	ns->bytes = bytes;
	if (ns->attached)
		ssd_event_ns_changed(s, ns->nsid);
	return 0;
}

static int write_zeroes(int fd, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[ZEROES_BYTES];

	while (len) {
		ssize_t n = pwrite(fd, zeroes, CC_MIN(len, sizeof(zeroes)), (off_t)off);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			off += (uint64_t)n;
			len -= (uint64_t)n;
		}
	}
	return 0;
}

int ssd_ns_clear(struct ssd_ns *ns, uint64_t off, uint64_t len, bool deallocate)
{
	int mode = deallocate ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
			      : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	if (ns->null || !len)
		return 0;
	if (!fallocate(ns->fd, mode, (off_t)off, (off_t)len))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
		return -errno;
	return write_zeroes(ns->fd, off, len);
}

int ssd_ns_sync(struct ssd_ns *ns)
{
	if (ns->fd < 0 || ns->read_only)
		return 0;
	return fdatasync(ns->fd) ? -errno : 0;
}

bool ssd_ns_is_protected(const struct ssd_ns *ns)
{
	return ns->read_only || ns->protect;
}

/*
 * Unreadable blocks: a short list of disjoint ranges
 */
void ssd_ns_uncorr_clear(struct ssd_ns *ns, uint64_t lba, uint64_t nblocks)
{
	uint64_t end = lba + nblocks;

	for (unsigned i = 0; i < ns->nuncorr; i++) {
		struct ssd_range *r = &ns->uncorr[i], tail = { end, r->to };

		if (r->to <= lba || r->from >= end)
			continue;
		if (r->from < lba) {
			r->to = lba;
			/* a hole in the middle makes two; where there is no room for both, the tail
			 * becomes readable */
			if (tail.from < tail.to && ns->nuncorr < SSD_UNCORR_MAX)
				ns->uncorr[ns->nuncorr++] = tail;
		} else if (tail.from < tail.to) {
			r->from = end;
		} else {
			*r = ns->uncorr[--ns->nuncorr];
			i--;
		}
	}
}

void ssd_ns_uncorr_set(struct ssd_ns *ns, uint64_t lba, uint64_t nblocks)
{
	ssd_ns_uncorr_clear(ns, lba, nblocks);
	/* full: the last range is forgotten, the newest counts */
	if (ns->nuncorr == SSD_UNCORR_MAX)
		ns->nuncorr--;
	ns->uncorr[ns->nuncorr++] = (struct ssd_range){ lba, lba + nblocks };
}

bool ssd_ns_uncorr_find(const struct ssd_ns *ns, uint64_t lba, uint64_t nblocks, uint64_t *ret_lba)
{
	bool found = false;

	for (unsigned i = 0; i < ns->nuncorr; i++) {
		const struct ssd_range *r = &ns->uncorr[i];
		uint64_t at = CC_MAX(r->from, lba);

		if (r->to <= lba || r->from >= lba + nblocks || (found && at >= *ret_lba))
			continue;
		*ret_lba = at;
		found = true;
	}
	return found;
}
