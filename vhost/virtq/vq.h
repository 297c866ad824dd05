/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device side of a virtqueue, split and packed: batches of chains out, used entries back, one notification per flush.
 *
 *   poll:   n = vq_pop(vq, elems, max)   heads once, descriptors prefetched, chains walked and translated
 *   later:  vq_push(vq, elem, written)   used entry in the ring, not yet published
 *   flush:  vq_flush(vq)                 inflight bookkeeping, one index (or first-flags) store, at most one call
 *   sleep:  vq_kick_enable → true when work came meanwhile;  vq_kick_disable
 *
 * Everything runs on the queue's reactor. Guest memory is read once (I5); a lying driver breaks its own queue only:
 * vq->broken is set with a reason, vq_pop returns 0 from then on.
 */
#ifndef VHOST_VIRTQ_VQ_H
#define VHOST_VIRTQ_VQ_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "core/base/errbuf.h"
#include "vhost/virtq/dlog.h"
#include "vhost/virtq/gmem.h"
#include "vhost/virtq/virtio_spec.h"

#define VQ_SIZE_MAX  1024
#define VQ_BATCH     32  /* chains per pop */
#define VQ_CHAIN_MAX 1024 /* descriptors of one chain, indirect ones included (2.7.5.3.1: the queue size; peers go this far) */
#define VQ_NOTES     (2 * VQ_BATCH) /* of a batch of reads in one piece: data and status */
#define VQ_IOVS_MAX  260 /* pieces of one chain after translation: 128 buffers that may each span two regions */
#define VQ_IOV_BYTES (VQ_IOVS_MAX * sizeof(struct iovec) + CACHELINE_BYTES) /* stride: rows start in different L1 sets */

/*
 * One chain. The device type embeds it as the first member of its request; slot i belongs to head i (split)
 * or buffer id i (packed), so a request is found without a look-up and never allocated.
 */
struct vq_elem {
	struct iovec *iov; /* nout readable pieces, then nin writable ones; our addresses */
	uint16_t nout, nin;
	uint16_t id;	/* head index / buffer id */
	uint16_t ndesc; /* ring descriptors it takes (packed) */
	uint32_t out_bytes, in_bytes; /* sums, each < 2^32 (checked) */
	uint8_t inflight;	      /* from pop to push; IN_ORDER: to its turn */
	uint8_t done;		      /* IN_ORDER: pushed, waits for its turn */
	uint16_t vqi_slot;	      /* packed: its first entry in the inflight region */
	uint32_t written;	      /* IN_ORDER: bytes, kept until its turn */
};

/* Guest memory that was written to. */
struct vq_note {
	uint64_t gpa, len;
};

/* Plain data: everything that makes a queue (I7). Addresses are ours, checked by the transport. */
struct vq_conf {
	uint16_t index; /* of the device */
	uint16_t size;
	bool packed;
	uint64_t features;   /* negotiated */
	void *desc, *avail, *used; /* split rings; packed: ring, driver event, device event */
	uint16_t avail_idx;  /* next to take: index (split) or offset (packed) */
	uint16_t used_idx;   /* packed; split: the ring's own index counts */
	bool avail_wrap, used_wrap; /* packed */
	int kick_fd, call_fd; /* -1: none (poll / never interrupt). Owned by the transport */
	void (*call)(void *arg); /* instead of call_fd, for a transport that calls otherwise; on the reactor */
	void *call_arg;
	bool *held_up; /* atomic; of the front-end, shared by its queues: a notification fd of its makes us wait, and
			  is written no more. NULL: nobody wants to know */
	struct gmem *gmem;    /* referenced by the transport while the queue runs */
	void *inflight;	      /* struct vqi_split/vqi_packed, vqi_bytes() of it; NULL: not tracked */
	struct dlog *log;     /* NULL: off */
	uint64_t log_used_gpa; /* of the used ring (split); UINT64_MAX: ring not logged. packed: only whether */
};

struct vq_counters {
	uint64_t chains, polls, empty_polls; /* taken; vq_pop calls; those that found nothing */
	uint64_t kicks, calls;		     /* notifications in, out */
};

struct vq {
	/* hot: pop */
	union {
		struct {
			const volatile struct virtq_desc *desc;
			volatile struct virtq_avail *avail;
			volatile struct virtq_used *used;
		} split;
		struct {
			volatile struct virtq_pdesc *desc;
			volatile struct virtq_pevent *driver, *device;
		} packed;
	};
	const struct gmem *gmem;
	const struct gmem_region *cache, *cache_old; /* the region that was hit last, the one before it; never NULL */
	char *slots;			 /* device type's requests: size * slot_bytes */
	uint32_t slot_bytes;
	uint16_t size, mask; /* mask: split only (power of two) */
	bool is_packed, event_idx, in_order, indirect_ok;
	bool plain; /* split, any order, no dirty log: push in a straight line */
	bool avail_wrap, used_wrap;
	bool kicks_off; /* we asked the driver not to kick */
	bool broken;
	uint16_t avail_idx;    /* next to take */
	uint16_t used_idx;     /* next to fill; published up to used_pub */
	uint16_t used_pub;
	uint16_t ninflight;    /* popped, not pushed */
	uint16_t ntaken;       /* packed: ring descriptors popped and not published */
	/* packed: the used descriptor whose flags are held back until flush */
	uint16_t batch_first, batch_first_flags;
	bool batch_open;
	/* packed, IN_ORDER: chains that may share one used descriptor, not yet written */
	bool run_open, run_whole;
	uint16_t run_id, run_first;
	uint32_t run_written;
	bool signalled_valid; /* a first call decision was made: the driver's event counts from used_pub on */
	struct {
		const void *desc, *table, *header;
	} guess; /* split: what the last chain used, to be fetched ahead at low depth; may dangle, is never read */
	int call_fd, kick_fd;
	bool *held_up;
	char *iovs; /* size rows of VQ_IOV_BYTES, touched on use */
	/* inflight tracking; the region is only written to, what we must know of it we keep here */
	void *inflight;
	uint64_t inflight_counter;
	uint16_t *batch; /* pushed and not published. split: heads by used index; packed: nbatch region entries */
	uint16_t nbatch;
	uint16_t vqi_free;	      /* packed: first free entry; split: last_batch_head */
	uint16_t *vqi_next, *vqi_last; /* packed: of each entry, as in the region */
	void *vqi_copy; /* of the region, as found and checked; packed: the chains to take again are in it */
	uint16_t *resume; /* split: heads, packed: entries to take again first, oldest first; [resume_at, resume_n) */
	uint16_t resume_n, resume_at;
	/* in order */
	uint16_t *order; /* ring of ids as taken */
	uint16_t order_head, order_tail, order_mask;
	struct dlog *log;
	uint64_t log_used_gpa;
	struct vq_counters cnt;
	uint16_t *tables; /* what batch, resume, order, vqi_* live in */
	void (*call)(void *arg); /* not NULL: instead of call_fd, which is not -1 then */
	void *call_arg;
	uint16_t index;
	char why[96]; /* broken: the reason */
	unsigned nnotes; /* what is to be marked in the log */
	struct vq_note notes[VQ_NOTES];
};

/**
 * vq_init - from @conf; @slots are the device type's requests (size * slot_bytes, vq_elem first).
 * Allocates iov rows and, with an inflight region, reads and checks it once and finds what must be
 * taken again. The queue may run afterwards. 0, -ENOMEM, -EINVAL with eb (size, alignment 2.7/2.8,
 * impossible indexes). Control or set-up thread. Kicks are on afterwards. Guest memory is used as
 * it is mapped: what becomes of a peer that shrinks its file under us stands in core/sigbus.h.
 */
int vq_init(struct vq *vq, const struct vq_conf *conf, void *slots, uint32_t slot_bytes,
	    struct errbuf *eb);
void vq_fini(struct vq *vq);

/* Up to @max (<= VQ_BATCH) chains; their vq_elems are filled. 0: nothing there, or broken. */
unsigned vq_pop(struct vq *vq, struct vq_elem **elems, unsigned max);

/* @e is done, the device wrote @written bytes (<= e->in_bytes) into its writable part. Visible after vq_flush. */
static cc_always_inline void vq_push(struct vq *vq, struct vq_elem *e, uint32_t written);

/* @e is not answered: it stays in the inflight region for whoever takes the ring up next. Nothing is popped any more. */
void vq_leave(struct vq *vq, struct vq_elem *e);

/* Are there chains of the inflight region still to be taken again? vq_pop gives these and no others. */
static cc_always_inline bool vq_has_resumed(const struct vq *vq)
{
	return vq->resume_at != vq->resume_n && !vq->broken;
}

/* What became of all that was pushed and was not held back by IN_ORDER. */
enum vq_flushed {
	VQ_FLUSHED_NOTHING, /* there was nothing */
	VQ_FLUSHED_QUIET,   /* published: the driver wants no call, or there is no fd for it */
	VQ_FLUSHED_CALLED,  /* published, and called */
};

/* Publish what was pushed; call the driver when it asked for it. Harmless when nothing was pushed. */
enum vq_flushed vq_flush(struct vq *vq);

/* Call the driver, whatever it asked for. There is a call fd. */
void vq_call(struct vq *vq);

/* Ask for kicks and look once more: true = chains are there (kicks may stay on). Drains nothing. */
bool vq_kick_enable(struct vq *vq);
/* Polling again: empties the kick eventfd, asks for no kicks. */
void vq_kick_disable(struct vq *vq);

/* A new memory table; rings keep their place (the transport checked it). Old regions' users: vq_uses_range(). */
void vq_set_gmem(struct vq *vq, const struct gmem *g);
/* Does a chain in flight touch [va, va+len)? Walks the slots: control business, on the reactor. */
bool vq_uses_range(const struct vq *vq, const void *va, uint64_t len);
/* Switch the dirty log (NULL: off). Data and ring writes from now on are marked. */
void vq_set_log(struct vq *vq, struct dlog *log, uint64_t log_used_gpa);

/* Is there a chain that was taken and not given back? What was pushed is flushed. */
bool vq_has_taken(const struct vq *vq);

/* What GET_VRING_BASE answers: split = avail_idx, packed = avail offset/wrap and used offset/wrap in one word. */
uint32_t vq_base(const struct vq *vq);

/* Break the queue from above (a request that cannot be answered); logged by the transport from vq->why. */
void vq_break(struct vq *vq, const char *fmt, ...) cc_printf(2, 3);

/* Has @e just so many pieces? One comparison. */
static cc_always_inline bool vq_elem_is(const struct vq_elem *e, uint16_t nout, uint16_t nin)
{
	const uint16_t want[2] = { nout, nin };

	static_assert(offsetof(struct vq_elem, nin) == offsetof(struct vq_elem, nout) + 2, "pair");
	return !memcmp((const char *)e + offsetof(struct vq_elem, nout), want, sizeof(want));
}

/* Give @e so many pieces. One store. */
static cc_always_inline void vq_elem_set_shape(struct vq_elem *e, uint16_t nout, uint16_t nin)
{
	const uint16_t shape[2] = { nout, nin };

	memcpy((char *)e + offsetof(struct vq_elem, nout), shape, sizeof(shape));
}

/* Copy out of / into the pieces of a chain, from byte @off of its readable / writable part. Returns bytes copied. */
size_t vq_elem_read(const struct vq_elem *e, size_t off, void *buf, size_t len);
size_t vq_elem_write(const struct vq_elem *e, size_t off, const void *buf, size_t len);

/* A used entry of the split ring, not yet published. */
static cc_always_inline void vqs_put(struct vq *vq, const struct vq_elem *e, uint32_t written)
{
	unsigned at = vq->used_idx & vq->mask;
	volatile struct virtq_used_elem *u = &vq->split.used->ring[at];
	uint16_t id = e->id;

	u->id = le32_make(id);
	u->len = le32_make(written);
	vq->batch[at] = id;
	vq->used_idx++;
}

/* Other than vqs_put() alone: packed, in order, or logged. */
void vq_push_other(struct vq *vq, struct vq_elem *e, uint32_t written);

static cc_always_inline void vq_push(struct vq *vq, struct vq_elem *e, uint32_t written)
{
	assert(e->inflight && !e->done && written <= e->in_bytes);
	assert(vq->ninflight > 0);
	vq->ninflight--;
	if (cc_unlikely(!vq->plain)) {
		vq_push_other(vq, e, written);
		return;
	}
	e->inflight = 0;
	vqs_put(vq, e, written);
}

/*
 * vq_push() for many in a row: begin, push each, end; nothing else happens to the queue meanwhile.
 * A local variable of the caller: the queue's fields stay in registers.
 */
struct vq_run {
	struct vq *vq;
	volatile struct virtq_used_elem *ring;
	uint16_t *batch;
	unsigned used_idx, mask;
	unsigned nother; /* pushed the other way: not plain */
	bool plain;
};

static cc_always_inline struct vq_run vq_run_begin(struct vq *vq)
{
	return (struct vq_run){
		.vq = vq,
		.ring = vq->split.used->ring,
		.batch = vq->batch,
		.used_idx = vq->used_idx,
		.mask = vq->mask,
		.plain = vq->plain,
	};
}

static cc_always_inline void vq_run_push(struct vq_run *run, struct vq_elem *e, uint32_t written)
{
	unsigned at = run->used_idx & run->mask;
	uint16_t id = e->id;

	assert(e->inflight && !e->done && written <= e->in_bytes);
	if (cc_unlikely(!run->plain)) {
		run->nother++;
		vq_push_other(run->vq, e, written);
		return;
	}
	e->inflight = 0;
	run->ring[at].id = le32_make(id);
	run->ring[at].len = le32_make(written);
	run->batch[at] = id;
	run->used_idx++;
}

/* Returns how many were pushed. */
static cc_always_inline unsigned vq_run_end(const struct vq_run *run)
{
	struct vq *vq = run->vq;
	unsigned n = run->plain ? (uint16_t)(run->used_idx - vq->used_idx) : run->nother;

	assert(vq->ninflight >= n);
	vq->ninflight = (uint16_t)(vq->ninflight - n);
	if (cc_likely(run->plain))
		vq->used_idx = (uint16_t)run->used_idx;
	return n;
}

#endif
