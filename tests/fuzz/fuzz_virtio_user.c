/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user server made of fuzz, against the front-end half that connects to it and does I/O.
 *
 * Input: { agreement, reconnect and odd features, bytes of the server's script }, the script, then acts.
 * The script's next byte goes with each message the client sends: below 128 the server is a good one,
 * else bits 0-2 choose what is wrong (enum wrong), operands follow. An act is a byte, operands behind
 * it: the program's (submit, push, poll, sleep, more memory) and the server's (used entries true and
 * false, any byte of the shared memory, a message of its own, its end).
 *
 * Must: each result is a request's that was in flight, at most once, with a status of the interface.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"
#include "core/base/fdmsg.h"
#include "core/base/mono.h"
#include "vhost/client/virtio_user.h"
#include "vhost/client/virtio_user_sock.h"
#include "vhost/user/vu_wire.h"
#include "vhost/virtq/virtio_spec.h"

#define RING	    8u
#define BLOCK	    4096u
#define DATA_BYTES  (4u * BLOCK)
#define DISK_BLOCKS 1024u
#define ACTS_MAX    200
#define IN_FLIGHT   16u
#define FOR_EVER_MS 1000000000
#define INPUT_HEAD  3

enum wrong { END, PATCHED, OTHER_REQUEST, OTHER_SIZE, OTHER_FLAGS, WITH_FDS, HALF, OTHER_VALUE };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *at, *end;
};

/* The server. Its thread answers messages; acts of the main thread use what it was told. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	char dir[64];
	struct sockaddr_un sa;
	int listener, conn, backend; /* -1: none; changed under the lock */
	int memfd;
	struct script script;
	uint64_t offered, protocol, status;
	/* under the lock: where the client said that its ring and memory are */
	struct vu_vring_addr ring;
	uint64_t mem, mem_bytes;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER };

static uint8_t next_byte(struct script *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static uint64_t next_word(struct script *s)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)next_byte(s) << (8 * i);
	return v;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

/*
 * The server's thread
 */

static void put(const void *buf, size_t len, unsigned nfds)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[FDMSG_MAX];
	struct fdmsg f;

	for (unsigned i = 0; i < nfds; i++)
		fds[i] = server.memfd;
	fdmsg_put(&mh, &f, fds, nfds);
	(void)sendmsg(server.conn, &mh, MSG_NOSIGNAL); /* it may be gone */
}

/* Config space of a good disk: virtio 1.2, 5.2.4. */
static void config_fill(uint8_t *c)
{
	const uint64_t sectors = DISK_BLOCKS * BLOCK / 512;
	const uint32_t size_max = 65536, seg_max = 6, blk = 512, many = 1024;
	const uint16_t queues = 2;

	memcpy(c, &sectors, 8);
	memcpy(c + 8, &size_max, 4);
	memcpy(c + 12, &seg_max, 4);
	memcpy(c + 20, &blk, 4);
	memcpy(c + 34, &queues, 2);
	memcpy(c + 36, &many, 4);
	memcpy(c + 48, &many, 4);
}

static void learn(struct vu_msg *m)
{
	pthread_mutex_lock(&server.lock);
	if (m->h.request == VU_SET_VRING_ADDR && m->p.addr.index == 0)
		server.ring = m->p.addr;
	if (m->h.request == VU_SET_MEM_TABLE && m->p.table.nregions) {
		server.mem = m->p.table.regions[0].uva;
		server.mem_bytes = m->p.table.regions[0].len;
	}
	if (m->h.request == VU_ADD_MEM_REG && !server.mem) {
		server.mem = m->p.mem_reg.region.uva;
		server.mem_bytes = m->p.mem_reg.region.len;
	}
	if (m->h.request == VU_SET_BACKEND_REQ_FD && server.backend < 0)
		server.backend = vu_msg_take_fd(m, 0);
	if (m->h.request == VU_SET_STATUS)
		server.status = m->p.u64;
	if (m->h.request == VU_SET_PROTOCOL_FEATURES)
		server.protocol = m->p.u64;
	pthread_mutex_unlock(&server.lock);
}

/* @m becomes the answer of a good server. Returns whether there is one. */
static bool answer(struct vu_msg *m, unsigned *nfds)
{
	const struct vu_shape *shape = vu_shape_find(m->h.request);
	bool asks = m->h.flags & VU_FLAG_NEED_REPLY, replies = shape && shape->replies;

	m->h.flags = VU_FLAG_VERSION | VU_FLAG_REPLY;
	switch (m->h.request) {
	case VU_GET_CONFIG:
		config_fill(m->p.config.data);
		return true;
	case VU_GET_INFLIGHT_FD:
		m->p.inflight.mmap_size = BLOCK;
		*nfds = 1;
		return true;
	case VU_GET_VRING_BASE:
		return true;
	case VU_GET_FEATURES:
		m->p.u64 = server.offered;
		break;
	case VU_GET_PROTOCOL_FEATURES:
		m->p.u64 = ~0ull & ~VU_BIT(VU_PROTOCOL_F_INBAND_NOTIFICATIONS);
		break;
	case VU_GET_QUEUE_NUM:
		m->p.u64 = 2;
		break;
	case VU_GET_MAX_MEM_SLOTS:
		m->p.u64 = 4;
		break;
	case VU_GET_STATUS:
		m->p.u64 = server.status;
		break;
	default:
		m->p.u64 = 0;
	}
	m->h.size = sizeof(m->p.u64);
	return replies || asks;
}

static bool answer_wrong(struct vu_msg *m, enum wrong wrong, unsigned nfds)
{
	uint8_t bytes[VU_HEADER_BYTES + VU_PAYLOAD_BYTES_MAX];
	struct script *s = &server.script;
	size_t len = VU_HEADER_BYTES + m->h.size, at;

	if (wrong == PATCHED) {
		at = next_byte(s);
		for (unsigned n = next_byte(s) % 16 + 1; n; n--, at++)
			m->p.bytes[at] = next_byte(s);
	}
	if (wrong == OTHER_REQUEST)
		m->h.request = next_byte(s);
	if (wrong == OTHER_SIZE) {
		m->h.size = (uint32_t)(next_byte(s) * 24);
		len = VU_HEADER_BYTES + CC_MIN(m->h.size, (uint32_t)VU_PAYLOAD_BYTES_MAX);
	}
	if (wrong == OTHER_FLAGS)
		m->h.flags = next_byte(s);
	if (wrong == WITH_FDS)
		nfds = next_byte(s) % 9;
	if (wrong == HALF)
		len = next_byte(s) % len;
	if (wrong == OTHER_VALUE)
		m->p.u64 = next_word(s);
	memcpy(bytes, &m->h, VU_HEADER_BYTES);
	memcpy(bytes + VU_HEADER_BYTES, &m->p, len > VU_HEADER_BYTES ? len - VU_HEADER_BYTES : 0);
	if (len)
		put(bytes, len, nfds);
	/* What would leave the client waiting for its ten seconds ends here. */
	return wrong != HALF && m->h.size <= VU_PAYLOAD_BYTES_MAX;
}

static bool serve_one(void)
{
	struct vu_msg m;
	unsigned nfds = 0;
	uint8_t how;

	if (virtio_user_sock_recv(server.conn, &m, FOR_EVER_MS))
		return false;
	learn(&m);
	vu_msg_close_fds(&m);
	how = next_byte(&server.script);
	if (how >= 128 && (how & 7) == END)
		return false;
	if (!answer(&m, &nfds))
		return true;
	if (how >= 128)
		return answer_wrong(&m, how & 7, nfds);
	put(&m.h, VU_HEADER_BYTES, nfds);
	put(&m.p, m.h.size, 0);
	return true;
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		int conn = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);

		must(conn >= 0);
		pthread_mutex_lock(&server.lock);
		server.conn = conn;
		pthread_mutex_unlock(&server.lock);
		while (serve_one())
			continue;
		pthread_mutex_lock(&server.lock);
		close(server.conn);
		if (server.backend >= 0)
			close(server.backend);
		server.conn = server.backend = -1;
		pthread_cond_signal(&server.idle);
		pthread_mutex_unlock(&server.lock);
	}
	return NULL;
}

static void clean_up(void)
{
	(void)unlink(server.sa.sun_path); /* a folder in /tmp stays, at worst */
	(void)rmdir(server.dir);
}

static void setup(void)
{
	sigset_t all, before;
	pthread_t thread;

	mono_init();
	server.conn = server.backend = -1;
	server.memfd = memfd_create("inflight", MFD_CLOEXEC);
	must(server.memfd >= 0 && ftruncate(server.memfd, BLOCK) == 0);
	(void)snprintf(server.dir, sizeof(server.dir), "/tmp/nvring-fuzz-XXXXXX");
	must(mkdtemp(server.dir) != NULL);
	server.sa.sun_family = AF_UNIX;
	(void)snprintf(server.sa.sun_path, sizeof(server.sa.sun_path), "%s/s", server.dir);
	server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(server.listener, (struct sockaddr *)&server.sa, sizeof(server.sa)) == 0);
	must(listen(server.listener, 16) == 0);
	must(atexit(clean_up) == 0);
	/* libFuzzer's clock rings on the main thread */
	sigfillset(&all);
	must(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
	must(pthread_create(&thread, NULL, serve, NULL) == 0);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

static void await_idle(void)
{
	pthread_mutex_lock(&server.lock);
	while (server.conn >= 0)
		pthread_cond_wait(&server.idle, &server.lock);
	pthread_mutex_unlock(&server.lock);
}

/*
 * The program and, on the shared memory, the server once more
 */

struct play {
	struct script s;
	struct virtio_user *vu;
	struct virtio_user_queue *q;
	struct virtio_user_opts opts;
	char *data, *more;
	int more_fd;
	bool in_flight[IN_FLIGHT];
	unsigned nflight;
	uint16_t used_at;
	bool used_wrap;
};

static void submit(struct play *p)
{
	uint8_t b = next_byte(&p->s), pieces = next_byte(&p->s) % 9;
	enum virtio_user_op op = (b & 7) % (VIRTIO_USER_GET_ID + 1);
	struct iovec iov[9];
	uint64_t len = 0;
	unsigned i = 0;

	if (op <= VIRTIO_USER_WRITE && b & 0x80)
		pieces = 1;
	for (unsigned k = 0; k < pieces; k++) {
		iov[k].iov_base = (k & 1 && p->more ? p->more : p->data) + 512 * k;
		iov[k].iov_len = op == VIRTIO_USER_GET_ID ? 20 : 512;
		len += iov[k].iov_len;
	}
	if (op > VIRTIO_USER_FLUSH && op != VIRTIO_USER_GET_ID)
		len = b & 0x80 ? 512 : (uint64_t)pieces << 40;
	while (i < IN_FLIGHT && p->in_flight[i])
		i++;
	must(i < IN_FLIGHT);
	if (virtio_user_submit(p->q, op, (b >> 3 & 15) * 512u, len, iov, pieces, &p->in_flight[i]) == 0) {
		p->in_flight[i] = true;
		p->nflight++;
	}
	must(p->nflight <= RING && virtio_user_inflight(p->q) == p->nflight);
}

static void poll_some(struct play *p)
{
	struct virtio_user_done done[IN_FLIGHT];
	int n = virtio_user_poll(p->q, done, 1 + next_byte(&p->s) % IN_FLIGHT);

	for (int i = 0; i < n; i++) {
		bool *flight = done[i].cookie;

		must(flight >= p->in_flight && flight < p->in_flight + IN_FLIGHT && *flight);
		must(!done[i].status || done[i].status == -EIO || done[i].status == -EOPNOTSUPP);
		*flight = false;
		p->nflight--;
	}
	must(virtio_user_inflight(p->q) == p->nflight);
}

/* A used entry: true if the bytes say so. */
static void use_one(struct play *p)
{
	uint16_t id = next_byte(&p->s), step = next_byte(&p->s);
	uint32_t len = step & 0x80 ? UINT32_MAX - step : (step >> 4) * 512u + 1;

	if (!server.ring.desc)
		return;
	if (p->opts.packed) {
		struct virtq_pdesc *d = (struct virtq_pdesc *)(uintptr_t)server.ring.desc + p->used_at;

		d->id = le16_make(id % (RING + 1));
		d->len = le32_make(len);
		d->flags = le16_make(p->used_wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0);
		p->used_at = (uint16_t)(p->used_at + 1 + (step & 3));
		p->used_wrap ^= p->used_at >= RING;
		p->used_at %= RING;
	} else {
		struct virtq_used *u = (struct virtq_used *)(uintptr_t)server.ring.used;

		u->ring[p->used_at % RING].id = le32_make(id % (RING + 1));
		u->ring[p->used_at % RING].len = le32_make(len);
		p->used_at = (uint16_t)(p->used_at + 1 + (step & 8 ? 1 : 0));
		u->idx = le16_make(p->used_at);
	}
}

static void poke(struct play *p)
{
	uint64_t at = next_byte(&p->s);

	at = at << 8 | next_byte(&p->s);
	if (server.mem_bytes)
		((uint8_t *)(uintptr_t)server.mem)[at * 2 % server.mem_bytes] = next_byte(&p->s);
}

/* On the channel of its own: a request of any kind, whole, torn, or more of it than it says. */
static void speak(struct play *p)
{
	uint8_t how = next_byte(&p->s), len = next_byte(&p->s) % 40;
	uint8_t bytes[64] = { 0 };
	struct vu_header h = {
		.request = how & 1 ? VU_BACKEND_CONFIG_CHANGE_MSG : how >> 4,
		.flags = VU_FLAG_VERSION | (how & 2 ? VU_FLAG_NEED_REPLY : 0),
		.size = how & 4 ? len : 0,
	};

	if (how & 8)
		h.size = (uint32_t)next_word(&p->s);
	memcpy(bytes, &h, sizeof(h));
	pthread_mutex_lock(&server.lock);
	if (server.backend >= 0)
		(void)send(server.backend, bytes, how & 4 ? sizeof(h) + len : sizeof(h), MSG_NOSIGNAL | MSG_DONTWAIT);
	pthread_mutex_unlock(&server.lock);
}

static void hang_up(void)
{
	pthread_mutex_lock(&server.lock);
	if (server.conn >= 0)
		(void)shutdown(server.conn, SHUT_RDWR);
	pthread_mutex_unlock(&server.lock);
}

static void memory_toggle(struct play *p)
{
	if (p->more) {
		(void)virtio_user_del_memory(p->vu, p->more, 2 * BLOCK); /* the server may refuse */
		munmap(p->more, 2 * BLOCK);
		p->more = NULL;
		return;
	}
	p->more = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, p->more_fd, 0);
	must(p->more != MAP_FAILED);
	if (virtio_user_add_memory(p->vu, p->more, 2 * BLOCK, p->more_fd, 0) == 0)
		return;
	munmap(p->more, 2 * BLOCK);
	p->more = NULL;
}

/* As who looks after the connection by himself does it: all that was in flight is forgotten, or kept. */
static void reconnect(struct play *p)
{
	struct errbuf eb = { "" };

	if (p->opts.reconnect_ms)
		return;
	virtio_user_give_up(p->vu);
	hang_up();
	if (next_byte(&p->s) & 1 && virtio_user_drop(p->vu) == 0) {
		memset(p->in_flight, 0, sizeof(p->in_flight));
		p->nflight = 0;
	}
	if (virtio_user_reconnect(p->vu, 0, &eb))
		must(eb.text[0]);
	must(virtio_user_inflight(p->q) == p->nflight);
}

static void act(struct play *p)
{
	struct virtio_user_info info;
	struct errbuf eb;

	switch (next_byte(&p->s) % 14) {
	case 0:
	case 1:
		submit(p);
		break;
	case 2:
		virtio_user_flush(p->q);
		break;
	case 3:
		poll_some(p);
		break;
	case 4:
	case 5:
		use_one(p);
		break;
	case 6:
		poke(p);
		break;
	case 7:
		(void)virtio_user_arm(p->q); /* whichever it says */
		break;
	case 8:
		virtio_user_disarm(p->q);
		break;
	case 9:
		(void)virtio_user_wait(p->q, 0); /* the same */
		break;
	case 10:
		speak(p);
		break;
	case 11:
		memory_toggle(p);
		break;
	case 12:
		virtio_user_get_info(p->vu, &info);
		virtio_user_get_trouble(p->vu, &eb);
		hang_up();
		break;
	default:
		reconnect(p);
	}
}

static void resized(void *arg, uint64_t bytes)
{
	must(arg == &server && bytes % 512 == 0);
}

static void play(const struct virtio_user_opts *opts, const uint8_t *data, size_t size)
{
	struct play p = { .s = { data, data + size }, .opts = *opts, .used_wrap = true };
	struct errbuf eb = { "" };

	if (virtio_user_open(opts, &p.vu, &eb)) {
		must(eb.text[0]);
		return;
	}
	p.more_fd = memfd_create("more", MFD_CLOEXEC);
	must(p.more_fd >= 0 && ftruncate(p.more_fd, 2 * BLOCK) == 0);
	p.q = virtio_user_queue(p.vu, 0);
	p.data = virtio_user_alloc(p.vu, DATA_BYTES);
	must(p.data != NULL);
	for (unsigned i = 0; i < ACTS_MAX && p.s.at < p.s.end; i++)
		act(&p);
	if (p.more)
		memory_toggle(&p);
	close(p.more_fd);
	virtio_user_close(p.vu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_user_opts opts = { .memory_bytes = DATA_BYTES, .queue_size = RING };
	size_t script;

	if (!server.listener)
		setup();
	if (size < INPUT_HEAD)
		return 0;
	script = CC_MIN((size_t)data[2], size - INPUT_HEAD);
	server.script = (struct script){ data + INPUT_HEAD, data + INPUT_HEAD + script };
	server.ring = (struct vu_vring_addr){ 0 };
	server.mem = server.mem_bytes = server.status = 0;
	server.offered = data[1] & 0x80 ? ~VIRTIO_BIT(VIRTIO_F_IN_ORDER) : ~0ull;
	opts.path = server.sa.sun_path;
	opts.packed = data[0] & 1;
	opts.eventfd = data[0] & 2;
	opts.no_event_idx = data[0] & 4;
	opts.in_order = data[0] & 8;
	opts.no_indirect = data[0] & 0x10;
	opts.minimal = data[0] & 0x20;
	opts.no_inflight = data[0] & 0x40;
	opts.nqueues = data[0] & 0x80 ? 2 : 1;
	opts.watched = data[1] & 2;
	opts.reconnect_ms = data[1] & 1 ? 1000 : 0;
	opts.resized = resized;
	opts.arg = &server;
	play(&opts, data + INPUT_HEAD + script, size - INPUT_HEAD - script);
	await_idle();
	return 0;
}
