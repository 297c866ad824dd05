/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving and sending, each as far as the socket lets it.
 *
 *   socket ─► in (28 bytes) ─► a free slot [─► its data] ─► bio ─► bdev
 *   socket ◄─ out (16 bytes) [+ data] ◄─ tx, oldest first ◄─ done
 */
#include "vdpa/nbd_conn.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/base/counter.h"

#define LOG_TAG "nbd"
#include "core/base/log.h"

#define POLL_MAX 64 /* requests in one poll: others want their turn too */

static void over(struct reactor_msg *msg)
{
	struct nbd_conn *c = container_of(msg, struct nbd_conn, over_msg);

	c->over(c);
}

/* The peer has gone, or must. */
static void shut(struct nbd_conn *c, const char *why)
{
	if (c->is_shut)
		return;
	c->is_shut = true;
	if (why)
		log_error("%s: connection ended: %s", c->name, why);
	poller_mark_dirty(&c->poller);
}

static void end_if_last(struct nbd_conn *c)
{
	if (c->state != NBD_CONN_LEAVES || c->nheld || (c->tx && !c->is_shut))
		return;
	c->state = NBD_CONN_OVER;
	poller_detach(&c->poller);
	reactor_send(c->control, &c->over_msg, over);
}

/*
 * Replies
 */
static void reply(struct nbd_slot *slot, int status)
{
	struct nbd_conn *c = slot->c;

	slot->bio.status = status;
	slot->has_data = !status && slot->bio.op == BIO_READ;
	slot->next = NULL;
	*c->tx_last = slot;
	c->tx_last = &slot->next;
	poller_mark_dirty(&c->poller);
}

static void slot_done(struct bio *bio)
{
	struct nbd_slot *slot = container_of(bio, struct nbd_slot, bio);

	slot->c->nheld--;
	if (cc_unlikely(bio->status))
		counter_add(slot->c->errors, 1);
	reply(slot, bio->status);
}

/* NBD has few errors, and they are those of Linux. */
static uint32_t wire_error(int status)
{
	switch (-status) {
	case 0:
	case EPERM:
	case EIO:
	case ENOMEM:
	case EINVAL:
	case ENOSPC:
		return (uint32_t)-status;
	case EROFS:
		return EPERM;
	case EOPNOTSUPP:
		return 95;
	default:
		return EIO;
	}
}

static void fill_out(struct nbd_conn *c, const struct nbd_slot *slot)
{
	c->out.reply = (struct nbd_wire_reply){
		.magic = htobe32(NBD_WIRE_REPLY),
		.error = htobe32(wire_error(slot->bio.status)),
		.cookie = slot->cookie,
	};
}

/* The rest of the oldest reply. True: it is out. */
static bool send_one(struct nbd_conn *c)
{
	const struct nbd_slot *slot = c->tx;
	uint64_t head = sizeof(c->out), done = c->out_bytes;
	uint64_t data = slot->has_data ? slot->len : 0;
	uint64_t data_done = done > head ? done - head : 0;
	struct iovec iov[2] = {
		{ .iov_base = c->out.bytes + CC_MIN(done, head), .iov_len = head - CC_MIN(done, head) },
		{ .iov_base = slot->buf + data_done, .iov_len = data - data_done },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (!done)
		fill_out(c, slot);
	do {
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		shut(c, NULL);
	if (n <= 0)
		return false;
	c->out_bytes += (uint64_t)n;
	return c->out_bytes == head + data;
}

static void conn_flush(struct poller *p)
{
	struct nbd_conn *c = container_of(p, struct nbd_conn, poller);

	while (c->tx && !c->is_shut && send_one(c)) {
		struct nbd_slot *slot = c->tx;

		c->out_bytes = 0;
		c->tx = slot->next;
		if (!c->tx)
			c->tx_last = &c->tx;
		slot->next = c->free;
		c->free = slot;
	}
	poller_wake(p); /* there may be a slot again for what waits in the socket */
	end_if_last(c);
}

/*
 * Requests
 */

/* A request as a bio. 0 or -errno: refused. Pure. */
static int parse(struct nbd_slot *slot, const struct nbd_wire_request *rq)
{
	uint16_t flags = be16toh(rq->flags);
	struct bio *bio = &slot->bio;

	bio->flags = flags & NBD_WIRE_FUA ? BIO_FUA : 0;
	bio->off = be64toh(rq->off);
	bio->len = slot->len;
	bio->iovcnt = 0;
	switch (be16toh(rq->op)) {
	case NBD_WIRE_READ:
		bio->op = BIO_READ;
		bio->flags = 0;
		break;
	case NBD_WIRE_WRITE:
		bio->op = BIO_WRITE;
		break;
	case NBD_WIRE_FLUSH:
		bio->op = BIO_FLUSH;
		bio->flags = 0;
		bio->off = 0;
		bio->len = 0;
		break;
	case NBD_WIRE_TRIM:
		bio->op = BIO_DISCARD;
		bio->flags = 0;
		break;
	case NBD_WIRE_ZEROES:
		bio->op = BIO_WRITE_ZEROES;
		if (flags & NBD_WIRE_NO_HOLE)
			bio->flags |= BIO_NOUNMAP;
		break;
	default:
		return -EINVAL;
	}
	if (bio->op != BIO_READ && bio->op != BIO_WRITE)
		return 0;
	if (!slot->len || slot->len > slot->c->buf_bytes)
		return -EINVAL;
	slot->iov.iov_len = slot->len;
	bio->iovcnt = 1;
	return 0;
}

static void submit(struct nbd_conn *c, struct nbd_slot *slot)
{
	c->nheld++;
	counter_add(c->ios, 1);
	bdev_submit(c->chan, &slot->bio);
}

/* The header is complete. */
static void take_header(struct nbd_conn *c)
{
	const struct nbd_wire_request *rq = &c->in.request;
	struct nbd_slot *slot;
	int err;

	if (be32toh(rq->magic) != NBD_WIRE_REQUEST) {
		shut(c, "that is no NBD request");
		return;
	}
	c->in_bytes = 0;
	if (be16toh(rq->op) == NBD_WIRE_DISCONNECT) {
		shut(c, NULL);
		return;
	}
	slot = c->free;
	c->free = slot->next;
	slot->cookie = rq->cookie;
	slot->len = be32toh(rq->len);
	err = parse(slot, rq);
	if (err) {
		counter_add(c->errors, 1);
		c->skip = be16toh(rq->op) == NBD_WIRE_WRITE ? slot->len : 0;
		slot->bio.op = BIO_FLUSH; /* anything without data */
		reply(slot, err);
	} else if (slot->bio.op == BIO_WRITE) {
		c->rx = slot;
	} else {
		submit(c, slot);
	}
}

/* More of what is expected next. True: something came. */
static bool receive(struct nbd_conn *c)
{
	uint8_t waste[4096];
	uint8_t *to;
	size_t want;
	ssize_t n;

	if (c->rx) {
		to = c->rx->buf + c->in_bytes;
		want = c->rx->len - c->in_bytes;
	} else if (c->skip) {
		to = waste;
		want = CC_MIN((size_t)c->skip, sizeof(waste));
	} else {
		to = c->in.bytes + c->in_bytes;
		want = sizeof(c->in) - c->in_bytes;
	}
	n = recv(c->fd, to, want, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		shut(c, NULL);
		return false;
	}
	if (!c->rx && c->skip) {
		c->skip -= (uint32_t)n;
		return true;
	}
	c->in_bytes += (uint32_t)n;
	if ((size_t)n < want)
		return true;
	if (c->rx) {
		struct nbd_slot *slot = c->rx;

		c->rx = NULL;
		c->in_bytes = 0;
		submit(c, slot);
	} else {
		take_header(c);
	}
	return true;
}

static bool may_receive(const struct nbd_conn *c)
{
	return c->state == NBD_CONN_SERVES && !c->is_shut && (c->free || c->rx || c->skip);
}

static unsigned conn_poll(struct poller *p)
{
	struct nbd_conn *c = container_of(p, struct nbd_conn, poller);
	unsigned n = 0;

	if (c->tx)
		poller_mark_dirty(p);
	while (n < POLL_MAX && may_receive(c) && receive(c))
		n++;
	return n;
}

static bool conn_arm(struct poller *p)
{
	struct nbd_conn *c = container_of(p, struct nbd_conn, poller);
	char byte;

	if (c->tx && !c->is_shut)
		return true; /* nobody tells when the socket takes more */
	return may_receive(c) && recv(c->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
}

static const struct poller_ops conn_ops = {
	.name = "nbd",
	.poll = conn_poll,
	.flush = conn_flush,
	.arm = conn_arm,
};

static void start_here(struct reactor_msg *msg)
{
	struct nbd_conn *c = container_of(msg, struct nbd_conn, start_msg);

	c->tx_last = &c->tx;
	for (unsigned i = 0; i < c->nslots; i++) {
		struct nbd_slot *slot = &c->slots[i];

		slot->c = c;
		slot->iov.iov_base = slot->buf;
		slot->bio.iov = &slot->iov;
		slot->bio.done = slot_done;
		slot->next = c->free;
		c->free = slot;
	}
	poller_attach(c->reactor, &c->poller, &conn_ops, c->fd);
}

void nbd_conn_start(struct nbd_conn *c)
{
	reactor_send(c->reactor, &c->start_msg, start_here);
}

static void leave_here(struct reactor_msg *msg)
{
	struct nbd_conn *c = container_of(msg, struct nbd_conn, leave_msg);

	assert(c->state == NBD_CONN_SERVES);
	c->state = NBD_CONN_LEAVES;
	poller_mark_dirty(&c->poller);
}

void nbd_conn_leave(struct nbd_conn *c)
{
	reactor_send(c->reactor, &c->leave_msg, leave_here);
}
