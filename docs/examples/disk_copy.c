/* SPDX-License-Identifier: BSD-3-Clause */
/* disk_copy FROM TO: one vhost-user-blk disk onto another, 16 pieces at a time; either server may restart meanwhile. */
#define _GNU_SOURCE 1 /* memfd_create */
#include <nvring_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE  ((size_t)128 * 1024)
#define PIECES 16

struct piece {
	struct iovec iov;
	uint64_t off;
};

static void check(int err, const char *why)
{
	if (err >= 0)
		return;
	fprintf(stderr, "disk_copy: %s\n", why ? why : strerror(-err));
	exit(1);
}

/* The next bytes of the disk into the buffer of @p; how many. */
static size_t piece_read(struct nvrc_queue *q, struct piece *p, uint64_t off, uint64_t end)
{
	p->off = off;
	p->iov.iov_len = end - off < PIECE ? end - off : PIECE;
	if (p->iov.iov_len)
		check(nvrc_submit(q, NVRC_READ, off, p->iov.iov_len, &p->iov, 1, p), NULL);
	nvrc_push(q);
	return p->iov.iov_len;
}

int main(int argc, char **argv)
{
	int fd = memfd_create("pieces", 0), failed = fd < 0 || ftruncate(fd, (off_t)(PIECES * PIECE));
	char why[512], *mem = mmap(NULL, PIECES * PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct nvrc_opts opts = { .size = sizeof(opts), .reconnect_ms = 30000 };
	struct nvrc_info info[2] = { { .size = sizeof(info[0]) }, { .size = sizeof(info[1]) } };
	struct piece pieces[PIECES], *p;
	struct nvrc_queue *q[2] = { NULL, NULL };
	struct nvrc *disk[2];
	struct nvrc_result res;
	uint64_t at = 0, written = 0;

	check(argc != 3 || failed || mem == MAP_FAILED ? -1 : 0, "usage: disk_copy FROM.sock TO.sock");
	for (int i = 0; i < 2; i++) {
		opts.path = argv[1 + i];
		check(nvrc_open(&opts, &disk[i], why, sizeof(why)), why);
		check(nvrc_share(disk[i], mem, PIECES * PIECE, fd, 0), NULL);
		check(nvrc_get_info(disk[i], &info[i]), NULL);
		q[i] = nvrc_queue(disk[i], 0);
	}
	check(info[1].bytes < info[0].bytes ? -1 : 0, "the second disk is too small");
	for (p = pieces; p < pieces + PIECES; p++) {
		p->iov.iov_base = mem + (size_t)(p - pieces) * PIECE;
		at += piece_read(q[0], p, at, info[0].bytes);
	}
	for (int i = 0, flushed = 0, n; !flushed; i ^= 1) { /* i: which disk is looked at */
		n = nvrc_poll(q[i], &res, 1);
		check(n > 0 ? res.status : n, NULL);
		p = n > 0 ? res.cookie : NULL;
		if (p && i == 0) {
			check(nvrc_submit(q[1], NVRC_WRITE, p->off, p->iov.iov_len, &p->iov, 1, p), NULL);
		} else if (p) {
			written += p->iov.iov_len;
			at += piece_read(q[0], p, at, info[0].bytes);
			if (written == info[0].bytes)
				check(nvrc_submit(q[1], NVRC_FLUSH, 0, 0, NULL, 0, NULL), NULL);
		}
		flushed = n > 0 && !p; /* it has no piece */
		nvrc_push(q[1]);
	}
	nvrc_close(disk[0]);
	nvrc_close(disk[1]);
	return 0;
}
