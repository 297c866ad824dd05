/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory tables: map the peer's files, look addresses up. */
#include "vhost/virtq/gmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/dma.h"
#include "core/sigbus.h"

#define GMEM_PAGE_BYTES 4096ull
#define GMEM_BYTES_MAX	(1ull << 47) /* of one region: what a process can map at all */

struct gmem_map {
	void *base; /* what mmap returned */
	size_t bytes;
	void *dma_va; /* what the DMA registry knows */
	size_t dma_bytes;
	unsigned refs;
};

static struct gmem *gmem_alloc(unsigned n)
{
	struct gmem *g = calloc(1, sizeof(*g) + n * sizeof(g->r[0]));

	if (g)
		g->refs = 1;
	return g;
}

struct gmem *gmem_create(void)
{
	return gmem_alloc(0);
}

static int gmem_check(const struct gmem *old, const struct gmem_desc *d, const struct stat *st,
		      struct errbuf *eb)
{
	if (d->len == 0 || d->len > GMEM_BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "memory region of %#llx bytes",
				  (unsigned long long)d->len);
	if (d->gpa + d->len < d->gpa || d->uva + d->len < d->uva ||
	    d->mmap_off > INT64_MAX - d->len)
		return errbuf_set(eb, -EINVAL,
				  "memory region wraps: gpa %#llx uva %#llx offset %#llx len %#llx",
				  (unsigned long long)d->gpa, (unsigned long long)d->uva,
				  (unsigned long long)d->mmap_off, (unsigned long long)d->len);
	if (!d->unsized &&
	    (!S_ISREG(st->st_mode) || d->mmap_off + d->len > (uint64_t)st->st_size))
		return errbuf_set(eb, -EINVAL,
				  "memory region ends at %#llx, its file has %#llx bytes",
				  (unsigned long long)(d->mmap_off + d->len),
				  (unsigned long long)st->st_size);
	if (old->n >= GMEM_REGIONS_MAX)
		return errbuf_set(eb, -ENOSPC, "more than %d memory regions", GMEM_REGIONS_MAX);
	for (unsigned i = 0; i < old->n; i++) {
		const struct gmem_region *r = &old->r[i];

		if ((d->gpa < r->gpa + r->len && r->gpa < d->gpa + d->len) ||
		    (d->uva < r->uva + r->len && r->uva < d->uva + d->len))
			return errbuf_set(eb, -EEXIST,
					  "memory region at gpa %#llx overlaps the one at %#llx",
					  (unsigned long long)d->gpa, (unsigned long long)r->gpa);
	}
	return 0;
}

static void gmem_unmap(struct gmem_map *m)
{
	if (m->dma_bytes)
		(void)dma_region_del(m->dma_va, m->dma_bytes); /* ours: it is there */
	sigbus_range_del(m->base);
	munmap(m->base, m->bytes);
	free(m);
}

/* What devices cannot be given, they are not. */
static int gmem_map_dma(const struct gmem_desc *d, struct gmem_map *m, uint64_t start,
			struct errbuf *eb)
{
	int err;

	if (d->unsized || d->readable) {
		m->dma_bytes = 0;
		return 0;
	}
	err = dma_region_add(&(struct dma_region){
		.va = m->dma_va,
		.len = m->dma_bytes,
		.fd = d->fd,
		.fd_off = start + (uint64_t)((char *)m->dma_va - (char *)m->base),
	});
	return err ? errbuf_set(eb, err, "guest memory for DMA: %s", strerror(-err)) : 0;
}

/*
 * mmap wants an offset that is a multiple of the file's page size, the region may start anywhere:
 *   file  |....[offset ... offset+len)....|      map from the page below, our address is base +
 * rest.
 */
static int gmem_map(const struct gmem_desc *d, uint64_t page, struct gmem_map **ret_map,
		    char **ret_va, struct errbuf *eb)
{
	uint64_t start = CC_ALIGN_DOWN(d->mmap_off, page), rest = d->mmap_off - start;
	struct gmem_map *m = calloc(1, sizeof(*m));
	struct sigbus_range guard = { .page = page, .what = "memory", .owner = d->owner };
	uintptr_t va;
	int err;

	if (!m)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	m->refs = 1;
	m->bytes = CC_ALIGN_UP(rest + d->len, page);
	m->base = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE,
		       (d->readable ? MAP_PRIVATE : MAP_SHARED) | MAP_NORESERVE, d->fd,
		       (off_t)start);
	if (m->base == MAP_FAILED) {
		err = errbuf_set(eb, -errno, "mmap of %#llx bytes of guest memory: %s",
				 (unsigned long long)m->bytes, strerror(errno));
		free(m);
		return err;
	}
	guard.va = m->base;
	guard.len = m->bytes;
	if (sigbus_range_add(&guard)) {
		munmap(m->base, m->bytes);
		free(m);
		return errbuf_set(eb, -ENOMEM, "out of memory");
	}
	(void)madvise(m->base, m->bytes, MADV_DONTDUMP); /* a wish: cores without the guest */
	va = (uintptr_t)m->base + rest;
	m->dma_va = (void *)CC_ALIGN_DOWN(va, GMEM_PAGE_BYTES);
	m->dma_bytes = CC_ALIGN_UP(va + d->len, GMEM_PAGE_BYTES) - (uintptr_t)m->dma_va;
	err = gmem_map_dma(d, m, start, eb);
	if (err) {
		m->dma_bytes = 0;
		gmem_unmap(m);
		return err;
	}
	*ret_map = m;
	*ret_va = (char *)va;
	return 0;
}

static void gmem_map_put(struct gmem_map *m)
{
	if (m && --m->refs == 0)
		gmem_unmap(m);
}

int gmem_add(const struct gmem *old, const struct gmem_desc *d, struct gmem **ret_new,
	     struct errbuf *eb)
{
	struct gmem *g;
	struct stat st;
	unsigned at = 0;
	int err;

	if (fstat(d->fd, &st))
		return errbuf_set(eb, -errno, "guest memory: fstat: %s", strerror(errno));
	err = gmem_check(old, d, &st, eb);
	if (err)
		return err;
	g = gmem_alloc(old->n + 1);
	if (!g)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	while (at < old->n && old->r[at].gpa < d->gpa)
		at++;
	err = gmem_map(d, sigbus_page_bytes(&st), &g->r[at].map, &g->r[at].va, eb);
	if (err) {
		free(g);
		return err;
	}
	g->r[at].gpa = d->gpa;
	g->r[at].uva = d->uva;
	g->r[at].len = d->len;
	for (unsigned i = 0; i < old->n; i++) {
		g->r[i + (i >= at)] = old->r[i];
		if (old->r[i].map)
			old->r[i].map->refs++;
	}
	g->n = old->n + 1;
	*ret_new = g;
	return 0;
}

int gmem_del(const struct gmem *old, uint64_t gpa, uint64_t uva, uint64_t len,
	     struct gmem **ret_new)
{
	struct gmem *g;
	unsigned at;

	for (at = 0; at < old->n; at++) {
		const struct gmem_region *r = &old->r[at];

		if (r->gpa == gpa && r->uva == uva && r->len == len)
			break;
	}
	if (at == old->n)
		return -ENOENT;
	g = gmem_alloc(old->n - 1);
	if (!g)
		return -ENOMEM;
	for (unsigned i = 0; i < old->n; i++) {
		if (i == at)
			continue;
		g->r[g->n++] = old->r[i];
		if (old->r[i].map)
			old->r[i].map->refs++;
	}
	*ret_new = g;
	return 0;
}

struct gmem *gmem_get(struct gmem *g)
{
	assert(g->refs);
	g->refs++;
	return g;
}

void gmem_put(struct gmem *g)
{
	if (!g || --g->refs)
		return;
	for (unsigned i = 0; i < g->n; i++)
		gmem_map_put(g->r[i].map);
	free(g);
}

const struct gmem_region *gmem_find(const struct gmem *g, uint64_t gpa)
{
	const struct gmem_region *r = g->r;
	unsigned n = g->n;

	if (n == 0)
		return NULL;
	/* the last region that starts at or below gpa; the halves are chosen by a conditional move
	 */
	while (n > 1) {
		unsigned half = n / 2;

		r += r[half].gpa <= gpa ? half : 0;
		n -= half;
	}
	return gpa - r->gpa < r->len ? r : NULL;
}

/* [off, off+len) of region @r; may run on into neighbours that follow it in all three address
 * spaces. */
static void *gmem_span(const struct gmem *g, const struct gmem_region *r, uint64_t off,
		       uint64_t len)
{
	char *va = r->va + off;
	uint64_t have = r->len - off;

	while (have < len) {
		const struct gmem_region *next = r + 1;

		if (next == g->r + g->n || next->gpa != r->gpa + r->len ||
		    next->uva != r->uva + r->len || next->va != r->va + r->len)
			return NULL;
		have += next->len;
		r = next;
	}
	return va;
}

void *gmem_gpa_to_va(const struct gmem *g, uint64_t gpa, uint64_t len)
{
	const struct gmem_region *r = gmem_find(g, gpa);

	return r ? gmem_span(g, r, gpa - r->gpa, len) : NULL;
}

void *gmem_uva_to_va(const struct gmem *g, uint64_t uva, uint64_t len)
{
	for (unsigned i = 0; i < g->n; i++) {
		const struct gmem_region *r = &g->r[i];

		if (uva - r->uva < r->len)
			return gmem_span(g, r, uva - r->uva, len);
	}
	return NULL;
}

uint64_t gmem_va_to_gpa(const struct gmem *g, const void *va)
{
	for (unsigned i = 0; i < g->n; i++) {
		const struct gmem_region *r = &g->r[i];

		if ((uintptr_t)va - (uintptr_t)r->va < r->len)
			return r->gpa + ((uintptr_t)va - (uintptr_t)r->va);
	}
	return UINT64_MAX;
}
