/* SPDX-License-Identifier: BSD-3-Clause */
/* A VDUSE device on a fake disk, its kernel and its driver in the same process: what the tests share. */
#ifndef TESTS_UNIT_VDUSE_RIG_H
#define TESTS_UNIT_VDUSE_RIG_H

#include <sys/stat.h>

#include "tests/unit/fake_vduse.h"
#include "tests/unit/vblk_rig.h"
#include "vdpa/vduse.h"

#define QUEUES	    2u
#define SIZE	    64u /* of its rings, of the driver's choice */
#define ACK	    1u
#define DRIVER	    2u
#define DRIVER_OK   4u
#define FEATURES_OK 8u
#define READY	    (ACK | DRIVER | FEATURES_OK | DRIVER_OK)

extern struct fake_vduse *const kernel;
extern struct vduse *v;
extern struct vqd driver[QUEUES];
extern char log_path[64];
extern bool packed;
extern unsigned gone_calls;
extern bool gone_stays;

/* For cmocka: a disk, and no device yet; *state is not NULL for packed rings. */
int setup(void **state);
int setup_split(void **state);
int setup_packed(void **state);
int teardown(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BOTH(name)                                                                            \
	{ #name " (split)", name, setup_split, teardown, NULL },                                   \
	{                                                                                          \
		#name " (packed)", name, setup_packed, teardown, NULL                              \
	}

/* v, or what vduse_create() says. */
int create(struct errbuf *eb);
void destroy(void);
void on_gone(void *arg, bool stays); /* arg is &gone_calls */
/* A device of that name that nobody has open. */
void leave_device(void);
bool log_exists(void);
void write_log(const char *text, size_t len, mode_t mode);

/* What the answer to message @id says, or UINT32_MAX: none yet. */
uint32_t result_of(uint32_t id);
uint32_t send_status(uint8_t s);
uint32_t set_status(uint8_t s);

/* As virtio-vdpa does it: up to FEATURES_OK with rings in place; with DRIVER_OK, too. */
void driver_begin(void);
void driver_go(void);
void ring_open(unsigned i);
void driver_leave(void);

/* A read of @sector on ring @i, its buffers in slot @slot of the region of requests. */
void submit(unsigned i, unsigned slot, uint64_t sector);
unsigned reap(unsigned i);
void read_is_right(unsigned slot, uint64_t sector);
/* All of it. */
void run_one(unsigned i, unsigned slot, uint64_t sector);

/* Regions of the driver's that devices may reach. */
unsigned reachable(void);
/* The device as its account has it; a queue that is broken, for a reason with @why in it. */
void state_is(const char *want, unsigned nregions);
void is_broken(unsigned i, const char *why);

#endif
