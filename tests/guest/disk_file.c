/* SPDX-License-Identifier: BSD-3-Clause */
/* In containers: disk_file save|restore SOCKET FILE, all of the disk behind a vhost-user-blk socket
 * into a file, or back. */
#include <fcntl.h>
#include <nvring_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE  ((size_t)128 * 1024)
#define PIECES 8
#define ROUND  (PIECE * PIECES)

static void check(int err, const char *why)
{
	if (err >= 0)
		return;
	fprintf(stderr, "disk_file: %s\n", why && *why ? why : strerror(-err));
	exit(1);
}

static void await_one(struct nvrc_queue *q)
{
	struct nvrc_result res;
	int n;

	while ((n = nvrc_poll(q, &res, 1)) == 0)
		check(nvrc_wait(q, -1), NULL);
	check(n < 0 ? n : res.status, NULL);
}

/* @len bytes of the disk from @off on, all pieces at once. */
static void move(struct nvrc_queue *q, enum nvrc_op op, char *mem, uint64_t off, size_t len)
{
	struct iovec iov[PIECES];
	unsigned n = 0;

	for (size_t at = 0; at < len; at += PIECE, n++) {
		iov[n].iov_base = mem + at;
		iov[n].iov_len = len - at < PIECE ? len - at : PIECE;
		check(nvrc_submit(q, op, off + at, iov[n].iov_len, &iov[n], 1, NULL), NULL);
	}
	nvrc_push(q);
	while (n--)
		await_one(q);
}

int main(int argc, char **argv)
{
	int save = argc == 4 && !strcmp(argv[1], "save"), fd;
	struct nvrc_opts opts = { .size = sizeof(opts),
				  .flags = NVRC_SLEEP,
				  .memory_bytes = ROUND };
	struct nvrc_info info = { .size = sizeof(info) };
	struct nvrc_queue *q;
	struct nvrc *disk;
	char why[512] = "", *mem;

	check(save || (argc == 4 && !strcmp(argv[1], "restore")) ? 0 : -1,
	      "usage: disk_file save|restore SOCKET FILE");
	opts.path = argv[2];
	check(nvrc_open(&opts, &disk, why, sizeof(why)), why);
	check(nvrc_get_info(disk, &info), NULL);
	fd = open(argv[3], save ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0600);
	mem = nvrc_alloc(disk, ROUND);
	check(fd < 0 || !mem ? -1 : 0, "no such file, or no memory");
	q = nvrc_queue(disk, 0);
	for (uint64_t off = 0; off < info.bytes; off += ROUND) {
		size_t len = info.bytes - off < ROUND ? (size_t)(info.bytes - off) : ROUND;

		if (!save)
			check(pread(fd, mem, len, (off_t)off) == (ssize_t)len ? 0 : -1,
			      "the file is too short");
		move(q, save ? NVRC_READ : NVRC_WRITE, mem, off, len);
		if (save)
			check(pwrite(fd, mem, len, (off_t)off) == (ssize_t)len ? 0 : -1,
			      "the file takes no more");
	}
	if (!save) {
		check(nvrc_submit(q, NVRC_FLUSH, 0, 0, NULL, 0, NULL), NULL);
		nvrc_push(q);
		await_one(q);
	}
	nvrc_close(disk);
	return 0;
}
