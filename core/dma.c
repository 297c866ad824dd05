/* SPDX-License-Identifier: BSD-3-Clause */
/* The DMA registry: regions of this process's memory, mapped into every attached domain. */
#include "core/dma.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"

/* Guards the regions, the list of domains, and who writes the domains' tables. Readers of tables
 * take no lock. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dma_region regions[DMA_REGIONS_MAX]; /* sorted by va, disjoint; fds are ours */
static unsigned nregions;
static struct list domains = { &domains, &domains };

#define dma_get(x)    __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define dma_set(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

static struct dma_table *dma_table_current(struct dma_domain *d)
{
	return d->table[d->gen & 1];
}

/* The table that nobody looks at, for the next generation. */
static struct dma_table *dma_table_next(struct dma_domain *d)
{
	/* Partner: dma_xlate(). Whoever sees one of our stores below sees the generation that came
	 * before them. */
	barrier_release();
	return d->table[(d->gen + 1) & 1];
}

static void dma_table_publish(struct dma_domain *d)
{
	__atomic_store_n(&d->gen, d->gen + 1, __ATOMIC_RELEASE);
}

static void dma_range_copy(struct dma_range *dst, const struct dma_range *src)
{
	dma_set(dst->va, src->va);
	dma_set(dst->len, src->len);
	dma_set(dst->iova, src->iova);
}

/* The current table with @range put in at @at. */
static void dma_table_insert(struct dma_domain *d, unsigned at, const struct dma_range *range)
{
	const struct dma_table *cur = dma_table_current(d);
	struct dma_table *next = dma_table_next(d);

	for (unsigned i = 0; i < at; i++)
		dma_range_copy(&next->range[i], &cur->range[i]);
	dma_range_copy(&next->range[at], range);
	for (unsigned i = at; i < cur->n; i++)
		dma_range_copy(&next->range[i + 1], &cur->range[i]);
	dma_set(next->n, cur->n + 1);
	dma_table_publish(d);
}

/* The current table without entry @at. Returns its iova. */
static uint64_t dma_table_remove(struct dma_domain *d, unsigned at)
{
	const struct dma_table *cur = dma_table_current(d);
	struct dma_table *next = dma_table_next(d);
	uint64_t iova = cur->range[at].iova;

	for (unsigned i = 0; i < at; i++)
		dma_range_copy(&next->range[i], &cur->range[i]);
	for (unsigned i = at + 1; i < cur->n; i++)
		dma_range_copy(&next->range[i - 1], &cur->range[i]);
	dma_set(next->n, cur->n - 1);
	dma_table_publish(d);
	return iova;
}

static int dma_domain_map(struct dma_domain *d, unsigned at, const struct dma_region *region)
{
	struct dma_range range = { .va = (uintptr_t)region->va, .len = region->len };
	int err = d->ops->map(d, region, &range.iova);

	if (err)
		return err;
	dma_table_insert(d, at, &range);
	return 0;
}

static void dma_domain_unmap(struct dma_domain *d, unsigned at, const struct dma_region *region)
{
	/* The device forgets it after the readers do. It was mapped, so there is nothing to do
	 * about an error. */
	(void)d->ops->unmap(d, region->va, region->len, dma_table_remove(d, at));
}

static void dma_domain_release(struct dma_domain *d)
{
	for (unsigned i = dma_table_current(d)->n; i > 0; i--)
		dma_domain_unmap(d, i - 1, &regions[i - 1]);
	free(d->table[0]);
	free(d->table[1]);
	d->table[0] = NULL;
	d->table[1] = NULL;
}

int dma_domain_attach(struct dma_domain *d, const struct dma_domain_ops *ops)
{
	size_t bytes = sizeof(struct dma_table) + DMA_REGIONS_MAX * sizeof(struct dma_range);
	int err = 0;

	d->ops = ops;
	d->gen = 0;
	d->table[0] = calloc(1, bytes);
	d->table[1] = calloc(1, bytes);
	if (!d->table[0] || !d->table[1]) {
		free(d->table[0]);
		free(d->table[1]);
		return -ENOMEM;
	}
	pthread_mutex_lock(&registry_lock);
	for (unsigned i = 0; i < nregions && !err; i++)
		err = dma_domain_map(d, i, &regions[i]);
	if (err)
		dma_domain_release(d);
	else
		list_add_tail(&domains, &d->link);
	pthread_mutex_unlock(&registry_lock);
	return err;
}

void dma_domain_detach(struct dma_domain *d)
{
	pthread_mutex_lock(&registry_lock);
	list_del(&d->link);
	dma_domain_release(d);
	pthread_mutex_unlock(&registry_lock);
}

/* The first region that ends behind @va; nregions when there is none. */
static unsigned dma_region_find(uintptr_t va)
{
	unsigned i = 0;

	while (i < nregions && (uintptr_t)regions[i].va + (regions[i].len - 1) < va)
		i++;
	return i;
}

/* In every domain, or in none. */
static int dma_region_map(unsigned at, const struct dma_region *region)
{
	struct list *pos, *undo;
	int err;

	list_for_each (pos, &domains) {
		err = dma_domain_map(list_entry(pos, struct dma_domain, link), at, region);
		if (!err)
			continue;
		for (undo = pos->prev; undo != &domains; undo = undo->prev)
			dma_domain_unmap(list_entry(undo, struct dma_domain, link), at, region);
		return err;
	}
	return 0;
}

static int dma_region_add_locked(const struct dma_region *region)
{
	unsigned at = dma_region_find((uintptr_t)region->va);
	int err;

	if (at < nregions && (uintptr_t)regions[at].va <= (uintptr_t)region->va + (region->len - 1))
		return -EEXIST;
	if (nregions == DMA_REGIONS_MAX)
		return -ENOSPC;
	err = dma_region_map(at, region);
	if (err)
		return err;
	memmove(&regions[at + 1], &regions[at], (nregions - at) * sizeof(regions[0]));
	regions[at] = *region;
	nregions++;
	return 0;
}

int dma_region_add(const struct dma_region *region)
{
	struct dma_region own = *region;
	int err;

	if (own.len == 0 || (uintptr_t)own.va + (own.len - 1) < (uintptr_t)own.va)
		return -EINVAL;
	if (own.fd >= 0) {
		own.fd = fcntl(region->fd, F_DUPFD_CLOEXEC, 0);
		if (own.fd < 0)
			return -errno;
	}
	pthread_mutex_lock(&registry_lock);
	err = dma_region_add_locked(&own);
	pthread_mutex_unlock(&registry_lock);
	if (err && own.fd >= 0)
		close(own.fd);
	return err;
}

static int dma_region_del_locked(void *va, size_t len)
{
	unsigned at = dma_region_find((uintptr_t)va);
	struct list *pos;

	if (at == nregions || regions[at].va != va || regions[at].len != len)
		return -ENOENT;
	list_for_each (pos, &domains)
		dma_domain_unmap(list_entry(pos, struct dma_domain, link), at, &regions[at]);
	if (regions[at].fd >= 0)
		close(regions[at].fd);
	nregions--;
	memmove(&regions[at], &regions[at + 1], (nregions - at) * sizeof(regions[0]));
	return 0;
}

int dma_region_del(void *va, size_t len)
{
	int err;

	pthread_mutex_lock(&registry_lock);
	err = dma_region_del_locked(va, len);
	pthread_mutex_unlock(&registry_lock);
	return err;
}

unsigned dma_region_count(void)
{
	unsigned n;

	pthread_mutex_lock(&registry_lock);
	n = nregions;
	pthread_mutex_unlock(&registry_lock);
	return n;
}

/* The last range that begins at or before @va, if it reaches that far. The table may be rewritten
 * meanwhile; the caller notices. */
static struct dma_range dma_table_search(const struct dma_table *t, uintptr_t va)
{
	unsigned low = 0, high = dma_get(t->n);
	struct dma_range r = { 0 };

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (dma_get(t->range[mid].va) <= va)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return r;
	r.va = dma_get(t->range[low - 1].va);
	r.len = dma_get(t->range[low - 1].len);
	r.iova = dma_get(t->range[low - 1].iova);
	if (va - r.va >= r.len)
		r.len = 0;
	return r;
}

struct dma_range dma_find(const struct dma_domain *d, const void *va, uint32_t *ret_gen)
{
	struct dma_range r;
	uint32_t gen;

	do {
		gen = dma_generation(d);
		r = dma_table_search(d->table[gen & 1], (uintptr_t)va);
		barrier_acquire(); /* partner: dma_table_next() */
	} while (cc_unlikely(dma_get(d->gen) != gen));
	*ret_gen = gen;
	return r;
}

uint64_t dma_xlate(const struct dma_domain *d, const void *va, size_t *ret_len)
{
	uint32_t gen;
	struct dma_range r = dma_find(d, va, &gen);
	uintptr_t into = (uintptr_t)va - r.va;

	if (r.len == 0)
		return DMA_IOVA_NONE;
	*ret_len = r.len - into;
	return r.iova + into;
}
