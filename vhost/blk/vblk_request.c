/* SPDX-License-Identifier: BSD-3-Clause */
/* The request parser for every framing and every type; the usual one is inline in the header. */
#include "vhost/blk/vblk_request.h"

#include <errno.h>

/* 5.2.6: who needs which feature, and who writes. */
struct vblk_type {
	uint8_t type, kind;
	uint8_t feature; /* 0: always allowed */
	bool writes;
};

static const struct vblk_type types[] = {
	{ VBLK_T_IN, VBLK_READ, 0, false },
	{ VBLK_T_OUT, VBLK_WRITE, 0, true },
	{ VBLK_T_FLUSH, VBLK_FLUSH, 0, false },
	{ VBLK_T_GET_ID, VBLK_GET_ID, 0, false },
	{ VBLK_T_DISCARD, VBLK_DISCARD, VBLK_F_DISCARD, true },
	{ VBLK_T_WRITE_ZEROES, VBLK_WRITE_ZEROES, VBLK_F_WRITE_ZEROES, true },
	{ VBLK_T_GET_LIFETIME, VBLK_GET_LIFETIME, VBLK_F_LIFETIME, false },
	{ VBLK_T_SECURE_ERASE, VBLK_SECURE_ERASE, VBLK_F_SECURE_ERASE, true },
	{ VBLK_T_ZONE_APPEND, VBLK_ZONE_WRITE, VBLK_F_ZONED, true },
	{ VBLK_T_ZONE_REPORT, VBLK_ZONE_REPORT, VBLK_F_ZONED, false },
	{ VBLK_T_ZONE_OPEN, VBLK_ZONE_WRITE, VBLK_F_ZONED, true },
	{ VBLK_T_ZONE_CLOSE, VBLK_ZONE_WRITE, VBLK_F_ZONED, true },
	{ VBLK_T_ZONE_FINISH, VBLK_ZONE_WRITE, VBLK_F_ZONED, true },
	{ VBLK_T_ZONE_RESET, VBLK_ZONE_WRITE, VBLK_F_ZONED, true },
	{ VBLK_T_ZONE_RESET_ALL, VBLK_ZONE_WRITE, VBLK_F_ZONED, true },
};

static const struct vblk_type *type_find(uint32_t type)
{
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

/* The last byte of the writable part; pieces may be empty. */
static uint8_t *status_find(const struct vq_elem *e)
{
	for (unsigned i = e->nin; i-- > 0;) {
		const struct iovec *v = &e->iov[e->nout + i];

		if (v->iov_len)
			return (uint8_t *)v->iov_base + v->iov_len - 1;
	}
	return NULL;
}

/* The data of OUT: what follows the header. */
static void data_after_header(const struct vq_elem *e, struct vblk_request *ret)
{
	size_t skip = sizeof(struct vblk_hdr);
	unsigned i = 0;

	while (i < e->nout && skip >= e->iov[i].iov_len)
		skip -= e->iov[i++].iov_len;
	ret->iov = e->iov + i;
	ret->iovcnt = (uint16_t)(e->nout - i);
	ret->cut_front = (uint8_t)skip;
	ret->cut_back = 0;
	ret->len = e->out_bytes - (uint32_t)sizeof(struct vblk_hdr);
}

/* The data of IN: what precedes the status. A last piece of the status alone is left out. */
static void data_before_status(const struct vq_elem *e, struct vblk_request *ret)
{
	unsigned n = e->nin;

	while (n > 0 && !e->iov[e->nout + n - 1].iov_len)
		n--;
	ret->cut_back = 1;
	if (n > 0 && e->iov[e->nout + n - 1].iov_len == 1) {
		n--;
		ret->cut_back = 0;
	}
	ret->iov = e->iov + e->nout;
	ret->iovcnt = (uint16_t)n;
	ret->cut_front = 0;
	ret->len = e->in_bytes - 1;
}

static int rw_check(struct vblk_request *ret, uint64_t sector)
{
	if (sector >> (64 - VBLK_SECTOR_SHIFT) || ret->len % VBLK_SECTOR_BYTES)
		return VBLK_S_IOERR;
	ret->off = sector << VBLK_SECTOR_SHIFT;
	return 0;
}

int vblk_request_parse(const struct vq_elem *e, const struct vblk_rules *rules,
		       struct vblk_request *ret)
{
	const struct vblk_type *t;
	struct vblk_hdr hdr;

	ret->status = status_find(e);
	if (!ret->status || vq_elem_read(e, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return -EPROTO;
	t = type_find(le32_get(hdr.type));
	if (!t)
		return VBLK_S_UNSUPP;
	/* 5.2.6.2: a device that offered RO answers a write with IOERR, whatever else is wrong with
	 * it. */
	if (t->writes && rules->read_only)
		return VBLK_S_IOERR;
	if (t->feature && !(rules->features & VIRTIO_BIT(t->feature)))
		return VBLK_S_UNSUPP;
	ret->kind = t->kind;
	ret->data_off = sizeof(hdr);
	switch (ret->kind) {
	case VBLK_READ:
		data_before_status(e, ret);
		return rw_check(ret, le64_get(hdr.sector));
	case VBLK_WRITE:
		data_after_header(e, ret);
		return rw_check(ret, le64_get(hdr.sector));
	default:
		ret->len = e->in_bytes - 1;
		return 0;
	}
}

void vblk_request_trim(struct iovec *iov, unsigned iovcnt, unsigned cut_front, unsigned cut_back)
{
	if (!iovcnt)
		return;
	iov[0].iov_base = (char *)iov[0].iov_base + cut_front;
	iov[0].iov_len -= cut_front;
	iov[iovcnt - 1].iov_len -= cut_back;
}

void vblk_request_untrim(struct iovec *iov, unsigned iovcnt, unsigned cut_front, unsigned cut_back)
{
	if (!iovcnt)
		return;
	iov[0].iov_base = (char *)iov[0].iov_base - cut_front;
	iov[0].iov_len += cut_front;
	iov[iovcnt - 1].iov_len += cut_back;
}

/* 5.2.6.2: unknown flags, and unmap on a DISCARD, are UNSUPP; a range that the device does not have
 * is IOERR. */
static int seg_check(const struct vblk_seg *seg, const struct vblk_rules *rules, bool discard)
{
	uint32_t max = discard ? rules->discard_sectors_max : rules->zeroes_sectors_max;
	uint64_t sector = le64_get(seg->sector);
	uint32_t n = le32_get(seg->num_sectors);

	if (le32_get(seg->flags) & ~(discard ? 0 : VBLK_SEG_F_UNMAP))
		return VBLK_S_UNSUPP;
	if (n > max || sector > rules->sectors || n > rules->sectors - sector)
		return VBLK_S_IOERR;
	if (sector % rules->block_sectors || n % rules->block_sectors)
		return VBLK_S_IOERR;
	return 0;
}

int vblk_segs_parse(const struct vq_elem *e, const struct vblk_rules *rules,
		    const struct vblk_request *r, struct vblk_range ranges[VBLK_SEGS_MAX],
		    unsigned *ret_n)
{
	uint32_t bytes = e->out_bytes - r->data_off;
	bool discard = r->kind == VBLK_DISCARD;
	unsigned n = bytes / sizeof(struct vblk_seg);
	int worst = 0;

	if (!n || bytes % sizeof(struct vblk_seg))
		return VBLK_S_IOERR;
	if (n > VBLK_SEGS_MAX)
		return VBLK_S_UNSUPP;
	for (unsigned i = 0; i < n; i++) {
		struct vblk_seg seg;
		int err;

		vq_elem_read(e, r->data_off + i * sizeof(seg), &seg, sizeof(seg));
		err = seg_check(&seg, rules, discard);
		worst = CC_MAX(worst, err); /* UNSUPP > IOERR: flags are looked at first */
		ranges[i].sector = le64_get(seg.sector);
		ranges[i].nsectors = le32_get(seg.num_sectors);
		ranges[i].unmap = le32_get(seg.flags) & VBLK_SEG_F_UNMAP;
	}
	if (worst)
		return worst;
	*ret_n = n;
	return 0;
}
