/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends that are connected and silent: one read in each queue, so that all of it has been in
 * use, and then nothing until standard input ends.
 *
 *   bench_silent QUEUES SOCKET...      prints a line when all are silent
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/client/virtio_user.h"

#define CONNECT_MS 10000
#define BLOCK	   4096u
#define DISKS_MAX  64

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_silent: %s: %s\n", what, why);
	exit(1);
}

static void read_once(const char *path, struct virtio_user *vu, struct virtio_user_queue *q)
{
	const struct iovec iov = { virtio_user_alloc(vu, BLOCK), BLOCK };
	struct virtio_user_done done;
	int n;

	if (!iov.iov_base || virtio_user_submit(q, VIRTIO_USER_READ, 0, BLOCK, &iov, 1, NULL))
		die(path, "cannot submit");
	virtio_user_flush(q);
	do {
		n = virtio_user_poll(q, &done, 1);
		if (n == 0 && virtio_user_wait(q, CONNECT_MS))
			die(path, "no answer");
	} while (n == 0);
	if (n < 0 || done.status)
		die(path, strerror(n < 0 ? -n : -done.status));
}

int main(int argc, char **argv)
{
	struct virtio_user *vu[DISKS_MAX];
	struct errbuf eb = { "" };
	char c;

	if (argc < 3 || argc - 2 > DISKS_MAX) {
		fputs("bench_silent QUEUES SOCKET...\n", stderr);
		return 2;
	}
	for (int i = 0; i < argc - 2; i++) {
		const struct virtio_user_opts opts = {
			.path = argv[i + 2],
			.nqueues = (unsigned)strtoul(argv[1], NULL, 0),
			.eventfd = true,
			.memory_bytes = 1u << 20,
			.connect_ms = CONNECT_MS,
		};

		if (virtio_user_open(&opts, &vu[i], &eb))
			die(argv[i + 2], eb.text);
		for (unsigned k = 0; k < opts.nqueues; k++)
			read_once(argv[i + 2], vu[i], virtio_user_queue(vu[i], k));
	}
	puts("silent");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	for (int i = 0; i < argc - 2; i++)
		virtio_user_close(vu[i]);
	return 0;
}
