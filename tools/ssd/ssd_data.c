/* SPDX-License-Identifier: BSD-3-Clause */
/* PRP entries and SGL descriptors of a command into pieces of our address space, every address
 * checked. */
#include <string.h>

#include "tools/ssd/ssd_priv.h"

#define SGL_SEGMENTS_MAX 64
#define SGL_DESCS_MAX	 1024 /* in all segments of a command */

/* One piece; merges with the one before it where both lie side by side. */
static uint16_t piece_add(struct ssd *s, uint64_t iova, uint64_t len, bool to_host)
{
	uint8_t *va = ssd_dma_at(&s->dma, iova, len, to_host);
	struct iovec *last = s->niov ? &s->iov[s->niov - 1] : NULL;

	if (!va) {
		s->counters.data_errors++;
		return NVME_SC_DATA_TRANSFER;
	}
	if (last && (uint8_t *)last->iov_base + last->iov_len == va) {
		last->iov_len += len;
		return 0;
	}
	if (s->niov == SSD_IOV_MAX)
		return NVME_SC_INVALID_SGL_COUNT;
	s->iov[s->niov++] = (struct iovec){ va, len };
	return 0;
}

/* 4.1.1: a list page, its last entry leads to the next while more pages are to come than it has
 * room for. */
static uint16_t prp_list(struct ssd *s, uint64_t list, uint64_t len, bool to_host)
{
	uint64_t npages = (len + s->page - 1) / s->page;

	/* each list page but one with nothing but a link brings a data page: a loop of links ends
	 * here */
	for (uint64_t hops = 0; npages; hops++) {
		uint64_t room = (s->page - (list & (s->page - 1))) / 8;
		uint64_t n = room >= npages ? npages : room - 1;
		const uint8_t *entries =
			ssd_dma_at(&s->dma, list, (room >= npages ? npages : room) * 8, false);
		le64 entry;

		if ((list & 7) || hops > SSD_IOV_MAX)
			return NVME_SC_INVALID_PRP_OFFSET;
		if (!entries)
			return NVME_SC_DATA_TRANSFER;
		for (uint64_t i = 0; i < n; i++) {
			uint64_t bytes = len < s->page ? len : s->page;
			uint16_t status;

			memcpy(&entry, entries + i * 8, 8);
			if (le64_get(entry) & (s->page - 1))
				return NVME_SC_INVALID_PRP_OFFSET;
			status = piece_add(s, le64_get(entry), bytes, to_host);
			if (status)
				return status;
			len -= bytes;
		}
		npages -= n;
		if (npages) {
			memcpy(&entry, entries + n * 8, 8);
			list = le64_get(entry);
		}
	}
	return 0;
}

static uint16_t prp_map(struct ssd *s, const struct nvme_sqe *sqe, uint64_t len, bool to_host)
{
	uint64_t prp1 = le64_get(sqe->prp1), prp2 = le64_get(sqe->prp2);
	uint64_t first = s->page - (prp1 & (s->page - 1));
	uint16_t status;

	if (prp1 & 3)
		return NVME_SC_INVALID_PRP_OFFSET;
	if (first > len)
		first = len;
	status = piece_add(s, prp1, first, to_host);
	len -= first;
	if (status || !len)
		return status;
	if (len > s->page)
		return prp_list(s, prp2, len, to_host);
	if (prp2 & (s->page - 1))
		return NVME_SC_INVALID_PRP_OFFSET;
	return piece_add(s, prp2, len, to_host);
}

/* The descriptors of one segment. *ret_next: the one that leads on; type 0xff: none. */
struct sgl_walk {
	uint64_t left; /* bytes still to be described */
	unsigned ndescs;
	bool to_host;
};

static uint16_t sgl_desc(struct ssd *s, struct sgl_walk *w, const struct nvme_sgl_desc *d)
{
	uint64_t len = le32_get(d->len);

	if (len > w->left)
		return NVME_SC_INVALID_SGL_LEN;
	if (++w->ndescs > SGL_DESCS_MAX)
		return NVME_SC_INVALID_SGL_COUNT;
	w->left -= len;
	switch (d->type) {
	case NVME_SGL_DATA_BLOCK:
		return len ? piece_add(s, le64_get(d->addr), len, w->to_host) : 0;
	default:
		/* bit buckets are not offered (SGLS) */
		return NVME_SC_INVALID_SGL_TYPE;
	}
}

static uint16_t sgl_segment(struct ssd *s, struct sgl_walk *w, struct nvme_sgl_desc *link)
{
	uint64_t iova = le64_get(link->addr), n = le32_get(link->len) / sizeof(*link);
	bool last = link->type == NVME_SGL_LAST_SEGMENT;
	const uint8_t *descs;

	if (n == 0 || le32_get(link->len) % sizeof(*link))
		return NVME_SC_INVALID_SGL_SEG;
	if (n > SGL_DESCS_MAX)
		return NVME_SC_INVALID_SGL_COUNT;
	descs = ssd_dma_at(&s->dma, iova, n * sizeof(*link), false);
	if (!descs)
		return NVME_SC_DATA_TRANSFER;
	link->type = 0xff;
	for (uint64_t i = 0; i < n; i++) {
		struct nvme_sgl_desc d;
		uint16_t status;

		memcpy(&d, descs + i * sizeof(d), sizeof(d));
		if (!last && i + 1 == n &&
		    (d.type == NVME_SGL_SEGMENT || d.type == NVME_SGL_LAST_SEGMENT)) {
			*link = d;
			return 0;
		}
		status = sgl_desc(s, w, &d);
		if (status)
			return status;
	}
	return 0;
}

static uint16_t sgl_map(struct ssd *s, const struct nvme_sqe *sqe, uint64_t len, bool to_host)
{
	struct sgl_walk w = { .left = len, .to_host = to_host };
	struct nvme_sgl_desc d = sqe->sgl1;
	uint16_t status = 0;

	if (d.type != NVME_SGL_SEGMENT && d.type != NVME_SGL_LAST_SEGMENT) {
		status = sgl_desc(s, &w, &d);
		d.type = 0xff;
	}
	for (unsigned i = 0; !status && d.type != 0xff; i++)
		status = i == SGL_SEGMENTS_MAX ? NVME_SC_INVALID_SGL_SEG : sgl_segment(s, &w, &d);
	if (!status && w.left)
		status = NVME_SC_INVALID_SGL_LEN;
	return status;
}

uint16_t ssd_data_map(struct ssd *s, const struct nvme_sqe *sqe, uint64_t len, bool to_host)
{
	unsigned psdt = sqe->flags & NVME_CMD_PSDT_MASK;

	s->niov = 0;
	if (!len)
		return 0;
	if (!psdt)
		return prp_map(s, sqe, len, to_host);
	if (!s->opts.sgl || psdt != NVME_CMD_PSDT_SGL)
		return NVME_SC_INVALID_FIELD;
	return sgl_map(s, sqe, len, to_host);
}

uint16_t ssd_data_to_host(struct ssd *s, const struct ssd_cmd *cmd, const void *buf, uint64_t len)
{
	uint16_t status = ssd_data_map(s, &cmd->sqe, len, true);
	const uint8_t *p = buf;

	for (unsigned i = 0; !status && i < s->niov; i++) {
		memcpy(s->iov[i].iov_base, p, s->iov[i].iov_len);
		p += s->iov[i].iov_len;
	}
	return status;
}

uint16_t ssd_data_from_host(struct ssd *s, const struct ssd_cmd *cmd, void *buf, uint64_t len)
{
	uint16_t status = ssd_data_map(s, &cmd->sqe, len, false);
	uint8_t *p = buf;

	for (unsigned i = 0; !status && i < s->niov; i++) {
		memcpy(p, s->iov[i].iov_base, s->iov[i].iov_len);
		p += s->iov[i].iov_len;
	}
	return status;
}
