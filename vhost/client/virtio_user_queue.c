/* SPDX-License-Identifier: BSD-3-Clause */
/* The data path of the front-end half: requests into the ring, results out of it, sleeping in
 * between. */
#include "vhost/client/virtio_user_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/mono.h"

#define SERVICE_POLLS	 1024		       /* polls between two looks at the clock */
#define SERVICE_NS	 (10 * MONO_NS_PER_MS) /* between two looks at the socket */
#define STATUS_UNWRITTEN 0xff
#define AWAY_NAP_MS	 20 /* how often it is worth a look whether a server is back */

/* Virtio 1.2, 5.2.6: type codes. */
static const struct {
	uint8_t type;
	bool device_writes, has_data, has_seg;
} op_table[] = {
	[VIRTIO_USER_READ] = { 0, true, true, false },
	[VIRTIO_USER_WRITE] = { 1, false, true, false },
	[VIRTIO_USER_FLUSH] = { 4, false, false, false },
	[VIRTIO_USER_GET_ID] = { 8, true, true, false },
	[VIRTIO_USER_DISCARD] = { 11, false, false, true },
	[VIRTIO_USER_WRITE_ZEROES] = { 13, false, false, true },
};

#define HEADER_BYTES 16u
#define SEG_BYTES    16u

/* Descriptors of one indirect table: whole lines, an odd number of them, so that tables start in
 * different L1 sets. */
static uint16_t table_descs(unsigned segs_max)
{
	return (uint16_t)((((segs_max + 2 + 3) / 4) | 1) * 4);
}

/* What lies where in a queue's share of the memory, from its start. */
struct queue_layout {
	size_t desc, avail, used, rings, tables, lines, total;
};

static struct queue_layout queue_layout(uint16_t size, unsigned segs_max)
{
	const size_t line = 2 * CACHELINE_BYTES; /* neighbours are prefetched in pairs */
	struct queue_layout l;

	/* Sized for the split ring; the packed one has 16 bytes per entry too, and two small event
	 * structures. */
	l.desc = 0;
	l.avail = CC_ALIGN_UP(l.desc + VIRTQ_DESC_BYTES(size), line) + line;
	l.used = CC_ALIGN_UP(l.avail + VIRTQ_AVAIL_BYTES(size), line) + line;
	l.rings = CC_ALIGN_UP(l.used + VIRTQ_USED_BYTES(size), line) + line;
	l.tables = l.rings;
	l.lines = CC_ALIGN_UP(l.tables + (size_t)size * table_descs(segs_max) * 16, line) + line;
	l.total = CC_ALIGN_UP(l.lines + (size_t)size * sizeof(struct virtio_user_line), 4096);
	return l;
}

size_t virtio_user_queue_bytes(uint16_t size, unsigned segs_max)
{
	return queue_layout(size, segs_max).total;
}

static uint64_t dev_addr(const void *va)
{
	return (uint64_t)(uintptr_t)va;
}

static void slots_init(struct virtio_user_queue *q)
{
	for (uint16_t i = 0; i < q->nslots; i++) {
		struct virtio_user_slot *s = &q->slots[i];

		s->index = i;
		s->bufs[0] = (struct vqd_buf){ dev_addr(&q->lines[i]), HEADER_BYTES, false };
		s->bufs[2] = (struct vqd_buf){ dev_addr(&q->lines[i].status), 1, true };
		q->free[i] = (uint16_t)(q->nslots - 1 - i);
	}
	q->nfree = q->nslots;
}

int virtio_user_queue_init(struct virtio_user *vu, unsigned index, char *mem)
{
	struct virtio_user_queue *q = &vu->queues[index];
	struct queue_layout l = queue_layout(vu->queue_size, vu->segs_max);
	uint16_t size = vu->queue_size;

	q->vu = vu;
	q->index = (uint16_t)index;
	q->segs_max = (uint16_t)vu->segs_max;
	q->indirect = (vu->features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) != 0;
	q->ring_bytes = l.rings;
	q->lines = (struct virtio_user_line *)(mem + l.lines);
	q->service_in = SERVICE_POLLS;
	q->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	q->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	q->err_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->kick_fd < 0 || q->call_fd < 0 || q->err_fd < 0)
		return -errno;
	q->nslots = vu->depth;
	q->slots = aligned_alloc(CACHELINE_BYTES, q->nslots * sizeof(*q->slots));
	q->free = calloc(q->nslots, sizeof(*q->free));
	q->sent = calloc(size, sizeof(*q->sent));
	q->sent_mask = (uint16_t)(size - 1);
	q->more = calloc((size_t)q->nslots * (vu->segs_max + 2), sizeof(*q->more));
	q->stash = calloc(q->nslots, sizeof(*q->stash));
	if (!q->slots || !q->free || !q->sent || !q->more || !q->stash)
		return -ENOMEM;
	memset(q->slots, 0, q->nslots * sizeof(*q->slots));
	slots_init(q);
	q->conf = (struct vqd_conf){
		.size = size,
		.packed = vu->opts.packed,
		.features = vu->features,
		.desc = mem + l.desc,
		.avail = mem + l.avail,
		.used = mem + l.used,
		.indirect = q->indirect ? mem + l.tables : NULL,
		.indirect_gpa = dev_addr(mem + l.tables),
		.indirect_max = table_descs(vu->segs_max),
		.kick_fd = q->kick_fd,
	};
	return vqd_init(&q->vqd, &q->conf);
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void virtio_user_queue_fini(struct virtio_user_queue *q)
{
	if (q->conf.size)
		vqd_fini(&q->vqd);
	q->conf.size = 0;
	free(q->stash);
	free(q->more);
	free(q->sent);
	free(q->free);
	free(q->slots);
	fd_close(&q->err_fd);
	fd_close(&q->call_fd);
	fd_close(&q->kick_fd);
}

/*
 * Down
 */

static struct vqd_buf *slot_bufs(struct virtio_user_queue *q, struct virtio_user_slot *s,
				 unsigned nbufs)
{
	return nbufs == 3 ? s->bufs : &q->more[(size_t)s->index * (q->segs_max + 2u)];
}

/* @others: slots that must find a place in the ring besides this one. */
static int slot_add(struct virtio_user_queue *q, struct virtio_user_slot *s, unsigned others)
{
	/* A short chain is cheaper for both sides without a table, where the ring has room to
	 * spare. */
	bool indirect = q->indirect && (s->nbufs > 3 || q->vqd.nfree < s->nbufs + others);

	return vqd_add(&q->vqd, slot_bufs(q, s, s->nbufs), s->nbufs, indirect, s);
}

/* The uncommon shapes: no data or several pieces of it. */
static cc_noinline int slot_fill_long(struct virtio_user_queue *q, struct virtio_user_slot *s,
				      enum virtio_user_op op, uint64_t off, uint64_t len,
				      const struct iovec *iov, unsigned iovcnt)
{
	struct virtio_user_line *line = &q->lines[s->index];
	struct vqd_buf *b = slot_bufs(q, s, 0);
	uint64_t sum = 0;
	unsigned n = 1;

	if (iovcnt > q->segs_max || (op_table[op].has_data ? iovcnt == 0 : iovcnt != 0))
		return -EINVAL;
	b[0] = s->bufs[0];
	if (op_table[op].has_seg) {
		if (len / VIRTIO_USER_SECTOR > UINT32_MAX)
			return -EINVAL;
		line->seg.sector = le64_make(off / VIRTIO_USER_SECTOR);
		line->seg.num_sectors = le32_make((uint32_t)(len / VIRTIO_USER_SECTOR));
		line->seg.flags = le32_make(0);
		b[n++] = (struct vqd_buf){ dev_addr(&line->seg), SEG_BYTES, false };
	}
	for (unsigned i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len == 0 || iov[i].iov_len > UINT32_MAX)
			return -EINVAL;
		sum += iov[i].iov_len;
		b[n++] = (struct vqd_buf){ dev_addr(iov[i].iov_base), (uint32_t)iov[i].iov_len,
					   op_table[op].device_writes };
	}
	if (op_table[op].has_data && sum != len)
		return -EINVAL;
	b[n++] = s->bufs[2];
	s->nbufs = (uint16_t)n;
	if (n == 3) /* the row in the slot is the one that is used */
		s->bufs[1] = b[1];
	return 0;
}

int virtio_user_submit(struct virtio_user_queue *q, enum virtio_user_op op, uint64_t off,
		       uint64_t len, const struct iovec *iov, unsigned iovcnt, void *cookie)
{
	struct virtio_user_slot *s;
	struct virtio_user_line *line;
	int err = 0;

	if (cc_unlikely(q->nfree <= q->nstash)) /* what is in the stash was not given out yet */
		return -ENOSPC;
	s = &q->slots[q->free[q->nfree - 1]];
	line = &q->lines[s->index];
	if (cc_likely(op <= VIRTIO_USER_WRITE && iovcnt == 1)) {
		if (cc_unlikely(((off | len) & (VIRTIO_USER_SECTOR - 1)) || len != iov->iov_len ||
				len - 1 >= UINT32_MAX))
			return -EINVAL;
		s->bufs[1] = (struct vqd_buf){ dev_addr(iov->iov_base), (uint32_t)len,
					       op == VIRTIO_USER_READ };
		s->nbufs = 3;
	} else {
		if ((unsigned)op >= ARRAY_SIZE(op_table))
			return -EINVAL;
		if (op != VIRTIO_USER_GET_ID && ((off | len) & (VIRTIO_USER_SECTOR - 1)))
			return -EINVAL;
		err = slot_fill_long(q, s, op, off, len, iov, iovcnt);
		if (err)
			goto unused;
	}
	line->type = le32_make(op_table[op].type);
	line->reserved = le32_make(0);
	line->sector = le64_make(
		op == VIRTIO_USER_FLUSH || op_table[op].has_seg ? 0 : off / VIRTIO_USER_SECTOR);
	line->status = STATUS_UNWRITTEN;
	s->cookie = cookie;
	err = slot_add(q, s, q->nfree - 1u);
	if (cc_unlikely(err))
		goto unused;
	q->nfree--;
	q->sent[q->sent_seq++ & q->sent_mask] = s->index;
	return 0;
unused:
	s->nbufs = 0;
	return err;
}

void virtio_user_flush(struct virtio_user_queue *q)
{
	vqd_publish(&q->vqd);
}

/*
 * Up
 */

static int status_to_err(uint8_t status)
{
	switch (status) {
	case 0:
		return 0;
	case 2:
		return -EOPNOTSUPP;
	default: /* also a status that the device never wrote */
		return -EIO;
	}
}

/* The slot that was submitted first of those in flight, if answers come in order: a guess. */
static uint16_t oldest(const struct virtio_user_queue *q)
{
	return q->sent[q->got_seq & q->sent_mask];
}

/* Results out of the ring, the lines fetched together before the first is looked at. */
static int ring_poll(struct virtio_user_queue *q, struct virtio_user_done *done, unsigned max)
{
	struct virtio_user_slot *got[VIRTIO_USER_BATCH];
	unsigned n = 0;
	uint32_t written;
	void *cookie;
	int err = 0;

	if (max > VIRTIO_USER_BATCH)
		max = VIRTIO_USER_BATCH;
	/* Where answers come in order, the line travels while the ring is still being looked at. */
	if (q->guess_right && vqd_has_used(&q->vqd))
		cc_prefetch_w(&q->lines[oldest(q)]);
	while (n < max && vqd_get(&q->vqd, &cookie, &written, &err)) {
		got[n] = cookie;
		cc_prefetch_w(&q->lines[got[n]->index]);
		n++;
	}
	if (cc_unlikely(err))
		q->broken = err;
	if (n)
		q->guess_right = got[0]->index == oldest(q);
	q->got_seq = (uint16_t)(q->got_seq + n);
	for (unsigned i = 0; i < n; i++) {
		struct virtio_user_slot *s = got[i];

		assert(s->nbufs != 0);
		done[i].cookie = s->cookie;
		done[i].status = status_to_err(q->lines[s->index].status);
		s->nbufs = 0;
		q->free[q->nfree++] = s->index;
	}
	return (int)n;
}

static int stash_take(struct virtio_user_queue *q, struct virtio_user_done *done, unsigned max)
{
	unsigned n = CC_MIN(max, (unsigned)q->nstash);

	q->nstash = (uint16_t)(q->nstash - n);
	memcpy(done, &q->stash[q->nstash], n * sizeof(*done));
	return (int)n;
}

void virtio_user_queue_drain(struct virtio_user_queue *q)
{
	int n;

	/* The stash has room for every slot, and what is in it is free or in the ring no longer. */
	do {
		n = ring_poll(q, &q->stash[q->nstash], q->nslots - q->nstash);
		q->nstash = (uint16_t)(q->nstash + n);
	} while (n > 0 && q->nstash < q->nslots);
}

/* The device says that it has given this ring up (SET_VRING_ERR). */
static void look_for_error(struct virtio_user_queue *q)
{
	uint64_t drop;

	if (read(q->err_fd, &drop, sizeof(drop)) == (ssize_t)sizeof(drop))
		q->broken = -EPROTO;
}

static cc_noinline void service_maybe(struct virtio_user_queue *q)
{
	uint64_t now = mono_ticks();

	q->service_in = SERVICE_POLLS;
	if (mono_ticks_to_ns(now - q->service_ticks) < SERVICE_NS)
		return;
	q->service_ticks = now;
	look_for_error(q);
	if (!q->vu->opts.watched)
		virtio_user_service(q->vu);
}

/* The peer's end counts once the ring was seen empty after it. */
static cc_noinline int poll_dead(struct virtio_user_queue *q)
{
	if (q->vu->opts.reconnect_ms)
		return virtio_user_queue_again(q);
	if (q->dead_seen)
		return -EPIPE;
	q->dead_seen = true;
	return 0;
}

/* Nothing in the ring. */
static int poll_empty(struct virtio_user_queue *q)
{
	if (cc_unlikely(__atomic_load_n(&q->vu->dead, __ATOMIC_RELAXED) ||
			q->epoch != __atomic_load_n(&q->vu->epoch, __ATOMIC_RELAXED)))
		return poll_dead(q);
	return q->broken;
}

int virtio_user_poll(struct virtio_user_queue *q, struct virtio_user_done *done, unsigned max)
{
	int n;

	if (cc_unlikely(q->nstash))
		return stash_take(q, done, max);
	if (cc_unlikely(--q->service_in == 0))
		service_maybe(q);
	n = ring_poll(q, done, max);
	return cc_likely(n > 0) ? n : poll_empty(q);
}

/* Until the next attempt to come back, which is poll's to make. */
static int wait_dead(const struct virtio_user *vu, int timeout_ms)
{
	if (!vu->opts.reconnect_ms)
		return -EPIPE;
	(void)poll(NULL, 0, timeout_ms < 0 ? AWAY_NAP_MS : CC_MIN(timeout_ms, AWAY_NAP_MS));
	return 0;
}

int virtio_user_wait(struct virtio_user_queue *q, int timeout_ms)
{
	struct virtio_user *vu = q->vu;
	struct pollfd p[] = {
		{ .fd = q->call_fd, .events = POLLIN },
		{ .fd = vu->sock, .events = POLLIN },
		{ .fd = __atomic_load_n(&vu->backend_fd, __ATOMIC_RELAXED), .events = POLLIN },
		{ .fd = q->err_fd, .events = POLLIN },
	};
	uint64_t drop;
	int n;

	if (q->nstash || q->epoch != __atomic_load_n(&vu->epoch, __ATOMIC_RELAXED))
		return 0;
	if (q->broken && !__atomic_load_n(&vu->dead, __ATOMIC_RELAXED))
		return q->broken;
	if (vqd_call_enable(&q->vqd)) {
		vqd_call_disable(&q->vqd);
		return 0;
	}
	if (__atomic_load_n(&vu->dead, __ATOMIC_RELAXED)) {
		vqd_call_disable(&q->vqd);
		return wait_dead(vu, timeout_ms);
	}
	n = poll(p, ARRAY_SIZE(p), timeout_ms);
	vqd_call_disable(&q->vqd);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ETIMEDOUT;
	if (p[0].revents)
		(void)!read(q->call_fd, &drop, sizeof(drop)); /* only to empty it */
	if (p[3].revents)
		look_for_error(q);
	if (p[1].revents | p[2].revents)
		virtio_user_service(vu);
	return 0;
}

int virtio_user_fd(const struct virtio_user_queue *q)
{
	return q->call_fd;
}

bool virtio_user_arm(struct virtio_user_queue *q)
{
	if (q->nstash || q->epoch != __atomic_load_n(&q->vu->epoch, __ATOMIC_RELAXED))
		return true;
	return vqd_call_enable(&q->vqd);
}

void virtio_user_disarm(struct virtio_user_queue *q)
{
	uint64_t drop;

	vqd_call_disable(&q->vqd);
	(void)!read(q->call_fd, &drop, sizeof(drop)); /* only to empty it */
	look_for_error(q);
	if (!q->vu->opts.watched)
		virtio_user_service(q->vu);
}

unsigned virtio_user_inflight(const struct virtio_user_queue *q)
{
	return (unsigned)q->nslots - q->nfree + q->nstash;
}

/*
 * To another device
 */

void virtio_user_queue_adopt(struct virtio_user_queue *q)
{
	q->dead_seen = false;
	q->broken = 0;
	q->epoch = q->vu->epoch;
}

uint32_t virtio_user_queue_base(const struct virtio_user_queue *q)
{
	uint32_t at = q->vqd.used_idx;

	if (!q->conf.packed)
		return at;
	at |= (uint32_t)q->vqd.used_wrap << 15;
	return at | at << 16;
}

void virtio_user_queue_kick(struct virtio_user_queue *q)
{
	uint64_t one = 1;

	(void)!write(q->kick_fd, &one, sizeof(one)); /* full means kicked already */
}

int virtio_user_queue_drop(struct virtio_user_queue *q)
{
	q->nstash = 0;
	q->nfree = 0;
	q->got_seq = q->sent_seq;
	for (uint16_t i = 0; i < q->nslots; i++) {
		q->slots[i].nbufs = 0;
		q->free[q->nfree++] = (uint16_t)(q->nslots - 1 - i);
	}
	return virtio_user_queue_restart(q);
}

int virtio_user_queue_restart(struct virtio_user_queue *q)
{
	unsigned added = 0;
	int err;

	vqd_fini(&q->vqd);
	memset(q->conf.desc, 0, q->ring_bytes);
	err = vqd_init(&q->vqd, &q->conf);
	if (err) {
		q->conf.size = 0;
		return err;
	}
	for (unsigned i = 0; i < q->nslots && !err; i++) {
		if (!q->slots[i].nbufs)
			continue;
		q->lines[i].status = STATUS_UNWRITTEN;
		err = slot_add(q, &q->slots[i], q->nslots - 1 - added++);
	}
	vqd_publish(&q->vqd);
	return err;
}
