/* SPDX-License-Identifier: BSD-3-Clause */
/* disk_copy FROM TO: one vhost-user-blk disk onto another, 16 pieces at a time; either server may restart meanwhile. */
#define _GNU_SOURCE 1 /* memfd_create */
#include <err.h>
#include <nvring_client.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE  ((size_t)128 * 1024)
#define PIECES 16

static void check(int err, const char *why)
{
	if (err < 0)
		errx(1, "%s", why ? why : strerror(-err));
}

/* Up to 16 pieces from @at on, into or from @mem, or a flush; and waits. How many bytes. */
static uint64_t run(struct nvrc *disk, enum nvrc_op op, char *mem, uint64_t at, uint64_t end)
{
	struct nvrc_queue *q = nvrc_queue(disk, 0);
	uint64_t off = at, len = op == NVRC_FLUSH ? 0 : PIECE;
	struct nvrc_result res = { .status = 0 };

	do {
		len = end - off < len ? end - off : len;
		check(nvrc_submit(q, op, off, len, &(struct iovec){ mem + (off - at), len }, len != 0, NULL), NULL);
	} while ((off += len) < end && off - at < PIECES * PIECE);
	for (nvrc_push(q); nvrc_inflight(q); check(res.status, NULL)) {
		check(nvrc_wait(q, -1), NULL);
		check(nvrc_poll(q, &res, 1), NULL);
	}
	return off - at;
}

int main(int argc, char **argv)
{
	int fd = memfd_create("pieces", 0), failed = fd < 0 || ftruncate(fd, (off_t)(PIECES * PIECE));
	char why[512], *mem = mmap(NULL, PIECES * PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct nvrc_opts opts = { .size = sizeof(opts), .reconnect_ms = 30000, .memory_bytes = 4096 }; /* ours is shared below */
	struct nvrc_info info[2] = { { .size = sizeof(info[0]) }, { .size = sizeof(info[1]) } };
	struct nvrc *disk[2];

	check(argc != 3 || failed || mem == MAP_FAILED ? -1 : 0, "usage: disk_copy FROM.sock TO.sock");
	for (int i = 0; i < 2; i++) {
		opts.path = argv[1 + i];
		check(nvrc_open(&opts, &disk[i], why, sizeof(why)), why);
		check(nvrc_share(disk[i], mem, PIECES * PIECE, fd, 0), NULL);
		check(nvrc_get_info(disk[i], &info[i]), NULL);
	}
	check(info[1].bytes < info[0].bytes ? -1 : 0, "the second disk is too small");
	for (uint64_t at = 0; at < info[0].bytes; at += run(disk[1], NVRC_WRITE, mem, at, info[0].bytes))
		run(disk[0], NVRC_READ, mem, at, info[0].bytes);
	run(disk[1], NVRC_FLUSH, mem, 0, 0);
	nvrc_close(disk[0]);
	nvrc_close(disk[1]);
	return 0;
}
