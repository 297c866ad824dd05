/* SPDX-License-Identifier: BSD-3-Clause */
/* A victim and its noisy neighbour: two namespaces of one nvring-ssd with a finite rate, driven by the calling thread. */
#ifndef TESTS_BENCH_NOISY_RIG_H
#define TESTS_BENCH_NOISY_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bdev.h"
#include "core/base/hist.h"

#define NOISY_DEPTH_MAX 256

enum {
	NOISY_VICTIM,
	NOISY_NEIGHBOUR,
	NOISY_DISKS,
};

struct noisy_io {
	struct bio bio;
	struct iovec iov;
	struct noisy_disk *disk;
	uint64_t begun_ns;
};

/* Reads of 4 KiB at random places; each that ends begins again while there are fewer than @depth. */
struct noisy_disk {
	struct bdev *bdev;
	struct bdev_chan *chan;
	unsigned depth, inflight;
	uint64_t ios, errors;
	struct hist latency; /* as the submitter sees it */
	struct noisy_io io[NOISY_DEPTH_MAX];
	struct noisy_io *idle[NOISY_DEPTH_MAX];
	unsigned nidle;
};

struct noisy {
	struct reactor *r;
	struct noisy_disk disk[NOISY_DISKS];
};

/* @program: nvring-ssd. @service: its option of that name. Once at a time; ends the process with a line when something fails. */
struct noisy *noisy_open(const char *program, const char *service);
void noisy_close(struct noisy *n);

/* From now on; 0: what is in flight ends, nothing begins. */
void noisy_load(struct noisy *n, unsigned disk, unsigned depth);

/* 99 % of the victim's I/Os within so long; 0: no target. */
void noisy_set_target(struct noisy *n, uint64_t ns);

void noisy_run(struct noisy *n, uint64_t ns);
/* No load any more, and nothing in flight. */
void noisy_drain(struct noisy *n);
/* Forget counts and latencies so far. */
void noisy_clear(struct noisy *n);

#endif
