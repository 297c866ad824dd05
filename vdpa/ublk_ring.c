/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue's io_uring. */
#include "vdpa/ublk_ring.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"
#include "core/base/linemem.h"
#include "vdpa/ublk_keeper.h"

struct ublk_ring {
	struct io_uring ring;
	const struct ublk_io_desc *ios;
	size_t ios_bytes;
	int fd, event_fd;
	bool has_ring_fd;
};

/*
 * Task work of the ordinary kind: it is the thread's own, and goes before it does. What IORING_SETUP_DEFER_TASKRUN leaves in
 * the ring when a server is killed makes kernels oops whose ublk cancels commands that have an I/O; see ublk_keeper.c.
 */
static int ring_init(struct ublk_ring *r, unsigned depth)
{
	struct io_uring_params params = { .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG };

	return io_uring_queue_init_params(depth, &r->ring, &params);
}

/* Queues lie one behind the other as if each were as deep as can be. */
static int map_ios(struct ublk_ring *r, unsigned queue, unsigned depth)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t stride = CC_ALIGN_UP(UBLK_DEPTH_MAX * sizeof(struct ublk_io_desc), page);
	void *va;

	r->ios_bytes = CC_ALIGN_UP(depth * sizeof(struct ublk_io_desc), page);
	va = mmap(NULL, r->ios_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, r->fd,
		  (off_t)(queue * stride));
	if (va == MAP_FAILED)
		return -errno;
	r->ios = va;
	return 0;
}

int ublk_ring_open(int fd, unsigned queue, unsigned depth, struct ublk_ring **ret)
{
	int err = ublk_keeper_start();
	struct ublk_ring *r;

	if (err)
		return err;
	r = linemem_calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->fd = fd;
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->event_fd < 0) {
		err = -errno;
		goto free_ring;
	}
	err = map_ios(r, queue, depth);
	if (err)
		goto close_fd;
	err = ring_init(r, depth);
	if (err)
		goto unmap;
	err = io_uring_register_files(&r->ring, &fd, 1);
	if (!err)
		err = io_uring_register_eventfd(&r->ring, r->event_fd);
	if (err)
		goto exit_ring;
	(void)io_uring_cq_eventfd_toggle(&r->ring, false);
	*ret = r;
	return 0;
exit_ring:
	io_uring_queue_exit(&r->ring);
unmap:
	(void)munmap((void *)(uintptr_t)r->ios, r->ios_bytes);
close_fd:
	(void)close(r->event_fd);
free_ring:
	free(r);
	return err;
}

void ublk_ring_close(struct ublk_ring *r)
{
	if (!r)
		return;
	io_uring_queue_exit(&r->ring);
	(void)munmap((void *)(uintptr_t)r->ios, r->ios_bytes);
	(void)close(r->event_fd);
	free(r);
}

void ublk_ring_enable(struct ublk_ring *r)
{
	r->has_ring_fd = io_uring_register_ring_fd(&r->ring) == 1; /* saves a look-up in each system call, if it works */
}

void ublk_ring_disable(struct ublk_ring *r)
{
	(void)io_uring_get_events(&r->ring); /* what came back last */
	if (r->has_ring_fd)
		(void)io_uring_unregister_ring_fd(&r->ring); /* it is this thread's */
}

void ublk_ring_post(struct ublk_ring *r, uint32_t op, const struct ublk_io_cmd *cmd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	assert(sqe);
	if (!sqe)
		return; /* never: said to gcc -O3, which has no assertions to see it by */
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE; /* file 0 of the ring */
	sqe->cmd_op = op;
	sqe->user_data = cmd->tag;
	memcpy(sqe->cmd, cmd, sizeof(*cmd));
}

void ublk_ring_flush(struct ublk_ring *r)
{
	/* On an error the SQEs stay where they are, and the next poll sees them. */
	(void)io_uring_submit(&r->ring);
}

bool ublk_ring_is_behind(const struct ublk_ring *r)
{
	return io_uring_sq_ready(&r->ring);
}

/* New I/O waits in the kernel until we come by. */
static bool has_task_work(const struct ublk_ring *r)
{
	return cc_read_once(*r->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

static unsigned take(struct ublk_ring *r, struct ublk_event *ret, unsigned max)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&r->ring, head, cqe)
	{
		if (n == max)
			break;
		ret[n++] = (struct ublk_event){ .tag = (uint16_t)cqe->user_data, .result = cqe->res };
	}
	io_uring_cq_advance(&r->ring, n);
	return n;
}

unsigned ublk_ring_reap(struct ublk_ring *r, struct ublk_event *ret, unsigned max)
{
	unsigned n = take(r, ret, max);

	if (n || !has_task_work(r))
		return n;
	(void)io_uring_get_events(&r->ring); /* nothing lost on an error: the flag stays */
	return take(r, ret, max);
}

struct ublk_io_desc ublk_ring_io(const struct ublk_ring *r, unsigned tag)
{
	return r->ios[tag];
}

int ublk_ring_fd(const struct ublk_ring *r)
{
	return r->event_fd;
}

bool ublk_ring_arm(struct ublk_ring *r)
{
	(void)io_uring_cq_eventfd_toggle(&r->ring, true);
	/* Partner: the kernel's between writing a CQE (or the task work flag) and reading the eventfd flag. */
	barrier_full();
	return io_uring_cq_ready(&r->ring) || has_task_work(r) || io_uring_sq_ready(&r->ring);
}

void ublk_ring_disarm(struct ublk_ring *r)
{
	uint64_t count;

	(void)io_uring_cq_eventfd_toggle(&r->ring, false);
	if (read(r->event_fd, &count, sizeof(count)) < 0)
		return; /* EAGAIN: nothing was signalled */
}
