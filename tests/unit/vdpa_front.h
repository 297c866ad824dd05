/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest's memory and rings, and the messages that describe them: for tests of the vDPA device, which hand them on. */
#ifndef TESTS_UNIT_VDPA_FRONT_H
#define TESTS_UNIT_VDPA_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/user/vu_wire.h"
#include "vhost/virtq/vqd.h"

#define FRONT_QUEUES	  4
#define FRONT_SIZE	  64 /* of each ring */
#define FRONT_MEM_BYTES	  (8u << 20)
#define FRONT_GPA	  0x40000000ull
#define FRONT_UVA	  0x7f0000000000ull
#define FRONT_QUEUE_BYTES 0x10000u
#define FRONT_DATA_BYTES  4096u

/* Where a message goes: 0, or what the one who was told says. */
typedef int (*front_send_fn)(struct vu_msg *m, void *arg);

struct front_queue {
	struct vqd d;
	bool is_there;
	int kick, call;
	uint32_t base;
	unsigned next; /* place in memory of the next request */
};

struct front {
	front_send_fn send;
	void *arg;
	int memfd;
	char *mem;
	uint64_t features;
	struct front_queue q[FRONT_QUEUES];
};

void front_init(struct front *f, front_send_fn send, void *arg);
void front_fini(struct front *f);

/* Messages; each returns what send said. */
int front_u64(struct front *f, uint32_t request, uint64_t v);
int front_state(struct front *f, uint32_t request, unsigned index, uint32_t num);
int front_fd(struct front *f, uint32_t request, unsigned index, int fd);
/* The memory as @nregions of the same size, without a hole. */
int front_share(struct front *f, unsigned nregions);
/* Features, owner, protocol features. */
void front_negotiate(struct front *f, uint64_t features, uint64_t protocol);
/* Ring @i from the beginning: size, base, addresses, call, kick, ENABLE(1). */
void front_ring(struct front *f, unsigned i);
/* The same ring where it was: base as given. */
void front_ring_again(struct front *f, unsigned i, uint32_t base);
/* Its driver begins anew. */
void front_ring_reset(struct front *f, unsigned i);

/* A request of FRONT_DATA_BYTES at @sector into ring @i; its place. */
unsigned front_submit(struct front *f, unsigned i, uint32_t type, uint64_t sector, uint8_t pattern);
/* Wait for one answer; its place. Fails the test after some seconds. */
unsigned front_wait(struct front *f, unsigned i);
/* Is nothing answered within a moment? */
bool front_is_silent(struct front *f, unsigned i);
uint8_t front_status(const struct front *f, unsigned i, unsigned place);
const uint8_t *front_data(const struct front *f, unsigned i, unsigned place);

/* Write a pattern, read it back. */
void front_io(struct front *f, unsigned i, uint64_t sector, uint8_t pattern);

#endif
