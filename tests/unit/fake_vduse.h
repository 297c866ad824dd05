/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's VDUSE with one device, and a driver on the vDPA bus, as far as user space can tell: what the kernel
 * checks is checked, its messages are packets of a socket pair, its memory is a memfd at the I/O addresses.
 */
#ifndef TESTS_UNIT_FAKE_VDUSE_H
#define TESTS_UNIT_FAKE_VDUSE_H

#include <sys/ioctl.h>

#include <linux/vduse.h>
#include <stdbool.h>
#include <stdint.h>

#include "vdpa/vduse_sys.h"

#define FAKE_VDUSE_QUEUES  4
#define FAKE_VDUSE_REGIONS 8
#define FAKE_VDUSE_BOUNCE  (1024ull * 1024) /* bytes of the region of requests, at 0 */
#define FAKE_VDUSE_RING	   (64ull * 1024)   /* of each ring's, behind it */

struct fake_vduse_queue {
	uint16_t size_max;
	struct vduse_vq_info info; /* as the driver sets it */
	int kick;		   /* duplicate of the eventfd that was given; -1 */
	bool kicked;		   /* before there was one */
	unsigned calls;
};

struct fake_vduse_region {
	struct vduse_iotlb_entry e;
	int fd;
	bool is_sized, takes_umem;
};

struct fake_vduse {
	/* what the test says */
	int control_err;   /* of opening the control device */
	int umem_err;	   /* of REG_UMEM */
	bool attached;	   /* to the vDPA bus */
	bool taken;	   /* by another process */
	uint64_t features; /* of the driver */
	/* what has become of it */
	bool exists;
	char name[VDUSE_NAME_MAX];
	uint64_t offered;
	uint32_t nqueues, config_bytes;
	uint8_t config[256];
	unsigned config_calls, ncreated;
	struct fake_vduse_queue q[FAKE_VDUSE_QUEUES];
	struct fake_vduse_region region[FAKE_VDUSE_REGIONS];
	unsigned nregions;
	int kernel; /* our end of the open device; -1: closed */
	int memory; /* memfd: file offsets are I/O addresses */
	char *mem;  /* all of it */
	char *umem; /* ours too, since it was registered */
	uint32_t next_id;
	struct vduse_dev_response late; /* the answer that came just before the device was closed */
	bool has_late;
};

extern struct fake_vduse fake_vduse;
extern const struct vduse_sys fake_vduse_sys;

void fake_vduse_init(void);
void fake_vduse_fini(void);

/* [start, start+len) of the kernel's memory: rings; with @takes_umem what requests lie in. */
void fake_vduse_map(uint64_t start, uint64_t len, bool takes_umem);
/* A file of somebody else's. */
void fake_vduse_map_file(uint64_t start, uint64_t len, int fd, uint8_t perm);

/* Where ring @i's area is. */
static inline uint64_t fake_vduse_ring(unsigned i)
{
	return FAKE_VDUSE_BOUNCE + i * FAKE_VDUSE_RING;
}
/* The kernel takes its memory away, or has it again: of zeroes. */
void fake_vduse_shrink(bool away);

/* The driver's view of an I/O address. */
void *fake_vduse_va(uint64_t iova);

/* Sends a message with the next id; returns the id. */
uint32_t fake_vduse_send(struct vduse_dev_request req);
/* The answer that has come: true. */
bool fake_vduse_answer(struct vduse_dev_response *ret);

void fake_vduse_kick(unsigned i);

#endif
