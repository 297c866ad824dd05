/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a descriptor chain to a checked block request; pure: it reads the chain and decides, it
 * touches no device.
 *
 *   readable:  [ header 16 ][ data of OUT, or segments ]        cut anywhere by the driver
 * (2.7.4.3, framing writable:                     [ data of IN ][ status 1 ]    independence); the
 * status is the last byte
 */
#ifndef VHOST_BLK_VBLK_REQUEST_H
#define VHOST_BLK_VBLK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "vhost/blk/vblk_spec.h"
#include "vhost/virtq/vq.h"

#define VBLK_SEGS_MAX 32 /* per DISCARD or WRITE_ZEROES request: a row of 512 bytes per slot */

/* What a request asks for. Values index the execution table. */
enum vblk_kind {
	VBLK_READ,
	VBLK_WRITE,
	VBLK_FLUSH,
	VBLK_GET_ID,
	VBLK_DISCARD,
	VBLK_WRITE_ZEROES,
	VBLK_GET_LIFETIME,
	VBLK_SECURE_ERASE,
	VBLK_ZONE_WRITE, /* append, open, close, finish, reset: change the device */
	VBLK_ZONE_REPORT,
	VBLK_KIND_COUNT,
};

/* What a queue's requests are checked against. */
struct vblk_rules {
	uint64_t features; /* negotiated */
	uint64_t sectors;  /* capacity now; bounds of segments (READ and WRITE are the bdev's to
			      check) */
	uint32_t block_sectors;
	uint32_t discard_sectors_max,
		zeroes_sectors_max; /* per segment, as the config space says */
	bool read_only;
};

/* A checked request. READ, WRITE: the data are iov[0 … iovcnt), less cut_front and cut_back bytes.
 */
struct vblk_request {
	uint8_t kind;	   /* enum vblk_kind */
	uint8_t cut_front; /* bytes of iov[0] that belong to the header: 0 … 15 */
	uint8_t cut_back;  /* bytes of the last piece that are the status: 0 or 1 */
	uint16_t iovcnt;
	struct iovec *iov;
	uint64_t off;	   /* bytes; READ, WRITE */
	uint32_t len;	   /* bytes of data (without header and status), READ and WRITE, GET_ID */
	uint32_t data_off; /* of the segments in the readable part */
	uint8_t *status;
};

/**
 * vblk_request_parse - any chain, any framing.
 * 0: *ret is a request to execute. VBLK_S_IOERR, VBLK_S_UNSUPP: answer with this; only ret->status
 * is set. -EPROTO: no room for the header or for the status; nothing can be answered.
 */
int vblk_request_parse(const struct vq_elem *e, const struct vblk_rules *rules,
		       struct vblk_request *ret);

/* Take header and status bytes out of the data's pieces, in place / put them back. */
void vblk_request_trim(struct iovec *iov, unsigned iovcnt, unsigned cut_front, unsigned cut_back);
void vblk_request_untrim(struct iovec *iov, unsigned iovcnt, unsigned cut_front, unsigned cut_back);

/* A checked segment in host order. */
struct vblk_range {
	uint64_t sector;
	uint32_t nsectors;
	uint32_t unmap; /* bool */
};

/**
 * vblk_segs_parse - the segments of DISCARD and WRITE_ZEROES (@r->kind), all checked before any is
 * executed. 0 with *ret_n of them in @ranges, or VBLK_S_IOERR, VBLK_S_UNSUPP.
 */
int vblk_segs_parse(const struct vq_elem *e, const struct vblk_rules *rules,
		    const struct vblk_request *r, struct vblk_range ranges[VBLK_SEGS_MAX],
		    unsigned *ret_n);

/*
 * The framing that every known driver uses: the header alone in the first piece, the status alone
 * in the last one. Two inline steps for IN and OUT; what they do not take, vblk_request_parse()
 * decides from the start.
 */

/* Reads the header once (I5). false: not alone in the first piece. */
static cc_always_inline bool vblk_header_alone(const struct vq_elem *e, struct vblk_hdr *ret_hdr)
{
	if (cc_unlikely(e->iov[0].iov_len != sizeof(*ret_hdr)))
		return false;
	memcpy(ret_hdr, e->iov[0].iov_base, sizeof(*ret_hdr));
	return true;
}

/**
 * vblk_request_parse_usual - @hdr's type is that of @kind, VBLK_READ or VBLK_WRITE; the side
 * without the data is one piece, the other one has @n. @kind and mostly @n are constants. Leaves to
 * the bdev what it checks anyway: a length of 0 is done with nothing to do, and a sector of 2^55 or
 * more, rotated instead of shifted, is an offset that is no multiple of any block.
 */
static cc_always_inline bool vblk_request_parse_usual(const struct vq_elem *e,
						      const struct vblk_hdr *hdr,
						      enum vblk_kind kind, unsigned n,
						      struct vblk_request *ret)
{
	const struct iovec *last = &e->iov[n];
	uint64_t sector = le64_get(hdr->sector);

	if (cc_unlikely(last->iov_len != 1))
		return false;
	ret->kind = (uint8_t)kind;
	ret->status = last->iov_base;
	ret->iov = e->iov + 1;
	ret->iovcnt = (uint16_t)(n - 1);
	ret->off = sector << VBLK_SECTOR_SHIFT | sector >> (64 - VBLK_SECTOR_SHIFT);
	if (n == 2)
		ret->len = (uint32_t)e->iov[1].iov_len;
	else if (kind == VBLK_READ)
		ret->len = e->in_bytes - 1;
	else
		ret->len = e->out_bytes - (uint32_t)sizeof(*hdr);
	return true;
}

/* Both kinds, any number of pieces. false: vblk_request_parse() decides. */
static inline bool vblk_request_parse_pieces(const struct vq_elem *e, const struct vblk_hdr *hdr,
					     struct vblk_request *ret)
{
	if (le32_get(hdr->type) == VBLK_T_IN && e->nout == 1)
		return vblk_request_parse_usual(e, hdr, VBLK_READ, e->nin, ret);
	return le32_get(hdr->type) == VBLK_T_OUT && e->nin == 1 &&
	       vblk_request_parse_usual(e, hdr, VBLK_WRITE, e->nout, ret);
}

#endif
