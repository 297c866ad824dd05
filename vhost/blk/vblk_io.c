/* SPDX-License-Identifier: BSD-3-Clause */
/* Executing block requests: chain → checked request → bio → bdev, and the way back to the status
 * byte. */
#include "vhost/blk/vblk_priv.h"

#include <errno.h>

static struct vblk_req *req_of(struct vq_elem *e)
{
	return container_of(e, struct vblk_req, elem);
}

static void req_finish(struct vblk_req *req, uint8_t status, uint32_t written)
{
	*req->status = status;
	vdev_queue_done(req->q, &req->elem, written);
}

static cc_cold uint8_t status_of(int err)
{
	return err == -EOPNOTSUPP ? VBLK_S_UNSUPP : VBLK_S_IOERR;
}

static cc_cold void req_untrim(struct vblk_req *req)
{
	vblk_request_untrim(req->bio.iov, req->bio.iovcnt, req->cuts & 0xff, req->cuts >> 8);
	req->cuts = 0;
}

/* READ, WRITE, FLUSH: one bio is the whole request. */
static void req_bio_done(struct bio *bio)
{
	struct vblk_req *req = container_of(bio, struct vblk_req, bio);

	if (cc_unlikely(req->cuts))
		req_untrim(req);
	if (cc_likely(!bio->status))
		req_finish(req, VBLK_S_OK, req->written);
	else
		req_finish(req, status_of(bio->status), 1);
}

static uint8_t fua_now(const struct vblk_queue *vbq)
{
	return vbq->fua | cc_read_once(vbq->dev->fua);
}

static void exec_rw(struct vblk_queue *vbq, struct vblk_req *req, const struct vblk_request *r)
{
	struct bio *bio = &req->bio;

	req->written = r->kind == VBLK_READ ? r->len + 1 : 1;
	if (!r->len) {
		req_finish(req, VBLK_S_OK, req->written);
		return;
	}
	req->cuts = (uint16_t)(r->cut_front | r->cut_back << 8);
	vblk_request_trim(r->iov, r->iovcnt, r->cut_front, r->cut_back);
	bio->op = r->kind == VBLK_READ ? BIO_READ : BIO_WRITE;
	bio->flags = r->kind == VBLK_READ ? 0 : fua_now(vbq);
	bio->iov = r->iov;
	bio->iovcnt = r->iovcnt;
	bio->off = r->off;
	bio->len = r->len;
	bio->done = req_bio_done;
	bdev_submit(vbq->chan, bio);
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
	req->written = 1;
	bio_fill_dataless(&req->bio, BIO_FLUSH, 0, req_bio_done);
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
		req_finish(req, status_of(bio->status), 1);
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

/* Every READ and WRITE of the usual framing; anything else takes the slow road from its start. */
static cc_always_inline void req_start(struct vdev_queue *q, struct vblk_queue *vbq,
				       struct vblk_req *req)
{
	struct bio *bio = &req->bio;
	struct vblk_request r;

	req->q = q;
	if (cc_unlikely(!vblk_request_parse_fast(&req->elem, vbq->read_only, &r))) {
		req_start_slow(vbq, req);
		return;
	}
	req->status = r.status;
	if (r.kind == VBLK_READ) {
		req->written = r.len + 1;
		bio->op = BIO_READ;
		bio->flags = 0;
	} else {
		req->written = 1;
		bio->op = BIO_WRITE;
		bio->flags = fua_now(vbq);
	}
	bio->iov = r.iov;
	bio->iovcnt = r.iovcnt;
	bio->off = r.off;
	bio->len = r.len;
	bio->done = req_bio_done;
	bdev_submit(vbq->chan, bio);
}

void vblk_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n)
{
	struct vblk_queue *vbq = q->priv;

	/* the headers are on their way already: vq_pop prefetches them */
	for (unsigned i = 0; i < n; i++)
		req_start(q, vbq, req_of(elems[i]));
}
