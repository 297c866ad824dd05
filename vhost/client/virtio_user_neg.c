/* SPDX-License-Identifier: BSD-3-Clause */
/* The handshake of the front-end half, in the order in which good front-ends do it, and the
 * messages while it runs. */
#include "vhost/client/virtio_user_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/client/virtio_user_sock.h"
#include "vhost/user/vu_wire.h"

#define REPLY_MS 10000 /* to a question that needs no I/O */
#define DRAIN_MS 60000 /* GET_VRING_BASE: the device finishes what it has */

/* Virtio 1.2, 2.1: device status. */
#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER	   2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_AGREED	   (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK)

#define FEATURES_BLK                                                                      \
	(VIRTIO_BIT(VIRTIO_USER_BLK_F_SIZE_MAX) | VIRTIO_BIT(VIRTIO_USER_BLK_F_SEG_MAX) | \
	 VIRTIO_BIT(VIRTIO_USER_BLK_F_RO) | VIRTIO_BIT(VIRTIO_USER_BLK_F_BLK_SIZE) |      \
	 VIRTIO_BIT(VIRTIO_USER_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_USER_BLK_F_TOPOLOGY) |   \
	 VIRTIO_BIT(VIRTIO_USER_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_USER_BLK_F_MQ) |    \
	 VIRTIO_BIT(VIRTIO_USER_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_USER_BLK_F_WRITE_ZEROES))

#define PROTOCOL_MINIMAL (VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_CONFIG))
#define PROTOCOL_ALL                                                                              \
	(PROTOCOL_MINIMAL | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) | \
	 VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) | VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) |              \
	 VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_PROTOCOL_F_STATUS))

static bool has_protocol(const struct virtio_user *vu, enum vu_protocol_feature f)
{
	return (vu->protocol_features & VU_BIT(f)) != 0;
}

static bool has_feature(const struct virtio_user *vu, unsigned bit)
{
	return (vu->features & VIRTIO_BIT(bit)) != 0;
}

/*
 * One message
 */

/* Send @m and put the reply into it. Its fds are the caller's afterwards. */
static int ask_for(struct virtio_user *vu, struct vu_msg *m, uint32_t size_min, int timeout_ms)
{
	uint32_t request = m->h.request;
	int err = virtio_user_sock_send(vu->sock, m);

	if (err)
		return err;
	err = virtio_user_sock_recv(vu->sock, m, timeout_ms);
	if (err)
		return err;
	if (m->h.request == request && (m->h.flags & VU_FLAG_REPLY) && m->h.size >= size_min)
		return 0;
	vu_msg_close_fds(m);
	return -EPROTO;
}

static int ask(struct virtio_user *vu, struct vu_msg *m, uint32_t size_min)
{
	return ask_for(vu, m, size_min, REPLY_MS);
}

/* Send @m and, where the peer can, hear whether it was done. */
static int tell(struct virtio_user *vu, struct vu_msg *m)
{
	int err;

	if (!has_protocol(vu, VU_PROTOCOL_F_REPLY_ACK))
		return virtio_user_sock_send(vu->sock, m);
	m->h.flags |= VU_FLAG_NEED_REPLY;
	err = ask(vu, m, sizeof(m->p.u64));
	if (err)
		return err;
	vu_msg_close_fds(m);
	return m->p.u64 ? -EREMOTEIO : 0;
}

static int tell_u64(struct virtio_user *vu, uint32_t request, uint64_t value)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = value;
	return tell(vu, &m);
}

static int tell_nothing(struct virtio_user *vu, uint32_t request)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, 0);
	return tell(vu, &m);
}

static int tell_ring(struct virtio_user *vu, uint32_t request, unsigned index, uint32_t num)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.state));
	m.p.state = (struct vu_vring_state){ index, num };
	return tell(vu, &m);
}

static int tell_ring_fd(struct virtio_user *vu, uint32_t request, unsigned index, int fd)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = index;
	m.fds[0] = fd;
	m.nfds = 1;
	return tell(vu, &m);
}

static int ask_u64(struct virtio_user *vu, uint32_t request, uint64_t *ret)
{
	struct vu_msg m;
	int err;

	vu_msg_init(&m, request, 0, 0);
	err = ask(vu, &m, sizeof(m.p.u64));
	if (err)
		return err;
	vu_msg_close_fds(&m);
	*ret = m.p.u64;
	return 0;
}

static int explain(struct virtio_user *vu, struct errbuf *eb, int err, uint32_t request)
{
	const char *what = strerror(-err);

	if (err == -EREMOTEIO)
		what = "refused";
	else if (err == -EPIPE)
		what = "the connection was closed (has the socket another front-end already? it takes one)";
	else if (err == -EPROTO)
		what = "an answer that is none";
	return errbuf_set(eb, err, "%s: %s: %s", vu->path, vu_request_name(request), what);
}

/*
 * Agreeing
 */

static int config_read(struct virtio_user *vu)
{
	uint64_t before = vu->capacity_bytes;
	struct vu_msg m;
	int err;

	vu_msg_init(&m, VU_GET_CONFIG, 0, VU_CONFIG_HDR_BYTES + sizeof(vu->config));
	m.p.config.size = sizeof(vu->config);
	err = ask(vu, &m, VU_CONFIG_HDR_BYTES + sizeof(vu->config));
	if (err)
		return err;
	vu_msg_close_fds(&m);
	memcpy(&vu->config, m.p.config.data, sizeof(vu->config));
	if (le64_get(vu->config.capacity) > UINT64_MAX / VIRTIO_USER_SECTOR)
		return -EPROTO;
	__atomic_store_n(&vu->capacity_bytes, le64_get(vu->config.capacity) * VIRTIO_USER_SECTOR, __ATOMIC_RELAXED);
	if (vu->epoch && vu->capacity_bytes != before)
		__atomic_store_n(&vu->news, true, __ATOMIC_RELAXED);
	return 0;
}

static uint64_t features_wanted(const struct virtio_user_opts *o)
{
	uint64_t f = FEATURES_BLK | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
		     VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);

	if (!o->no_indirect)
		f |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	if (!o->no_event_idx)
		f |= VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	if (o->in_order)
		f |= VIRTIO_BIT(VIRTIO_F_IN_ORDER);
	if (o->packed)
		f |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	return f;
}

static int features_choose(struct virtio_user *vu, bool first, struct errbuf *eb)
{
	const uint64_t must =
		VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	uint64_t mask = vu->opts.features_mask ? vu->opts.features_mask | must : UINT64_MAX;

	if (!first) {
		if ((vu->offered & vu->features) == vu->features)
			return 0;
		return errbuf_set(eb, -ENOTSUP, "%s: features %#llx are no longer offered",
				  vu->path, (unsigned long long)(vu->features & ~vu->offered));
	}
	vu->features = vu->offered & features_wanted(&vu->opts) & mask;
	if ((vu->features & must) != must)
		return errbuf_set(eb, -ENOTSUP,
				  "%s: offers neither virtio 1 nor protocol features (%#llx)",
				  vu->path, (unsigned long long)vu->offered);
	if (vu->opts.packed && !has_feature(vu, VIRTIO_F_RING_PACKED))
		return errbuf_set(eb, -ENOTSUP, "%s: does not offer packed rings", vu->path);
	return 0;
}

static int protocol_choose(struct virtio_user *vu, struct errbuf *eb)
{
	uint64_t want = vu->opts.minimal ? PROTOCOL_MINIMAL : PROTOCOL_ALL, offered;
	struct vu_msg m;
	int err;

	vu->protocol_features = 0;
	if (vu->opts.no_inflight)
		want &= ~VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD);
	err = ask_u64(vu, VU_GET_PROTOCOL_FEATURES, &offered);
	if (err)
		return explain(vu, eb, err, VU_GET_PROTOCOL_FEATURES);
	if (!(offered & VU_BIT(VU_PROTOCOL_F_CONFIG)))
		return errbuf_set(eb, -ENOTSUP, "%s: has no config space: not a block device?",
				  vu->path);
	vu_msg_init(&m, VU_SET_PROTOCOL_FEATURES, 0, sizeof(m.p.u64));
	m.p.u64 = offered & want;
	err = virtio_user_sock_send(vu->sock, &m); /* no acknowledgement before it is agreed */
	if (err)
		return explain(vu, eb, err, VU_SET_PROTOCOL_FEATURES);
	vu->protocol_features = offered & want;
	return 0;
}

/* A channel on which the device can speak first. */
static int backend_channel(struct virtio_user *vu)
{
	struct vu_msg m;
	int pair[2], err, old = vu->backend_fd;

	__atomic_store_n(&vu->backend_fd, -1, __ATOMIC_RELAXED); /* who waits for it looks at it no more */
	if (old >= 0)
		close(old);
	vu->heard_bytes = 0;
	if (!has_protocol(vu, VU_PROTOCOL_F_BACKEND_REQ))
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	vu_msg_init(&m, VU_SET_BACKEND_REQ_FD, 0, 0);
	m.fds[0] = pair[1];
	m.nfds = 1;
	err = tell(vu, &m);
	close(pair[1]);
	__atomic_store_n(&vu->backend_fd, pair[0], __ATOMIC_RELAXED);
	return err;
}

static int limits_choose(struct virtio_user *vu, bool first, struct errbuf *eb)
{
	uint64_t n = 1;
	unsigned segs = 1;
	int err;

	if (has_protocol(vu, VU_PROTOCOL_F_MQ)) {
		err = ask_u64(vu, VU_GET_QUEUE_NUM, &n);
		if (err)
			return explain(vu, eb, err, VU_GET_QUEUE_NUM);
	}
	if (has_feature(vu, VIRTIO_USER_BLK_F_MQ) && le16_get(vu->config.num_queues) < n)
		n = le16_get(vu->config.num_queues);
	vu->nqueues_max = (uint16_t)CC_MIN(n, UINT16_MAX);
	if (vu->nqueues > vu->nqueues_max)
		return errbuf_set(eb, -EINVAL, "%s: has %u queues, not %u", vu->path,
				  vu->nqueues_max, vu->nqueues);
	if (has_feature(vu, VIRTIO_USER_BLK_F_SEG_MAX))
		segs = le32_get(vu->config.seg_max);
	segs = CC_MAX(1u, CC_MIN(segs, (unsigned)VIRTIO_USER_SEGS_MAX));
	if (!has_feature(vu, VIRTIO_F_INDIRECT_DESC))
		segs = CC_MIN(segs, vu->queue_size - 2u);
	if (first)
		vu->segs_max = segs;
	else if (segs < vu->segs_max)
		return errbuf_set(eb, -ENOTSUP, "%s: takes fewer segments than before", vu->path);
	return 0;
}

static int negotiate(struct virtio_user *vu, bool first, struct errbuf *eb)
{
	uint32_t step = VU_GET_FEATURES;
	int err = ask_u64(vu, step, &vu->offered);

	if (err)
		return explain(vu, eb, err, step);
	err = features_choose(vu, first, eb);
	if (!err)
		err = protocol_choose(vu, eb);
	if (err)
		return err;
	step = VU_SET_BACKEND_REQ_FD;
	err = backend_channel(vu);
	if (!err) {
		step = VU_SET_OWNER;
		err = tell_nothing(vu, step);
	}
	if (!err) {
		step = VU_GET_CONFIG;
		err = config_read(vu);
	}
	if (err)
		return explain(vu, eb, err, step);
	return limits_choose(vu, first, eb);
}

/* Threads that wait for the socket know it by its number, which stays. */
static int sock_replace(struct virtio_user *vu, int sock)
{
	int err = 0;

	if (vu->sock < 0) {
		vu->sock = sock;
		return 0;
	}
	if (dup3(sock, vu->sock, O_CLOEXEC) < 0)
		err = -errno;
	close(sock);
	return err;
}

int virtio_user_negotiate(struct virtio_user *vu, bool first, unsigned connect_ms,
			  struct errbuf *eb)
{
	int sock, err = virtio_user_sock_connect(vu->path, connect_ms, &sock, eb);

	if (err)
		return err;
	err = sock_replace(vu, sock);
	if (err)
		return errbuf_set(eb, err, "%s: %s", vu->path, strerror(-err));
	err = negotiate(vu, first, eb);
	if (err && (first || !vu->opts.reconnect_ms))
		virtio_user_disconnect(vu);
	return err;
}

/*
 * Starting
 */

static struct vu_region region_describe(const struct virtio_user_region *r)
{
	uint64_t addr = (uint64_t)(uintptr_t)r->va;

	return (struct vu_region){ addr, r->len, addr, r->off };
}

/* All regions up to and with @last, in one table. */
static int send_table(struct virtio_user *vu, unsigned last)
{
	struct vu_msg m;

	if (last >= VU_TABLE_REGIONS_MAX)
		return -ENOSPC;
	vu_msg_init(&m, VU_SET_MEM_TABLE, 0, (uint32_t)(8 + (last + 1) * sizeof(struct vu_region)));
	m.p.table.nregions = last + 1;
	m.nfds = last + 1;
	for (unsigned i = 0; i <= last; i++) {
		m.p.table.regions[i] = region_describe(&vu->regions[i]);
		m.fds[i] = vu->regions[i].fd;
	}
	return tell(vu, &m);
}

static int send_slot(struct virtio_user *vu, unsigned i)
{
	struct vu_msg m;

	vu_msg_init(&m, VU_ADD_MEM_REG, 0, sizeof(m.p.mem_reg));
	m.p.mem_reg.region = region_describe(&vu->regions[i]);
	m.fds[0] = vu->regions[i].fd;
	m.nfds = 1;
	return tell(vu, &m);
}

static int send_memory(struct virtio_user *vu)
{
	uint64_t slots;
	int err;

	vu->regions_max = VU_TABLE_REGIONS_MAX;
	if (!has_protocol(vu, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		return send_table(vu, vu->nregions - 1);
	err = ask_u64(vu, VU_GET_MAX_MEM_SLOTS, &slots);
	if (err)
		return err;
	vu->regions_max = (unsigned)CC_MIN(slots, (uint64_t)VIRTIO_USER_REGIONS_MAX);
	if (vu->regions_max < vu->nregions)
		err = -ENOSPC;
	for (unsigned i = 0; i < vu->nregions && !err; i++)
		err = send_slot(vu, i);
	return err;
}

/* What follows may rely on it: a peer that does not acknowledge answers a question after what came before it. */
static int settle(struct virtio_user *vu)
{
	uint64_t features;

	return has_protocol(vu, VU_PROTOCOL_F_REPLY_ACK) ? 0 : ask_u64(vu, VU_GET_FEATURES, &features);
}

/* A peer that answered anything but yes or no: what comes next through this socket belongs to no question. */
static int talked(struct virtio_user *vu, int err)
{
	if (!err || err == -EREMOTEIO || err == -ENOSPC)
		return err;
	(void)shutdown(vu->sock, SHUT_RDWR); /* it may be gone */
	__atomic_store_n(&vu->dead, true, __ATOMIC_RELEASE);
	return err;
}

/* The rings run and may use the region at once: the peer must have taken it in by then. One that is away hears of it
 * when it is back. */
int virtio_user_send_region(struct virtio_user *vu, unsigned i)
{
	int err;

	if (__atomic_load_n(&vu->dead, __ATOMIC_RELAXED))
		return 0;
	err = has_protocol(vu, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) ? send_slot(vu, i) : send_table(vu, i);
	return talked(vu, err ? err : settle(vu));
}

int virtio_user_drop_region(struct virtio_user *vu, unsigned i)
{
	struct virtio_user_region last = vu->regions[vu->nregions - 1], gone = vu->regions[i];
	struct vu_msg m;
	int err;

	if (__atomic_load_n(&vu->dead, __ATOMIC_RELAXED))
		return 0;
	if (has_protocol(vu, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		vu_msg_init(&m, VU_REM_MEM_REG, 0, sizeof(m.p.mem_reg));
		m.p.mem_reg.region = region_describe(&gone);
		err = tell(vu, &m);
	} else {
		vu->regions[i] = last;
		err = send_table(vu, vu->nregions - 2);
		vu->regions[i] = gone;
	}
	return talked(vu, err ? err : settle(vu));
}

/* The region in which the device notes what it has taken: made by it, kept by us for its successor.
 */
static int inflight_get(struct virtio_user *vu)
{
	struct vu_msg m;
	int err;

	vu_msg_init(&m, VU_GET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	m.p.inflight.nqueues = vu->nqueues;
	m.p.inflight.queue_size = vu->queue_size;
	err = ask(vu, &m, VU_INFLIGHT_BYTES_MIN);
	if (err)
		return err;
	vu->inflight_fd = vu_msg_take_fd(&m, 0);
	vu->inflight_bytes = m.p.inflight.mmap_size;
	vu->inflight_off = m.p.inflight.mmap_off;
	vu_msg_close_fds(&m);
	return vu->inflight_fd < 0 || !vu->inflight_bytes ? -EPROTO : 0;
}

static int inflight_hand_over(struct virtio_user *vu)
{
	struct vu_msg m;
	int err = 0;

	if (!has_protocol(vu, VU_PROTOCOL_F_INFLIGHT_SHMFD))
		return 0;
	if (vu->inflight_fd < 0)
		err = inflight_get(vu);
	if (err)
		return err;
	vu_msg_init(&m, VU_SET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	m.p.inflight.mmap_size = vu->inflight_bytes;
	m.p.inflight.mmap_off = vu->inflight_off;
	m.p.inflight.nqueues = vu->nqueues;
	m.p.inflight.queue_size = vu->queue_size;
	m.fds[0] = vu->inflight_fd;
	m.nfds = 1;
	return tell(vu, &m);
}

static int status_set(struct virtio_user *vu, uint64_t status)
{
	uint64_t now;
	int err;

	if (!has_protocol(vu, VU_PROTOCOL_F_STATUS))
		return 0;
	err = tell_u64(vu, VU_SET_STATUS, status);
	if (!err)
		err = ask_u64(vu, VU_GET_STATUS, &now);
	if (err)
		return err;
	return (now & status) == status ? 0 : -EREMOTEIO;
}

static int ring_start(struct virtio_user *vu, struct virtio_user_queue *q, uint32_t *step)
{
	struct vu_msg m;
	int err;

	*step = VU_SET_VRING_NUM;
	err = tell_ring(vu, *step, q->index, q->conf.size);
	if (!err)
		err = tell_ring(vu, *step = VU_SET_VRING_BASE, q->index, virtio_user_queue_base(q));
	if (err)
		return err;
	*step = VU_SET_VRING_ADDR;
	vu_msg_init(&m, VU_SET_VRING_ADDR, 0, sizeof(m.p.addr));
	m.p.addr = (struct vu_vring_addr){
		.index = q->index,
		.desc = (uint64_t)(uintptr_t)q->conf.desc,
		.used = (uint64_t)(uintptr_t)q->conf.used,
		.avail = (uint64_t)(uintptr_t)q->conf.avail,
	};
	err = tell(vu, &m);
	if (!err && !vu->opts.minimal)
		err = tell_ring_fd(vu, *step = VU_SET_VRING_ERR, q->index, q->err_fd);
	/* The kick starts the ring: a peer that finds work there at once wants to call. */
	if (!err)
		err = tell_ring_fd(vu, *step = VU_SET_VRING_CALL, q->index, q->call_fd);
	if (!err)
		err = tell_ring_fd(vu, *step = VU_SET_VRING_KICK, q->index, q->kick_fd);
	return err;
}

static int device_start(struct virtio_user *vu, uint32_t *step)
{
	int err;

	*step = VU_SET_FEATURES;
	err = tell_u64(vu, VU_SET_FEATURES, vu->features);
	if (!err) {
		*step = VU_SET_STATUS;
		err = status_set(vu, STATUS_AGREED);
	}
	if (!err) {
		*step = VU_SET_INFLIGHT_FD;
		err = inflight_hand_over(vu);
	}
	if (!err) {
		*step = VU_SET_MEM_TABLE;
		err = send_memory(vu);
	}
	return err;
}

static int running_say(struct virtio_user *vu, uint32_t *step)
{
	*step = VU_SET_STATUS;
	return status_set(vu, STATUS_AGREED | STATUS_DRIVER_OK);
}

int virtio_user_start(struct virtio_user *vu, struct errbuf *eb)
{
	uint32_t step = 0;
	int err = device_start(vu, &step);

	for (unsigned i = 0; i < vu->nqueues && !err; i++)
		err = ring_start(vu, &vu->queues[i], &step);
	for (unsigned i = 0; i < vu->nqueues && !err; i++)
		err = tell_ring(vu, step = VU_SET_VRING_ENABLE, i, 1);
	if (!err)
		err = running_say(vu, &step);
	if (err)
		return explain(vu, eb, err, step);
	__atomic_store_n(&vu->epoch, vu->epoch + 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < vu->nqueues; i++) {
		vu->queues[i].epoch = vu->epoch;
		virtio_user_queue_kick(&vu->queues[i]);
	}
	return 0;
}

int virtio_user_start_device(struct virtio_user *vu, struct errbuf *eb)
{
	uint32_t step = 0;
	int err = device_start(vu, &step);

	if (!err)
		err = running_say(vu, &step);
	return err ? explain(vu, eb, err, step) : 0;
}

int virtio_user_start_ring(struct virtio_user_queue *q, struct errbuf *eb)
{
	uint32_t step = 0;
	int err = ring_start(q->vu, q, &step);

	if (!err)
		err = tell_ring(q->vu, step = VU_SET_VRING_ENABLE, q->index, 1);
	if (err)
		return explain(q->vu, eb, err, step);
	virtio_user_queue_kick(q);
	return 0;
}

/*
 * Running and stopping
 */

/* The server has been told of the ring. */
static bool is_known(const struct virtio_user *vu, unsigned i)
{
	return vu->queues[i].epoch == vu->epoch;
}

void virtio_user_stop(struct virtio_user *vu)
{
	struct vu_msg m;
	int err = 0;

	if (vu->sock < 0 || __atomic_load_n(&vu->dead, __ATOMIC_RELAXED))
		return;
	for (unsigned i = 0; i < vu->nqueues && !err; i++)
		err = is_known(vu, i) ? tell_ring(vu, VU_SET_VRING_ENABLE, i, 0) : 0;
	for (unsigned i = 0; i < vu->nqueues && !err; i++) {
		if (!is_known(vu, i))
			continue;
		vu_msg_init(&m, VU_GET_VRING_BASE, 0, sizeof(m.p.state));
		m.p.state.index = i;
		err = ask_for(vu, &m, sizeof(m.p.state), DRAIN_MS);
		if (!err)
			vu_msg_close_fds(&m);
	}
	if (err)
		return;
	if (has_protocol(vu, VU_PROTOCOL_F_STATUS))
		(void)tell_u64(vu, VU_SET_STATUS, 0); /* it goes away anyhow */
	else if (has_protocol(vu, VU_PROTOCOL_F_RESET_DEVICE))
		(void)tell_nothing(vu, VU_RESET_DEVICE);
}

void virtio_user_disconnect(struct virtio_user *vu)
{
	if (vu->backend_fd >= 0)
		close(vu->backend_fd);
	if (vu->sock >= 0)
		close(vu->sock);
	vu->sock = vu->backend_fd = -1;
}

/* The device speaks: the config space changed. Anything else is answered with a refusal. One that stops in the middle of a
 * message holds nobody up. */
static int backend_message(struct virtio_user *vu)
{
	struct vu_msg *m = &vu->heard, answer;
	bool known;
	int err = virtio_user_sock_take(vu->backend_fd, m, &vu->heard_bytes);

	if (err <= 0)
		return err;
	err = 0;
	known = m->h.request == VU_BACKEND_CONFIG_CHANGE_MSG;
	if (m->h.flags & VU_FLAG_NEED_REPLY) {
		vu_msg_init(&answer, m->h.request, VU_FLAG_REPLY, sizeof(answer.p.u64));
		answer.p.u64 = !known;
		err = virtio_user_sock_send(vu->backend_fd, &answer);
	}
	if (known && !err)
		err = config_read(vu);
	return err;
}

int virtio_user_watch(struct virtio_user *vu, int wake_fd)
{
	struct pollfd p[] = {
		{ .fd = wake_fd, .events = POLLIN },
		{ .fd = vu->sock, .events = POLLIN },
		{ .fd = vu->backend_fd, .events = POLLIN },
	};

	if (!__atomic_load_n(&vu->dead, __ATOMIC_RELAXED) && poll(p, ARRAY_SIZE(p), -1) > 0 && (p[1].revents || p[2].revents))
		virtio_user_service(vu);
	return __atomic_load_n(&vu->dead, __ATOMIC_RELAXED) ? -EPIPE : 0;
}

static void news_tell(struct virtio_user *vu)
{
	if (vu->opts.resized && __atomic_exchange_n(&vu->news, false, __ATOMIC_RELAXED))
		vu->opts.resized(vu->opts.arg, __atomic_load_n(&vu->capacity_bytes, __ATOMIC_RELAXED));
}

void virtio_user_service(struct virtio_user *vu)
{
	struct pollfd p[2];
	int err = 0;

	if (__atomic_load_n(&vu->dead, __ATOMIC_RELAXED) || pthread_mutex_trylock(&vu->lock))
		return;
	p[0] = (struct pollfd){ .fd = vu->sock, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = vu->backend_fd, .events = POLLIN };
	if (!vu->dead && poll(p, ARRAY_SIZE(p), 0) > 0) {
		if (p[1].revents & POLLIN)
			err = backend_message(vu);
		if (p[0].revents) /* nobody has asked: it can only be the end */
			err = -EPIPE;
	}
	if (err)
		__atomic_store_n(&vu->dead, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&vu->lock);
	news_tell(vu);
}
