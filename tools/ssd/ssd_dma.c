/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the client's memory. */
#include "tools/ssd/ssd_dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/base/cc.h"

int ssd_dma_init(struct ssd_dma *d)
{
	*d = (struct ssd_dma){ .generation = 1 };
	return sigbus_owner_init(&d->lost);
}

void ssd_dma_fini(struct ssd_dma *d)
{
	(void)ssd_dma_unmap(d, 0, 0, true);
	free(d->region);
	d->region = NULL;
	sigbus_owner_fini(&d->lost);
}

/* The first region that ends behind @iova. */
static unsigned region_find(const struct ssd_dma *d, uint64_t iova)
{
	unsigned lo = 0, hi = d->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (d->region[mid].iova + (d->region[mid].len - 1) < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int region_open(struct ssd_dma *d, struct ssd_dma_region *r, int fd, uint64_t offset)
{
	struct sigbus_range range = { .what = "memory of the client", .owner = &d->lost };
	int prot = (r->readable ? PROT_READ : 0) | (r->writable ? PROT_READ | PROT_WRITE : 0);
	uint64_t skip;
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return -errno;
	/* rings and doorbells are accessed as words: they must lie in our memory as they do in the
	 * client's */
	if ((r->iova | r->len | offset) & (SSD_DMA_ALIGN - 1))
		return -EINVAL;
	if (!S_ISREG(st.st_mode) || offset > (uint64_t)st.st_size ||
	    r->len > (uint64_t)st.st_size - offset)
		return -EINVAL;
	range.page = sigbus_page_bytes(&st);
	skip = offset - CC_ALIGN_DOWN(offset, range.page);
	r->maplen = CC_ALIGN_UP(skip + r->len, range.page);
	r->map = mmap(NULL, r->maplen, prot, MAP_SHARED, fd, (off_t)(offset - skip));
	if (r->map == MAP_FAILED)
		return -errno;
	r->va = (uint8_t *)r->map + skip;
	range.va = r->map;
	range.len = r->maplen;
	err = sigbus_range_add(&range);
	if (err)
		munmap(r->map, r->maplen);
	return err;
}

static void region_close(struct ssd_dma_region *r)
{
	if (!r->va)
		return;
	sigbus_range_del(r->map);
	munmap(r->map, r->maplen);
}

static int table_grow(struct ssd_dma *d)
{
	unsigned room = d->room ? d->room * 2 : 16;
	struct ssd_dma_region *p;

	if (d->n < d->room)
		return 0;
	p = reallocarray(d->region, room, sizeof(*p));
	if (!p)
		return -ENOMEM;
	d->region = p;
	d->room = room;
	return 0;
}

int ssd_dma_map(struct ssd_dma *d, const struct ssd_dma_region *want, int fd, uint64_t offset)
{
	struct ssd_dma_region r = *want;
	unsigned at;
	int err;

	if (r.len == 0 || r.iova + (r.len - 1) < r.iova || r.len > INT64_MAX || offset > INT64_MAX)
		return -EINVAL;
	if (d->n == SSD_DMA_REGIONS_MAX)
		return -ENOSPC;
	at = region_find(d, r.iova);
	if (at < d->n && d->region[at].iova <= r.iova + (r.len - 1))
		return -EEXIST;
	err = table_grow(d);
	r.va = NULL;
	if (!err && fd >= 0)
		err = region_open(d, &r, fd, offset);
	if (err)
		return err;
	memmove(&d->region[at + 1], &d->region[at], (d->n - at) * sizeof(r));
	d->region[at] = r;
	d->n++;
	d->generation++;
	return 0;
}

int ssd_dma_unmap(struct ssd_dma *d, uint64_t iova, uint64_t len, bool all)
{
	unsigned at = all ? 0 : region_find(d, iova);

	if (all) {
		for (unsigned i = 0; i < d->n; i++)
			region_close(&d->region[i]);
		d->n = 0;
	} else {
		if (at == d->n || d->region[at].iova != iova || d->region[at].len != len)
			return -ENOENT;
		region_close(&d->region[at]);
		d->n--;
		memmove(&d->region[at], &d->region[at + 1], (d->n - at) * sizeof(d->region[0]));
	}
	d->last = 0;
	d->generation++;
	return 0;
}

uint8_t *ssd_dma_at(struct ssd_dma *d, uint64_t iova, uint64_t len, bool write)
{
	const struct ssd_dma_region *r;

	if (d->n == 0)
		return NULL;
	r = &d->region[d->last];
	if (iova - r->iova >= r->len) {
		unsigned at = region_find(d, iova);

		if (at == d->n)
			return NULL;
		d->last = at;
		r = &d->region[at];
	}
	if (iova < r->iova || len > r->len - (iova - r->iova) || !r->va)
		return NULL;
	if (write ? !r->writable : !r->readable)
		return NULL;
	return r->va + (iova - r->iova);
}
