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

/* The same, of one that the disk has worked on. */
static void req_finish_io(struct vblk_req *req, uint8_t status)
{
	vdev_queue_count(req->q, req->bio.op, 1);
	req_finish(req, status, 1);
}

static cc_noinline cc_cold void req_fail(struct vblk_req *req, int err)
{
	if (err == -ECANCELED && req->q->suspending) {
		vdev_queue_left(req->q, &req->elem);
		return;
	}
	req_finish_io(req, err == -EOPNOTSUPP ? VBLK_S_UNSUPP : VBLK_S_IOERR);
}

/* A list of successful ones, READ or not, up to the first of another queue, which is returned. A
 * READ has written all of its writable part, anything else the status alone. */
static cc_always_inline struct bio *reqs_finish(struct bio *bio, bool is_read)
{
	struct vblk_req *req = container_of(bio, struct vblk_req, bio);
	struct vdev_queue *q = req->q;
	struct vq_run run = vq_run_begin(&q->vq);
	enum bio_op op = is_read ? BIO_READ : (enum bio_op)bio->op;

	do {
		bio = req->bio.next;
		*req->status = VBLK_S_OK;
		vq_run_push(&run, &req->elem, is_read ? req->elem.in_bytes : 1);
		req = container_of(bio, struct vblk_req, bio);
	} while (bio && cc_likely(req->q == q));
	vdev_queue_count(q, op, vq_run_end(&run));
	vdev_queue_pushed(q);
	return bio;
}

/* Back from the disk. */
static void req_read_done(struct bio *bio)
{
	if (cc_unlikely(bio->status < 0)) {
		req_fail(container_of(bio, struct vblk_req, bio), bio->status);
		return;
	}
	while (bio)
		bio = reqs_finish(bio, true);
}

static void req_write_done(struct bio *bio)
{
	if (cc_unlikely(bio->status < 0)) {
		req_fail(container_of(bio, struct vblk_req, bio), bio->status);
		return;
	}
	while (bio)
		bio = reqs_finish(bio, false);
}

/* The chain gets its header and status bytes back: the dirty log wants to know of them. */
static void req_trimmed_done(struct bio *bio)
{
	for (struct bio *b = bio; b; b = b->next) {
		struct vblk_req *req = container_of(b, struct vblk_req, bio);

		vblk_request_untrim(b->iov, b->iovcnt, req->cut_front, req->cut_back);
	}
	if (bio->op == BIO_READ)
		req_read_done(bio);
	else
		req_write_done(bio);
}

static uint8_t fua_now(const struct vblk_queue *vbq)
{
	return vbq->fua | cc_read_once(vbq->dev->fua);
}

/* READ and WRITE. */
static cc_always_inline void req_fill(struct vblk_req *req, const struct vblk_request *r,
				      uint8_t fua, bio_done_fn done)
{
	struct bio *bio = &req->bio;

	req->status = r->status;
	bio->op = r->kind == VBLK_READ ? BIO_READ : BIO_WRITE;
	bio->flags = BIO_LISTED | (r->kind == VBLK_READ ? 0 : fua);
	bio->iov = r->iov;
	bio->iovcnt = r->iovcnt;
	bio->off = r->off;
	bio->len = r->len;
	bio->done = done;
}

static void exec_rw(struct vblk_queue *vbq, struct vblk_req *req, const struct vblk_request *r)
{
	req->cut_front = r->cut_front;
	req->cut_back = r->cut_back;
	vblk_request_trim(r->iov, r->iovcnt, r->cut_front, r->cut_back);
	req_fill(req, r, fua_now(vbq), req_trimmed_done);
	bdev_submit(vbq->chan, &req->bio);
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
	else if (req->q->suspending && req->range_at < req->range_n)
		req_fail(req, -ECANCELED); /* the next one would have to wait */
	else
		ranges_next(req->q->priv, req);
}

static void ranges_next(struct vblk_queue *vbq, struct vblk_req *req)
{
	const struct vblk_range *range;

	if (req->range_at == req->range_n) {
		req_finish_io(req, VBLK_S_OK);
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

/* READ and WRITE in one buffer: header, data, status, a piece each. false: something else. */
static cc_always_inline bool req_start(const struct vdev_queue *q, struct vblk_req *req,
				       struct bdev_batch *batch)
{
	const struct vq_elem *e = &req->elem;
	const struct vblk_queue *vbq;
	struct vblk_request r;
	struct vblk_hdr hdr;

	if (cc_unlikely(!vblk_header_alone(e, &hdr)))
		return false;
	if (le32_get(hdr.type) == VBLK_T_IN) {
		if (!vq_elem_is(e, 1, 2) || !vblk_request_parse_usual(e, &hdr, VBLK_READ, 2, &r))
			return false;
		req_fill(req, &r, 0, req_read_done);
		bdev_batch_add(batch, &req->bio);
		return true;
	}
	vbq = q->priv;
	if (le32_get(hdr.type) != VBLK_T_OUT || vbq->read_only || !vq_elem_is(e, 2, 1) ||
	    !vblk_request_parse_usual(e, &hdr, VBLK_WRITE, 2, &r))
		return false;
	req_fill(req, &r, fua_now(vbq), req_write_done);
	bdev_batch_add(batch, &req->bio);
	return true;
}

/* READ and WRITE in several buffers; anything else takes the slow road from its start. */
static void req_start_other(struct vblk_queue *vbq, struct vblk_req *req, struct bdev_batch *batch)
{
	struct vblk_request r;
	struct vblk_hdr hdr;

	if (!vblk_header_alone(&req->elem, &hdr) ||
	    !vblk_request_parse_pieces(&req->elem, &hdr, &r) ||
	    (r.kind == VBLK_WRITE && vbq->read_only)) {
		req_start_slow(vbq, req);
		return;
	}
	req_fill(req, &r, fua_now(vbq), r.kind == VBLK_READ ? req_read_done : req_write_done);
	bdev_batch_add(batch, &req->bio);
}

static cc_noinline void process_other(struct vblk_queue *vbq, struct vq_elem **elems, unsigned n)
{
	struct bio_queue bios;
	struct bdev_batch batch = bdev_batch_begin(vbq->chan, &bios);

	for (unsigned i = 0; i < n; i++)
		req_start_other(vbq, req_of(elems[i]), &batch);
	bdev_batch_submit(&batch);
}

/* The usual ones first: a loop without a call, so that all it needs stays in registers. */
void vblk_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n)
{
	struct vblk_queue *vbq = q->priv;
	struct bio_queue bios;
	struct bdev_batch batch = bdev_batch_begin(vbq->chan, &bios);

	/* the headers are on their way already: vq_pop prefetches them */
	for (unsigned i = 0; i < n; i++) {
		if (cc_unlikely(!req_start(q, req_of(elems[i]), &batch)))
			elems[i - batch.n] = elems[i];
	}
	bdev_batch_submit(&batch);
	if (batch.n < n)
		process_other(vbq, elems, n - batch.n);
}

/* Is it a request of queue @arg? The channel is shared with others. */
static bool bio_is_of(const struct bio *bio, const void *arg)
{
	const struct vdev_queue *q = arg;

	return (uintptr_t)bio - (uintptr_t)q->slots < (size_t)q->vq.size * q->vq.slot_bytes;
}

void vblk_cancel(struct vdev_queue *q)
{
	bdev_cancel(((struct vblk_queue *)q->priv)->chan, bio_is_of, q);
}
