/* SPDX-License-Identifier: BSD-3-Clause */
/* Executing block requests: chain → checked request → bio → bdev, and the way back to the status
 * byte. */
#include "vhost/blk/vblk_priv.h"

#include <errno.h>

static struct vblk_req *req_of(struct vq_elem *e)
{
	return container_of(e, struct vblk_req, elem);
}

static cc_always_inline void req_finish(struct vblk_req *req, uint8_t status, uint32_t written)
{
	*req->status = status;
	vdev_queue_done(req->q, &req->elem, written);
}

static cc_noinline cc_cold void req_fail(struct vblk_req *req, int err)
{
	req_finish(req, err == -EOPNOTSUPP ? VBLK_S_UNSUPP : VBLK_S_IOERR, 1);
}

/* Back from the disk. A READ has written all of its writable part, anything else the status alone.
 */
static void req_read_done(struct bio *bio)
{
	struct vblk_req *req = container_of(bio, struct vblk_req, bio);

	if (cc_likely(!bio->status))
		req_finish(req, VBLK_S_OK, req->elem.in_bytes);
	else
		req_fail(req, bio->status);
}

static void req_write_done(struct bio *bio)
{
	struct vblk_req *req = container_of(bio, struct vblk_req, bio);

	if (cc_likely(!bio->status))
		req_finish(req, VBLK_S_OK, 1);
	else
		req_fail(req, bio->status);
}

/* The chain gets its header and status bytes back: the dirty log wants to know of them. */
static void req_trimmed_done(struct bio *bio)
{
	struct vblk_req *req = container_of(bio, struct vblk_req, bio);

	vblk_request_untrim(bio->iov, bio->iovcnt, req->cut_front, req->cut_back);
	if (bio->op == BIO_READ)
		req_read_done(bio);
	else
		req_write_done(bio);
}

static uint8_t fua_now(const struct vblk_queue *vbq)
{
	return vbq->fua | cc_read_once(vbq->dev->fua);
}

static cc_always_inline void req_submit(struct vblk_queue *vbq, struct vblk_req *req,
					const struct vblk_request *r, bio_done_fn done)
{
	struct bio *bio = &req->bio;

	req->status = r->status;
	bio->op = r->kind == VBLK_READ ? BIO_READ : BIO_WRITE;
	bio->flags = r->kind == VBLK_READ ? 0 : fua_now(vbq);
	bio->iov = r->iov;
	bio->iovcnt = r->iovcnt;
	bio->off = r->off;
	bio->len = r->len;
	bio->done = done;
	bdev_submit(vbq->chan, bio);
}

static void exec_rw(struct vblk_queue *vbq, struct vblk_req *req, const struct vblk_request *r)
{
	req->cut_front = r->cut_front;
	req->cut_back = r->cut_back;
	vblk_request_trim(r->iov, r->iovcnt, r->cut_front, r->cut_back);
	req_submit(vbq, req, r, req_trimmed_done);
}

static void bio_fill_dataless(struct bio *bio, enum bio_op op, uint8_t flags, bio_done_fn done)
{
	bio->op = (uint8_t)op;
	bio->flags = flags;
	bio->iov = NULL;
	bio->iovcnt = 0;
	bio->done = done;
}

static void exec_flush(struct vblk_queue *vbq, struct vblk_req *req, const struct vblk_request *r)
{
	bio_fill_dataless(&req->bio, BIO_FLUSH, 0, req_write_done);
	req->bio.off = 0;
	req->bio.len = 0;
	bdev_submit(vbq->chan, &req->bio);
}

static void exec_get_id(struct vblk_queue *vbq, struct vblk_req *req, const struct vblk_request *r)
{
	size_t n = CC_MIN(r->len, (uint32_t)VBLK_ID_BYTES);

	vq_elem_write(&req->elem, 0, vbq->dev->id, n);
	req_finish(req, VBLK_S_OK, (uint32_t)n + 1);
}

/* DISCARD, WRITE_ZEROES: the checked ranges one after another, so that one bio is enough. */
static void ranges_next(struct vblk_queue *vbq, struct vblk_req *req);

static void ranges_done(struct bio *bio)
{
	struct vblk_req *req = container_of(bio, struct vblk_req, bio);

	if (bio->status)
		req_fail(req, bio->status);
	else
		ranges_next(req->q->priv, req);
}

static void ranges_next(struct vblk_queue *vbq, struct vblk_req *req)
{
	const struct vblk_range *range;

	if (req->range_at == req->range_n) {
		req_finish(req, VBLK_S_OK, 1);
		return;
	}
	range = &vbq->ranges[req->elem.id][req->range_at++];
	req->bio.off = range->sector << VBLK_SECTOR_SHIFT;
	req->bio.len = (uint64_t)range->nsectors << VBLK_SECTOR_SHIFT;
	if (req->bio.op == BIO_WRITE_ZEROES)
		req->bio.flags = fua_now(vbq) | (range->unmap ? 0 : BIO_NOUNMAP);
	bdev_submit(vbq->chan, &req->bio);
}

static void exec_ranges(struct vblk_queue *vbq, struct vblk_req *req, const struct vblk_request *r)
{
	enum bio_op op = r->kind == VBLK_DISCARD ? BIO_DISCARD : BIO_WRITE_ZEROES;
	unsigned n;
	int status;

	vbq->rules.sectors = bdev_bytes(vbq->dev->bdev) >> VBLK_SECTOR_SHIFT;
	status = vblk_segs_parse(&req->elem, &vbq->rules, r, vbq->ranges[req->elem.id], &n);
	if (status) {
		req_finish(req, (uint8_t)status, 1);
		return;
	}
	req->range_at = 0;
	req->range_n = (uint8_t)n;
	bio_fill_dataless(&req->bio, op, 0, ranges_done);
	ranges_next(vbq, req);
}

/* What no back end has yet is an empty entry: UNSUPP. */
static void (*const execute[VBLK_KIND_COUNT])(struct vblk_queue *vbq, struct vblk_req *req,
					      const struct vblk_request *r) = {
	[VBLK_READ] = exec_rw,	      [VBLK_WRITE] = exec_rw,
	[VBLK_FLUSH] = exec_flush,    [VBLK_GET_ID] = exec_get_id,
	[VBLK_DISCARD] = exec_ranges, [VBLK_WRITE_ZEROES] = exec_ranges,
};

static cc_noinline void req_start_slow(struct vblk_queue *vbq, struct vblk_req *req)
{
	struct vdev_queue *q = req->q;
	struct vblk_request r;
	int err;

	err = vblk_request_parse(&req->elem, &vbq->rules, &r);
	if (cc_unlikely(err < 0)) {
		vq_break(&q->vq,
			 "request %u has %u readable and %u writable bytes: no room to answer",
			 req->elem.id, req->elem.out_bytes, req->elem.in_bytes);
		vdev_queue_done(q, &req->elem, 0);
		return;
	}
	req->status = r.status;
	if (err)
		req_finish(req, (uint8_t)err, 1);
	else if (!execute[r.kind])
		req_finish(req, VBLK_S_UNSUPP, 1);
	else
		execute[r.kind](vbq, req, &r);
}

/* READ and WRITE in several buffers; anything else takes the slow road from its start. */
static cc_noinline void req_start_other(struct vblk_queue *vbq, struct vblk_req *req)
{
	struct vblk_request r;
	struct vblk_hdr hdr;

	if (!vblk_header_alone(&req->elem, &hdr) ||
	    !vblk_request_parse_pieces(&req->elem, &hdr, &r) ||
	    (r.kind == VBLK_WRITE && vbq->read_only))
		req_start_slow(vbq, req);
	else
		req_submit(vbq, req, &r, r.kind == VBLK_READ ? req_read_done : req_write_done);
}

/* READ and WRITE in one buffer: header, data, status, a piece each. */
static cc_always_inline void req_start(struct vdev_queue *q, struct vblk_queue *vbq,
				       struct vblk_req *req)
{
	const struct vq_elem *e = &req->elem;
	struct vblk_request r;
	struct vblk_hdr hdr;

	req->q = q;
	if (cc_unlikely(!vblk_header_alone(e, &hdr)))
		req_start_other(vbq, req);
	else if (le32_get(hdr.type) == VBLK_T_IN && vq_elem_is(e, 1, 2) &&
		 vblk_request_parse_usual(e, &hdr, VBLK_READ, 2, &r))
		req_submit(vbq, req, &r, req_read_done);
	else if (le32_get(hdr.type) == VBLK_T_OUT && vq_elem_is(e, 2, 1) && !vbq->read_only &&
		 vblk_request_parse_usual(e, &hdr, VBLK_WRITE, 2, &r))
		req_submit(vbq, req, &r, req_write_done);
	else
		req_start_other(vbq, req);
}

void vblk_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n)
{
	struct vblk_queue *vbq = q->priv;

	/* the headers are on their way already: vq_pop prefetches them */
	for (unsigned i = 0; i < n; i++)
		req_start(q, vbq, req_of(elems[i]));
}
