/* SPDX-License-Identifier: BSD-3-Clause */
/* The tests' front-end. */
#include "tests/integration/vu_frontend.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/fdmsg.h"
#include "tests/integration/vu_rig.h"
#include "vhost/blk/vblk_spec.h"

#define FE_WAIT_MS    20000
#define FE_MOMENT_MS  30
#define FE_SLOT_BYTES 64

void fe_dial(struct fe *fe, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	assert_true(strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path));
	fe->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fe->fd >= 0);
	assert_int_equal(connect(fe->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

void fe_open(struct fe *fe, const char *path)
{
	memset(fe, 0, sizeof(*fe));
	for (unsigned i = 0; i < FE_QUEUES; i++)
		fe->q[i].kick = fe->q[i].call = fe->q[i].err = -1;
	fe->memfd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(fe->memfd >= 0);
	assert_int_equal(ftruncate(fe->memfd, FE_MEM_BYTES), 0);
	fe->mem = mmap(NULL, FE_MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fe->memfd, 0);
	assert_ptr_not_equal(fe->mem, MAP_FAILED);
	fe_dial(fe, path);
}

void fe_hang_up(struct fe *fe)
{
	if (fe->fd >= 0)
		close(fe->fd);
	fe->fd = -1;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void queue_close(struct fe_queue *q)
{
	if (q->started)
		vqd_fini(&q->d);
	q->started = false;
	close_fd(&q->kick);
	close_fd(&q->call);
	close_fd(&q->err);
}

void fe_close(struct fe *fe)
{
	fe_hang_up(fe);
	for (unsigned i = 0; i < FE_QUEUES; i++)
		queue_close(&fe->q[i]);
	munmap(fe->mem, FE_MEM_BYTES);
	close(fe->memfd);
}

bool fe_send_bytes(struct fe *fe, const void *buf, size_t len, const int *fds, unsigned nfds)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;

	fdmsg_put(&mh, &f, fds, nfds);
	return sendmsg(fe->fd, &mh, MSG_NOSIGNAL) == (ssize_t)len;
}

bool fe_send(struct fe *fe, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	     const int *fds, unsigned nfds)
{
	struct {
		struct vu_header h;
		uint8_t p[VU_PAYLOAD_BYTES_MAX];
	} m = { .h = { request, VU_FLAG_VERSION | flags, size } };

	assert_true(size <= sizeof(m.p));
	if (payload)
		memcpy(m.p, payload, size);
	return fe_send_bytes(fe, &m, VU_HEADER_BYTES + size, fds, nfds);
}

static ssize_t receive(struct fe *fe, void *buf, size_t len, struct vu_msg *m)
{
	struct pollfd p = { .fd = fe->fd, .events = POLLIN };
	struct iovec iov = { buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;
	ssize_t n;

	if (poll(&p, 1, FE_WAIT_MS) == 0)
		fail_msg("no answer");
	fdmsg_room(&mh, &f, VU_FDS_MAX);
	n = recvmsg(fe->fd, &mh, MSG_CMSG_CLOEXEC);
	if (n > 0)
		assert_true(fdmsg_take(&mh, m->fds, &m->nfds, VU_FDS_MAX));
	return n;
}

int fe_receive(struct fe *fe, struct vu_msg *ret)
{
	size_t got = 0, want = VU_HEADER_BYTES;

	memset(ret, 0, sizeof(*ret));
	while (got < want) {
		void *to = got < VU_HEADER_BYTES ? (char *)&ret->h + got
						 : (char *)ret->p.bytes + got - VU_HEADER_BYTES;
		ssize_t n = receive(fe, to, want - got, ret);

		if (n <= 0) {
			assert_int_equal(got, 0); /* whole messages or nothing */
			return 0;
		}
		got += (size_t)n;
		if (got == VU_HEADER_BYTES)
			want += ret->h.size;
		assert_true(want <= VU_HEADER_BYTES + VU_PAYLOAD_BYTES_MAX);
	}
	assert_int_equal(ret->h.flags, VU_FLAG_VERSION | VU_FLAG_REPLY);
	return 1;
}

bool fe_is_silent(struct fe *fe)
{
	struct pollfd p = { .fd = fe->fd, .events = POLLIN };

	return poll(&p, 1, FE_MOMENT_MS) == 0;
}

int64_t fe_ask(struct fe *fe, uint32_t request, const void *payload, uint32_t size, const int *fds,
	       unsigned nfds)
{
	struct vu_msg m;

	if (!fe_send(fe, request, VU_FLAG_NEED_REPLY, payload, size, fds, nfds))
		return -1;
	if (!fe_receive(fe, &m))
		return -1;
	assert_int_equal(m.h.request, request);
	vu_msg_close_fds(&m);
	return (int64_t)m.p.u64;
}

int64_t fe_ask_u64(struct fe *fe, uint32_t request, uint64_t v)
{
	return fe_ask(fe, request, &v, sizeof(v), NULL, 0);
}

int64_t fe_ask_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state st = { index, num };

	return fe_ask(fe, request, &st, sizeof(st), NULL, 0);
}

uint64_t fe_get(struct fe *fe, uint32_t request)
{
	struct vu_msg m;

	assert_true(fe_send(fe, request, 0, NULL, 0, NULL, 0));
	assert_int_equal(fe_receive(fe, &m), 1);
	assert_int_equal(m.h.request, request);
	assert_int_equal(m.h.size, 8);
	return m.p.u64;
}

void fe_negotiate(struct fe *fe, uint64_t features, uint64_t protocol)
{
	assert_int_equal(fe_get(fe, VU_GET_FEATURES) & features, features);
	assert_int_equal(fe_get(fe, VU_GET_PROTOCOL_FEATURES) & protocol, protocol);
	assert_true(fe_send(fe, VU_SET_PROTOCOL_FEATURES, 0, &protocol, 8, NULL, 0));
	assert_true(fe_send(fe, VU_SET_OWNER, 0, NULL, 0, NULL, 0));
	assert_true(fe_send(fe, VU_SET_FEATURES, 0, &features, 8, NULL, 0));
	fe->features = features;
	fe->protocol = protocol;
}

static bool fe_by_gpa(const struct fe *fe)
{
	return fe->protocol & VU_BIT(VU_PROTOCOL_F_GPA_ADDRESSES);
}

void fe_share(struct fe *fe)
{
	struct vu_mem_table t = { .nregions = 1,
				  .regions = { { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 } } };

	if (fe_by_gpa(fe))
		t.regions[0].uva = 0;
	assert_true(fe_send(fe, VU_SET_MEM_TABLE, 0, &t, 8 + sizeof(t.regions[0]), &fe->memfd, 1));
}

void fe_addr(const struct fe *fe, unsigned i, struct vu_vring_addr *ret)
{
	uint64_t at = (fe_by_gpa(fe) ? FE_GPA : FE_UVA) + i * FE_QUEUE_BYTES;

	*ret = (struct vu_vring_addr){ .index = i,
				       .desc = at,
				       .avail = at + FE_AVAIL_OFF,
				       .used = at + FE_USED_OFF,
				       .log = FE_GPA + i * FE_QUEUE_BYTES + FE_USED_OFF };
}

void fe_send_fd(struct fe *fe, uint32_t request, unsigned i, int fd)
{
	uint64_t v = i | (fd < 0 ? VU_VRING_NOFD : 0);

	assert_true(fe_send(fe, request, 0, &v, 8, &fd, fd >= 0));
}

void fe_describe(struct fe *fe, unsigned i, uint16_t size, uint32_t base)
{
	struct vu_vring_state num = { i, size }, at = { i, base };
	struct vu_vring_addr a;

	fe_addr(fe, i, &a);
	assert_true(fe_send(fe, VU_SET_VRING_NUM, 0, &num, sizeof(num), NULL, 0));
	assert_true(fe_send(fe, VU_SET_VRING_BASE, 0, &at, sizeof(at), NULL, 0));
	assert_true(fe_send(fe, VU_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0));
}

static void queue_init(struct fe *fe, unsigned i, uint16_t size)
{
	struct fe_queue *q = &fe->q[i];
	char *at = fe->mem + i * FE_QUEUE_BYTES;
	const struct vqd_conf c = {
		.size = size,
		.packed = (fe->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) != 0,
		.features = fe->features,
		.desc = at,
		.avail = at + FE_AVAIL_OFF,
		.used = at + FE_USED_OFF,
		.kick_fd = q->kick >= 0 ? q->kick : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};

	if (q->started)
		vqd_fini(&q->d);
	memset(at, 0, FE_QUEUE_BYTES);
	q->kick = c.kick_fd;
	if (q->call < 0)
		q->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->err < 0)
		q->err = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	q->size = size;
	assert_int_equal(vqd_init(&q->d, &c), 0);
	q->started = true;
}

void fe_prepare(struct fe *fe, unsigned i, uint16_t size)
{
	bool packed = (fe->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) != 0;

	queue_init(fe, i, size);
	fe_send_fd(fe, VU_SET_VRING_CALL, i, fe->q[i].call);
	fe_send_fd(fe, VU_SET_VRING_ERR, i, fe->q[i].err);
	fe_describe(fe, i, size, packed ? 0x80008000u : 0);
	fe_send_fd(fe, VU_SET_VRING_KICK, i, fe->q[i].kick);
}

void fe_start(struct fe *fe, unsigned i, uint16_t size)
{
	struct vu_vring_state on = { i, 1 };

	fe_prepare(fe, i, size);
	if (fe->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		assert_true(fe_send(fe, VU_SET_VRING_ENABLE, 0, &on, sizeof(on), NULL, 0));
}

uint32_t fe_stop(struct fe *fe, unsigned i)
{
	struct vu_vring_state off = { i, 0 };
	struct vu_msg m;

	if (fe->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
		assert_true(fe_send(fe, VU_SET_VRING_ENABLE, 0, &off, sizeof(off), NULL, 0));
	assert_true(fe_send(fe, VU_GET_VRING_BASE, 0, &off, sizeof(off), NULL, 0));
	assert_int_equal(fe_receive(fe, &m), 1);
	assert_int_equal(m.h.request, VU_GET_VRING_BASE);
	assert_int_equal(m.p.state.index, i);
	return m.p.state.num;
}

/* Buffers of request number n: its slot, 8 bytes each way. */
static uint64_t slot_off(const struct fe *fe, unsigned i, uint64_t n)
{
	return FE_BUFS_OFF + i * FE_QUEUE_BYTES + (n % fe->q[i].size) * FE_SLOT_BYTES;
}

void fe_submit(struct fe *fe, unsigned i)
{
	struct fe_queue *q = &fe->q[i];
	uint64_t n = q->next++, off = slot_off(fe, i, n);
	const struct vqd_buf bufs[2] = {
		{ .addr = FE_GPA + off, .len = 8 },
		{ .addr = FE_GPA + off + 8, .len = 8, .device_writes = true },
	};

	memcpy(fe->mem + off, &n, 8);
	memset(fe->mem + off + 8, 0, 8);
	assert_int_equal(vqd_add(&q->d, bufs, 2, false, (void *)(uintptr_t)n), 0);
	(void)vqd_publish(&q->d);
}

struct get {
	struct fe_queue *q;
	void *cookie;
	uint32_t written;
};

static bool try_get(void *arg)
{
	struct get *g = arg;
	int err = 0;
	bool got = vqd_get(&g->q->d, &g->cookie, &g->written, &err);

	assert_int_equal(err, 0);
	return got;
}

void fe_complete(struct fe *fe, unsigned i)
{
	struct get g = { .q = &fe->q[i] };
	uint64_t n, answer;

	rig_wait(try_get, &g);
	n = (uintptr_t)g.cookie;
	memcpy(&answer, fe->mem + slot_off(fe, i, n) + 8, 8);
	assert_int_equal(g.written, 8);
	assert_int_equal(answer, n + 1);
}

void fe_io(struct fe *fe, unsigned i)
{
	fe_submit(fe, i);
	fe_complete(fe, i);
}

bool fe_blk_submit(struct fe *fe, unsigned i)
{
	const struct vblk_hdr hdr = { .type = le32_make(VBLK_T_IN) };
	const struct vqd_buf bufs[3] = {
		{ .addr = FE_GPA + FE_BLK_HDR_OFF, .len = sizeof(hdr) },
		{ .addr = FE_GPA + FE_BLK_DATA_OFF, .len = 512, .device_writes = true },
		{ .addr = FE_GPA + FE_BLK_STATUS_OFF, .len = 1, .device_writes = true },
	};

	memcpy(fe->mem + FE_BLK_HDR_OFF, &hdr, sizeof(hdr));
	fe->mem[FE_BLK_STATUS_OFF] = (char)0xff;
	assert_int_equal(vqd_add(&fe->q[i].d, bufs, 3, false, NULL), 0);
	return vqd_publish(&fe->q[i].d);
}

bool fe_blk_is_done(struct fe *fe, unsigned i)
{
	uint32_t written;
	void *cookie;
	int err = 0;

	if (!vqd_get(&fe->q[i].d, &cookie, &written, &err)) {
		assert_int_equal(err, 0);
		return false;
	}
	assert_int_equal(fe->mem[FE_BLK_STATUS_OFF], VBLK_S_OK);
	assert_int_equal(written, 513);
	return true;
}

void fe_good(struct fe *fe, const char *path)
{
	fe_open(fe, path);
	fe_negotiate(fe, FE_FEATURES, FE_PROTOCOL);
	fe_share(fe);
	fe_start(fe, 0, 64);
	fe_io(fe, 0);
}
