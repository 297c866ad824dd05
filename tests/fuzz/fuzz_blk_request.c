/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the block request parser: any bytes in any framing. Every piece is an allocation of its
 * own. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/blk/vblk_request.h"

#define PIECES_MAX 16

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t byte_of(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

/* Pieces are seldom empty and mostly small; the content is what the input still has, then zeroes.
 */
static void piece_add(struct vq_elem *e, struct input *in, bool writable)
{
	uint8_t code = byte_of(in);
	size_t len = code < 200 ? code : (size_t)(code - 199) * 512;
	struct iovec *v = &e->iov[e->nout + e->nin];
	size_t have = CC_MIN(len, in->left);

	v->iov_base = calloc(1, len ? len : 1);
	check(v->iov_base);
	v->iov_len = len;
	if (!writable) {
		memcpy(v->iov_base, in->at, have);
		in->at += have;
		in->left -= have;
		e->nout++;
		e->out_bytes += (uint32_t)len;
	} else {
		e->nin++;
		e->in_bytes += (uint32_t)len;
	}
}

static bool has_empty(const struct vq_elem *e)
{
	for (unsigned i = 0; i < (unsigned)e->nout + e->nin; i++)
		if (!e->iov[i].iov_len)
			return true;
	return false;
}

static void check_data(const struct vq_elem *e, const struct vblk_request *r)
{
	struct iovec was[2 * PIECES_MAX];
	uint64_t sum = 0;

	check(r->off % VBLK_SECTOR_BYTES == 0);
	memcpy(was, e->iov, sizeof(was));
	vblk_request_trim(r->iov, r->iovcnt, r->cut_front, r->cut_back);
	for (unsigned i = 0; i < r->iovcnt; i++) {
		const struct iovec *v = &r->iov[i], *w = &was[r->iov - e->iov + i];

		check((char *)v->iov_base >= (char *)w->iov_base &&
		      (char *)v->iov_base + v->iov_len <= (char *)w->iov_base + w->iov_len);
		if (r->kind == VBLK_READ)
			memset(v->iov_base, 0xee, v->iov_len);
		sum += v->iov_len;
	}
	check(sum == r->len);
	vblk_request_untrim(r->iov, r->iovcnt, r->cut_front, r->cut_back);
	check(!memcmp(was, e->iov, sizeof(was)));
}

static void check_ranges(const struct vq_elem *e, const struct vblk_rules *rules,
			 const struct vblk_request *r)
{
	struct vblk_range ranges[VBLK_SEGS_MAX];
	unsigned n;
	int err = vblk_segs_parse(e, rules, r, ranges, &n);

	check(err == 0 || err == VBLK_S_IOERR || err == VBLK_S_UNSUPP);
	if (err)
		return;
	check(n >= 1 && n <= VBLK_SEGS_MAX);
	for (unsigned i = 0; i < n; i++) {
		check(ranges[i].nsectors <= rules->sectors);
		check(ranges[i].sector <= rules->sectors - ranges[i].nsectors);
		check(ranges[i].sector % rules->block_sectors == 0);
	}
}

static void check_fast(const struct vq_elem *e, const struct vblk_request *fast,
		       const struct vblk_request *full, int err)
{
	/* what the bdev will refuse */
	check(err == 0 || (err == VBLK_S_IOERR && (fast->len | fast->off) % VBLK_SECTOR_BYTES));
	check(fast->status == full->status);
	if (err)
		return;
	check(fast->kind == full->kind && fast->iov == full->iov && fast->len == full->len);
	check(fast->iovcnt == full->iovcnt && fast->off == full->off);
	check(!full->cut_front && !full->cut_back);
}

/* Both steps of the usual framing, as the data path takes them. */
static bool parse_usual(const struct vq_elem *e, struct vblk_request *ret)
{
	struct vblk_hdr hdr;

	if (!vblk_header_alone(e, &hdr))
		return false;
	return vblk_request_parse_pieces(e, &hdr, ret);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input in = { bytes, size };
	struct iovec iov[2 * PIECES_MAX + 1] = { { 0 } };
	struct vq_elem e = { .iov = iov };
	uint8_t how = byte_of(&in), pieces = byte_of(&in);
	const struct vblk_rules rules = {
		.features = how & 1 ? ~0ull : 0,
		.sectors = 1u << 20,
		.block_sectors = how & 2 ? 8 : 1,
		.discard_sectors_max = 4096,
		.zeroes_sectors_max = 1024,
		.read_only = how & 4,
	};
	struct vblk_request full = { 0 }, fast = { 0 };
	bool is_fast;
	int err;

	for (unsigned i = 0; i < pieces % PIECES_MAX; i++)
		piece_add(&e, &in, false);
	for (unsigned i = 0; i < pieces / PIECES_MAX; i++)
		piece_add(&e, &in, true);
	/* vq makes no empty pieces: the full parse copes with them, the usual one need not */
	is_fast = !rules.read_only && !has_empty(&e) && parse_usual(&e, &fast);
	err = vblk_request_parse(&e, &rules, &full);
	if (is_fast)
		check_fast(&e, &fast, &full, err);
	check(err == -EPROTO || err == 0 || err == VBLK_S_IOERR || err == VBLK_S_UNSUPP);
	if (err >= 0)
		*full.status = 0;
	if (!err && (full.kind == VBLK_READ || full.kind == VBLK_WRITE))
		check_data(&e, &full);
	if (!err && (full.kind == VBLK_DISCARD || full.kind == VBLK_WRITE_ZEROES))
		check_ranges(&e, &rules, &full);
	for (unsigned i = 0; i < (unsigned)e.nout + e.nin; i++)
		free(iov[i].iov_base);
	return 0;
}
