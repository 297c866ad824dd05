/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and takes back the inflight area. What its regions say is checked by vq_init(). */
#include "vhost/user/vu_inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/sigbus.h"
#include "vhost/user/vu_session.h"
#include "vhost/virtq/vqi.h"

static int inflight_check(const struct vu_inflight *d, unsigned nqueues_max, struct errbuf *eb)
{
	if (d->nqueues == 0 || d->nqueues > nqueues_max)
		return errbuf_set(eb, -EINVAL, "inflight area for %u queues, the device has %u",
				  d->nqueues, nqueues_max);
	if (d->queue_size == 0 || d->queue_size > VQ_SIZE_MAX)
		return errbuf_set(eb, -EINVAL, "inflight area for queues of size %u",
				  d->queue_size);
	return 0;
}

int vu_inflight_make(struct vu_inflight *d, bool packed, unsigned nqueues_max, int *ret_fd,
		     struct errbuf *eb)
{
	int fd, err = inflight_check(d, nqueues_max, eb);

	if (err)
		return err;
	fd = memfd_create("nvring-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return errbuf_set(eb, -errno, "memfd for the inflight area: %s", strerror(errno));
	d->mmap_size = d->nqueues * vqi_bytes(packed, d->queue_size);
	d->mmap_off = 0;
	/* Sealed: whoever maps it can rely on its size. */
	if (ftruncate(fd, (off_t)d->mmap_size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = errbuf_set(eb, -errno, "inflight area of %llu bytes: %s",
				 (unsigned long long)d->mmap_size, strerror(errno));
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int vu_inflight_map(struct vu_inflight_area *a, const struct vu_inflight *d, unsigned nqueues_max,
		    int fd, struct errbuf *eb)
{
	struct sigbus_range guard = { .what = "inflight area", .owner = a->owner };
	uint64_t start, rest;
	struct stat st;
	void *map;
	int err = inflight_check(d, nqueues_max, eb);

	if (err)
		return err;
	if (fstat(fd, &st))
		return errbuf_set(eb, -errno, "inflight area: fstat: %s", strerror(errno));
	/* Both are compared with the file before they are added: no sum can wrap. */
	if (d->mmap_size == 0 || d->mmap_off % sizeof(uint64_t) || !S_ISREG(st.st_mode) ||
	    d->mmap_size > (uint64_t)st.st_size ||
	    d->mmap_off > (uint64_t)st.st_size - d->mmap_size)
		return errbuf_set(eb, -EINVAL,
				  "inflight area of %#llx bytes at %#llx, its file has %#llx",
				  (unsigned long long)d->mmap_size, (unsigned long long)d->mmap_off,
				  (unsigned long long)st.st_size);
	if (d->mmap_size / d->nqueues < vqi_bytes(false, d->queue_size))
		return errbuf_set(eb, -EINVAL,
				  "inflight area of %#llx bytes is too small for %u queues of %u",
				  (unsigned long long)d->mmap_size, d->nqueues, d->queue_size);
	guard.page = sigbus_page_bytes(&st);
	start = CC_ALIGN_DOWN(d->mmap_off, guard.page);
	rest = d->mmap_off - start;
	guard.len = CC_ALIGN_UP(rest + d->mmap_size, guard.page);
	map = mmap(NULL, guard.len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (map == MAP_FAILED)
		return errbuf_set(eb, -errno, "inflight area: mmap: %s", strerror(errno));
	guard.va = map;
	if (sigbus_range_add(&guard)) {
		munmap(map, guard.len);
		return errbuf_set(eb, -ENOMEM, "out of memory");
	}
	vu_inflight_unmap(a);
	a->map = map;
	a->map_bytes = guard.len;
	a->base = (char *)map + rest;
	a->bytes = d->mmap_size;
	a->nqueues = d->nqueues;
	a->queue_size = d->queue_size;
	return 0;
}

void vu_inflight_unmap(struct vu_inflight_area *a)
{
	if (a->map) {
		sigbus_range_del(a->map);
		munmap(a->map, a->map_bytes);
	}
	*a = (struct vu_inflight_area){ .owner = a->owner };
}

int vu_inflight_region(const struct vu_inflight_area *a, unsigned index, bool packed, uint16_t size,
		       void **ret, struct errbuf *eb)
{
	uint64_t bytes = vqi_bytes(packed, a->queue_size);

	*ret = NULL;
	if (!a->map || index >= a->nqueues)
		return 0;
	if (size > a->queue_size)
		return errbuf_set(eb, -EINVAL, "queue of %u entries, its inflight area is for %u",
				  size, a->queue_size);
	if ((index + 1) * bytes > a->bytes)
		return errbuf_set(eb, -EINVAL,
				  "the inflight area is too small for this kind of ring");
	/* A ring smaller than the area's size uses the front of its region. */
	*ret = a->base + index * bytes;
	return 0;
}

int vu_get_inflight_fd(struct vu_session *s, struct vu_msg *m)
{
	int fd, err = vu_inflight_make(&m->p.inflight, vu_session_is_packed(s), s->nrings, &fd,
				       &s->eb);

	if (err)
		return err;
	m->fds[0] = fd;
	m->nfds = 1;
	return 0;
}

int vu_set_inflight_fd(struct vu_session *s, struct vu_msg *m)
{
	int err;

	assert(!vu_session_is_running(
		s)); /* they would write into the old area; the dispatcher's table says so */
	err = vu_inflight_map(&s->inflight, &m->p.inflight, s->nrings, m->fds[0], &s->eb);
	for (unsigned i = 0; i < s->nrings && !err; i++)
		s->rings[i].kept = s->rings[i].left = false;
	return err;
}
