/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses for devices: first fit in the IOMMU's windows. */
#include "drivers/vfio/vfio_iova.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"

#define PAGE_BYTES_MIN 4096u

/* Page sizes of the IOMMUs there are; a length of at least one of them begins at a multiple of it.
 */
static const uint64_t big_pages[] = { 1ull << 30, 2ull << 20 };

static int window_compare(const void *a, const void *b)
{
	const struct vfio_span *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Whole pages without page 0; false: nothing is left. */
static bool window_trim(struct vfio_span *w, uint64_t page)
{
	uint64_t first = CC_MAX(w->first, page);

	if (w->last < first || first > UINT64_MAX - page)
		return false;
	w->first = CC_ALIGN_UP(first, page);
	if (w->last != UINT64_MAX)
		w->last = CC_ALIGN_DOWN(w->last + 1, page) - 1;
	return w->last > w->first;
}

static void windows_merge(struct vfio_iova *a)
{
	unsigned out = 0;

	qsort(a->window, a->nwindows, sizeof(a->window[0]), window_compare);
	for (unsigned i = 1; i < a->nwindows; i++) {
		struct vfio_span *last = &a->window[out];

		if (last->last != UINT64_MAX && a->window[i].first > last->last + 1)
			a->window[++out] = a->window[i];
		else
			last->last = CC_MAX(last->last, a->window[i].last);
	}
	a->nwindows = out + 1;
}

int vfio_iova_init(struct vfio_iova *a, const struct vfio_span *windows, unsigned n,
		   uint64_t page_bytes, unsigned used_max)
{
	*a = (struct vfio_iova){ .page_bytes = page_bytes, .used_max = used_max };
	if (!CC_IS_POW2(page_bytes) || page_bytes < PAGE_BYTES_MIN || used_max == 0)
		return -EINVAL;
	if (n > VFIO_IOVA_WINDOWS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++) {
		struct vfio_span w = windows[i];

		if (window_trim(&w, page_bytes))
			a->window[a->nwindows++] = w;
	}
	if (a->nwindows == 0)
		return -EINVAL;
	windows_merge(a);
	a->used = calloc(used_max, sizeof(a->used[0]));
	return a->used ? 0 : -ENOMEM;
}

void vfio_iova_fini(struct vfio_iova *a)
{
	free(a->used);
	*a = (struct vfio_iova){ 0 };
}

unsigned vfio_iova_windows_default(struct vfio_span windows[2])
{
	windows[0] = (struct vfio_span){ 0, VFIO_IOVA_MSI_FIRST - 1 };
	windows[1] = (struct vfio_span){ VFIO_IOVA_MSI_LAST + 1, VFIO_IOVA_LAST_DEFAULT };
	return 2;
}

/* @len bytes at a multiple of @align in the gap [first, last]. */
static bool gap_fits(uint64_t first, uint64_t last, uint64_t len, uint64_t align, uint64_t *ret)
{
	if (first > UINT64_MAX - (align - 1))
		return false;
	first = CC_ALIGN_UP(first, align);
	if (first > last || last - first < len - 1)
		return false;
	*ret = first;
	return true;
}

/* The lowest place in window @w; *at: the first used range that is not below the window, moved on.
 */
static bool window_find(const struct vfio_iova *a, const struct vfio_span *w, unsigned *at,
			struct vfio_span *want, uint64_t align)
{
	uint64_t len = want->last - want->first + 1, first = w->first;

	for (; *at < a->nused && a->used[*at].first <= w->last; (*at)++) {
		const struct vfio_span *u = &a->used[*at];

		if (u->first > first && gap_fits(first, u->first - 1, len, align, &want->first))
			goto found;
		if (u->last >= w->last) {
			(*at)++;
			return false;
		}
		first = u->last + 1;
	}
	if (!gap_fits(first, w->last, len, align, &want->first))
		return false;
found:
	want->last = want->first + (len - 1);
	return true;
}

static bool place_find(const struct vfio_iova *a, uint64_t align, struct vfio_span *want,
		       unsigned *ret_at)
{
	unsigned at = 0;

	for (unsigned i = 0; i < a->nwindows; i++) {
		if (window_find(a, &a->window[i], &at, want, align)) {
			*ret_at = at;
			return true;
		}
	}
	return false;
}

int vfio_iova_alloc(struct vfio_iova *a, uint64_t len, uint64_t *ret_iova)
{
	struct vfio_span want = { 0, len - 1 };
	bool found = false;
	unsigned at = 0;

	if (len == 0 || len & (a->page_bytes - 1))
		return -EINVAL;
	if (a->nused == a->used_max)
		return -ENOSPC;
	for (unsigned i = 0; i < ARRAY_SIZE(big_pages) && !found; i++)
		if (len >= big_pages[i] && big_pages[i] > a->page_bytes)
			found = place_find(a, big_pages[i], &want, &at);
	if (!found && !place_find(a, a->page_bytes, &want, &at))
		return -ENOMEM;
	memmove(&a->used[at + 1], &a->used[at], (a->nused - at) * sizeof(a->used[0]));
	a->used[at] = want;
	a->nused++;
	assert(at == 0 || a->used[at - 1].last < want.first);
	assert(at + 1 == a->nused || want.last < a->used[at + 1].first);
	*ret_iova = want.first;
	return 0;
}

int vfio_iova_free(struct vfio_iova *a, uint64_t iova, uint64_t len)
{
	for (unsigned i = 0; i < a->nused; i++) {
		if (a->used[i].first != iova || a->used[i].last - iova != len - 1)
			continue;
		a->nused--;
		memmove(&a->used[i], &a->used[i + 1], (a->nused - i) * sizeof(a->used[0]));
		return 0;
	}
	return -ENOENT;
}
