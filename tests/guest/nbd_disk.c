/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user-blk socket as the kernel's block device /dev/nbdN, where no QEMU fits: our front-end
 * half behind the kernel's NBD client. Single-threaded, many requests at a time; the block size is
 * the disk's.
 *
 *   nbd_disk SOCKET /dev/nbdN      "ready BYTES" when the device is there
 *   nbd_disk - /dev/nbdN           ends the other
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "vhost/client/virtio_user.h"

#define SLOTS	   32
#define SLOT_BYTES (1u << 20)

struct slot {
	struct nbd_request req; /* as it came, big endian */
	uint32_t len;
	struct iovec iov;
	bool busy;
};

struct disk {
	struct virtio_user *vu;
	struct virtio_user_queue *q;
	struct slot slots[SLOTS];
	unsigned busy;
	int fd; /* our end; the kernel has the other */
	bool leaving;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void get(int fd, void *buf, size_t len)
{
	if (recv(fd, buf, len, MSG_WAITALL) != (ssize_t)len)
		die("from the kernel");
}

static void put(int fd, const void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)buf + at, len - at, MSG_NOSIGNAL);

		if (n <= 0)
			die("to the kernel");
		at += (size_t)n;
	}
}

static void answer(struct disk *d, struct slot *s, int status)
{
	struct nbd_reply reply = { .magic = htobe32(NBD_REPLY_MAGIC),
				   .error = htobe32((uint32_t)-status) };

	memcpy(reply.handle, s->req.handle, sizeof(reply.handle));
	put(d->fd, &reply, sizeof(reply));
	if (!status && be32toh(s->req.type) == NBD_CMD_READ)
		put(d->fd, s->iov.iov_base, s->len);
	s->busy = false;
	d->busy--;
}

/* The request in @s, into the ring. */
static void submit(struct disk *d, struct slot *s)
{
	uint64_t off = be64toh(s->req.from);
	enum virtio_user_op op;
	unsigned n = 0;
	int err;

	switch (be32toh(s->req.type)) {
	case NBD_CMD_READ:
		op = VIRTIO_USER_READ;
		n = 1;
		break;
	case NBD_CMD_WRITE:
		op = VIRTIO_USER_WRITE;
		n = 1;
		get(d->fd, s->iov.iov_base, s->len);
		break;
	case NBD_CMD_FLUSH:
		op = VIRTIO_USER_FLUSH;
		off = 0;
		break;
	default:
		op = VIRTIO_USER_DISCARD;
		break;
	}
	s->iov.iov_len = s->len;
	err = virtio_user_submit(d->q, op, off, s->len, n ? &s->iov : NULL, n, s);
	if (err)
		answer(d, s, -EIO);
}

static void take_request(struct disk *d)
{
	struct slot *s = d->slots;

	while (s->busy)
		s++;
	get(d->fd, &s->req, sizeof(s->req));
	s->len = be32toh(s->req.len);
	if (be32toh(s->req.magic) != NBD_REQUEST_MAGIC ||
	    (be32toh(s->req.type) <= NBD_CMD_WRITE && s->len > SLOT_BYTES)) {
		fprintf(stderr, "impossible request\n");
		exit(1);
	}
	if (be32toh(s->req.type) == NBD_CMD_DISC) {
		d->leaving = true;
		return;
	}
	s->busy = true;
	d->busy++;
	submit(d, s);
}

static void serve(struct disk *d)
{
	struct pollfd pfd = { .fd = d->fd, .events = POLLIN };
	struct virtio_user_done done[SLOTS];

	while (!d->leaving || d->busy) {
		int n = 0;

		pfd.events = d->busy < SLOTS && !d->leaving ? POLLIN : 0;
		(void)poll(&pfd, 1, d->busy ? 0 : -1);
		if (pfd.revents & POLLIN) {
			take_request(d);
			virtio_user_flush(d->q);
		}
		n = virtio_user_poll(d->q, done, SLOTS);
		if (n < 0) {
			fprintf(stderr, "the server is gone: %s\n", strerror(-n));
			exit(1);
		}
		for (int i = 0; i < n; i++)
			answer(d, done[i].cookie, done[i].status);
		if (!n)
			sched_yield();
	}
}

static int disconnect(const char *path)
{
	int device = open(path, O_RDWR);

	if (device < 0 || fsync(device) || ioctl(device, NBD_DISCONNECT))
		die(path);
	return 0;
}

/* The child lends the kernel a thread: NBD_DO_IT returns when the device is disconnected. */
static void lend_thread(const char *path, int fd, const struct virtio_user_info *info)
{
	int device = open(path, O_RDWR);
	unsigned long flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH;

	if (info->max_discard_sectors)
		flags |= NBD_FLAG_SEND_TRIM;
	if (device < 0)
		die(path);
	if (ioctl(device, NBD_SET_BLKSIZE, (unsigned long)info->block_bytes) ||
	    ioctl(device, NBD_SET_SIZE_BLOCKS, info->capacity_bytes / info->block_bytes) ||
	    ioctl(device, NBD_SET_FLAGS, flags) || ioctl(device, NBD_SET_SOCK, fd))
		die("ioctl");
	printf("ready %llu\n", (unsigned long long)info->capacity_bytes);
	fflush(stdout);
	(void)ioctl(device, NBD_DO_IT);
	(void)ioctl(device, NBD_CLEAR_SOCK);
	exit(0);
}

int main(int argc, char **argv)
{
	struct virtio_user_opts opts = { .queue_size = 128,
					 .depth = SLOTS,
					 .memory_bytes = SLOTS * (size_t)SLOT_BYTES };
	struct virtio_user_info info;
	struct disk d = { 0 };
	struct errbuf eb = { "" };
	int fds[2], status;
	pid_t child;

	if (argc != 3) {
		fprintf(stderr, "usage: nbd_disk SOCKET /dev/nbdN\n");
		return 2;
	}
	if (!strcmp(argv[1], "-"))
		return disconnect(argv[2]);
	opts.path = argv[1];
	if (virtio_user_open(&opts, &d.vu, &eb)) {
		fprintf(stderr, "%s\n", eb.text);
		return 1;
	}
	virtio_user_get_info(d.vu, &info);
	d.q = virtio_user_queue(d.vu, 0);
	for (unsigned i = 0; i < SLOTS; i++)
		d.slots[i].iov.iov_base = virtio_user_alloc(d.vu, SLOT_BYTES);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		die("socketpair");
	d.fd = fds[0];
	child = fork();
	if (child == 0) {
		close(fds[0]);
		lend_thread(argv[2], fds[1], &info);
	}
	close(fds[1]);
	serve(&d);
	close(d.fd);
	virtio_user_close(d.vu);
	return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
