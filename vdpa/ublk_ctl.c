/* SPDX-License-Identifier: BSD-3-Clause */
/* The control device through an io_uring of its own. */
#include "vdpa/ublk_ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "vdpa/hostnode.h"

#define NODE_MAX     32
#define SYSFS_MAX    64
#define NODE_TRIES   100 /* udev, or whoever fills /dev, may be behind */
#define NODE_WAIT_NS 20000000

struct ublk_ctl {
	struct io_uring ring;
	int fd;
};

static int explain(int err, struct errbuf *eb)
{
	struct utsname u;

	if (uname(&u))
		u.release[0] = '\0';
	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		return errbuf_set(eb, err,
				  "no " UBLK_CONTROL_PATH ": modprobe ublk_drv (Linux 6.4 or newer with "
				  "CONFIG_BLK_DEV_UBLK; this is %s)",
				  u.release);
	if (err == -EACCES || err == -EPERM)
		return errbuf_set(eb, err,
				  UBLK_CONTROL_PATH ": no permission: ublk devices are made by root "
						    "(CAP_SYS_ADMIN)");
	return errbuf_set(eb, err, UBLK_CONTROL_PATH ": %s", strerror(-err));
}

int ublk_ctl_open(struct ublk_ctl **ret, struct errbuf *eb)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 };
	struct ublk_ctl *ctl = malloc(sizeof(*ctl));
	int err;

	if (!ctl)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	ctl->fd = open(UBLK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	if (ctl->fd < 0) {
		err = explain(-errno, eb);
		free(ctl);
		return err;
	}
	err = io_uring_queue_init_params(4, &ctl->ring, &params);
	if (err) {
		(void)close(ctl->fd);
		free(ctl);
		return errbuf_set(eb, err, "no io_uring with commands (Linux 5.19 or newer): %s",
				  strerror(-err));
	}
	*ret = ctl;
	return 0;
}

void ublk_ctl_close(struct ublk_ctl *ctl)
{
	if (!ctl)
		return;
	io_uring_queue_exit(&ctl->ring);
	(void)close(ctl->fd);
	free(ctl);
}

static int wait_answer(struct ublk_ctl *ctl, unsigned limit_ms, struct io_uring_cqe **ret)
{
	struct __kernel_timespec limit = { .tv_sec = limit_ms / 1000,
					   .tv_nsec = limit_ms % 1000 * 1000000L };
	int err;

	do {
		err = io_uring_wait_cqe_timeout(&ctl->ring, ret, limit_ms ? &limit : NULL);
	} while (err == -EINTR);
	return err == -ETIME ? -ETIMEDOUT : err;
}

int ublk_ctl_call(struct ublk_ctl *ctl, uint32_t op, const struct ublk_ctl_cmd *cmd, unsigned limit_ms)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ctl->ring);
	struct io_uring_cqe *cqe;
	int err;

	if (!sqe)
		return -EBUSY;
	/* An SQE of this ring is twice as long: the command lies in its upper part. */
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ctl->fd;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, cmd, sizeof(*cmd));
	err = io_uring_submit(&ctl->ring);
	if (err < 0)
		return err;
	err = wait_answer(ctl, limit_ms, &cqe);
	if (err)
		return err;
	err = cqe->res;
	io_uring_cqe_seen(&ctl->ring, cqe);
	return err;
}

int ublk_ctl_open_server(unsigned id)
{
	const struct timespec pause = { .tv_nsec = NODE_WAIT_NS };
	char path[NODE_MAX];
	int fd;

	snprintf(path, sizeof(path), "/dev/ublkc%u", id);
	for (unsigned i = 0; i < NODE_TRIES; i++) {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return fd < 0 ? -errno : fd;
}

static void node_path(unsigned id, char path[NODE_MAX])
{
	snprintf(path, NODE_MAX, "/dev/ublkb%u", id);
}

int ublk_ctl_sync(unsigned id)
{
	char path[NODE_MAX];

	node_path(id, path);
	return hostnode_sync(path);
}

int ublk_ctl_no_scheduler(unsigned id)
{
	static const char none[] = "none";
	char path[SYSFS_MAX];
	int err = 0, fd;

	snprintf(path, sizeof(path), "/sys/block/ublkb%u/queue/scheduler", id);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, none, sizeof(none) - 1) < 0)
		err = -errno;
	(void)close(fd);
	return err;
}

bool ublk_ctl_is_claimed(unsigned id)
{
	char path[NODE_MAX];

	node_path(id, path);
	return hostnode_is_claimed(path);
}
