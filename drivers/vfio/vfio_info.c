/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the info structs of <linux/vfio.h>; the other side may be another process that lies. */
#include "drivers/vfio/vfio_info.h"

#include <errno.h>
#include <linux/vfio.h>
#include <string.h>

#include "core/base/cc.h"

#define CAPS_MAX     64 /* a chain that goes round in circles ends */
#define PAGE_BYTES   4096u
#define MAPS_UNKNOWN 65535u /* the kernel's default, where it does not tell */

/* The capability @id, at least @min bytes of it, within @len bytes of @info. NULL: there is none.
 */
static const void *cap_find(const uint8_t *info, size_t len, uint32_t off, uint16_t id, size_t min)
{
	struct vfio_info_cap_header h;

	for (unsigned i = 0; i < CAPS_MAX && off; i++, off = h.next) {
		if (off > len || len - off < sizeof(h))
			return NULL;
		memcpy(&h, info + off, sizeof(h));
		if (h.id == id)
			return len - off < min ? NULL : info + off;
	}
	return NULL;
}

/* Areas of whole pages in their order; a strange one is as if it were not there. */
static void areas_parse(const uint8_t *cap, size_t len, struct vfio_region *r)
{
	struct vfio_region_info_cap_sparse_mmap head;
	struct vfio_region_sparse_mmap_area a;

	memcpy(&head, cap, sizeof(head));
	for (unsigned i = 0; i < head.nr_areas && r->nareas < VFIO_AREAS_MAX; i++) {
		if ((len - sizeof(head)) / sizeof(a) <= i)
			return;
		memcpy(&a, cap + sizeof(head) + i * sizeof(a), sizeof(a));
		if (a.size == 0 || a.offset % PAGE_BYTES || a.offset >= r->bytes ||
		    a.size > r->bytes - a.offset)
			continue;
		r->area[r->nareas++] = (struct vfio_area){ a.offset, a.size };
	}
}

int vfio_region_parse(const void *info, size_t len, struct vfio_region *ret_region)
{
	struct vfio_region_info i;
	struct vfio_region r = { .fd = -1 };
	const uint8_t *cap;

	if (len < sizeof(i))
		return -EPROTO;
	memcpy(&i, info, sizeof(i));
	if (i.size > INT64_MAX || i.offset > INT64_MAX - i.size)
		return -EPROTO;
	r.bytes = i.size;
	r.fd_off = i.offset;
	if ((i.flags & VFIO_REGION_INFO_FLAG_MMAP) && i.size && i.argsz <= len) {
		cap = i.flags & VFIO_REGION_INFO_FLAG_CAPS
			      ? cap_find(info, len, i.cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP,
					 sizeof(struct vfio_region_info_cap_sparse_mmap))
			      : NULL;
		if (cap)
			areas_parse(cap, len - (size_t)(cap - (const uint8_t *)info), &r);
		else
			r.area[r.nareas++] = (struct vfio_area){ 0, i.size };
	}
	*ret_region = r;
	return 0;
}

bool vfio_region_maps(const struct vfio_region *r, uint64_t off, uint64_t len, uint64_t page)
{
	for (unsigned i = 0; i < r->nareas && len; i++) {
		const struct vfio_area *a = &r->area[i];

		if (off >= a->off && off - a->off < a->len && len <= a->len - (off - a->off) &&
		    CC_ALIGN_DOWN(off, page) >= a->off &&
		    (r->fd_off + off - (off & (page - 1))) % page == 0)
			return r->fd >= 0;
	}
	return false;
}

static void windows_parse(const uint8_t *cap, size_t len, struct vfio_iommu *iommu)
{
	struct vfio_iommu_type1_info_cap_iova_range head;
	struct vfio_span *w = iommu->window;

	memcpy(&head, cap, sizeof(head));
	for (unsigned i = 0; i < head.nr_iovas && i < VFIO_IOVA_WINDOWS_MAX; i++) {
		struct vfio_iova_range range;

		if ((len - sizeof(head)) / sizeof(range) <= i)
			return;
		memcpy(&range, cap + sizeof(head) + i * sizeof(range), sizeof(range));
		w[iommu->nwindows++] = (struct vfio_span){ range.start, range.end };
	}
}

int vfio_iommu_parse(const void *info, size_t len, struct vfio_iommu *ret_iommu)
{
	const uint8_t *end = (const uint8_t *)info + len, *cap;
	struct vfio_iommu_type1_info i = { 0 };
	struct vfio_iommu iommu = { .page_bytes = PAGE_BYTES, .maps_max = MAPS_UNKNOWN };
	struct vfio_iommu_type1_info_dma_avail avail;

	if (len < offsetof(struct vfio_iommu_type1_info, cap_offset))
		return -EPROTO;
	memcpy(&i, info, CC_MIN(len, sizeof(i)));
	if ((i.flags & VFIO_IOMMU_INFO_PGSIZES) && i.iova_pgsizes)
		iommu.page_bytes = CC_MAX(i.iova_pgsizes & -i.iova_pgsizes, PAGE_BYTES);
	if (i.flags & VFIO_IOMMU_INFO_CAPS) {
		cap = cap_find(info, len, i.cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
			       sizeof(struct vfio_iommu_type1_info_cap_iova_range));
		if (cap)
			windows_parse(cap, (size_t)(end - cap), &iommu);
		cap = cap_find(info, len, i.cap_offset, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
			       sizeof(avail));
		if (cap) {
			memcpy(&avail, cap, sizeof(avail));
			iommu.maps_max = avail.avail;
		}
	}
	if (iommu.nwindows == 0)
		iommu.nwindows = vfio_iova_windows_default(iommu.window);
	*ret_iommu = iommu;
	return 0;
}
