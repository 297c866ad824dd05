/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Insides of a VDUSE device. All on the control thread, but for vduse_ring_call().
 *
 * One thing at a time: what must wait for data reactors (a message, a failure, the end) holds the others off until
 * its answers are in, as in vhost/user:
 *
 *   vduse_wait_begin(v, resume) ─► vduse_ring_stop… ─► vduse_wait_end(v) ─► resume(v), when the last ring has stopped
 */
#ifndef VDPA_VDUSE_PRIV_H
#define VDPA_VDUSE_PRIV_H

#include <sys/ioctl.h>

#include <linux/vduse.h>

#include "core/sigbus.h"
#include "vdpa/vduse.h"
#include "vdpa/vduse_log.h"
#include "vdpa/vduse_sys.h"

/* Virtio 1.2, 2.1 */
#define VDUSE_STATUS_DRIVER_OK	 4u
#define VDUSE_STATUS_FEATURES_OK 8u

/* One ring as the driver has described it; runs while q is set. */
struct vduse_ring {
	struct vduse *v;
	uint32_t index;
	bool ready, broken;
	uint16_t size;
	uint64_t desc, driver, device; /* I/O addresses of its parts */
	uint32_t base;	 /* position as vq_base() has it */
	int kick_fd;	 /* ours; -1: none */
	struct reactor_fd kick_rfd; /* attached: it waits for its first kick */
	struct vdev_queue *q;
	struct vq_counters before; /* until its last stop */
	char why[96];
};

/* The device's memory as its driver has mapped it (vduse_mem.c). */
struct vduse_mem {
	struct gmem *gmem; /* never NULL */
	bool complete;	   /* requests can be in it */
	int umem_fd;	   /* memory of ours that the kernel uses for its bounce buffer; -1: none */
	uint64_t umem_bytes;
	bool umem_refused; /* asked once */
};

struct vduse {
	char *name;
	const struct vduse_sys *sys;
	struct vdev *dev;
	struct reactor *control;
	struct reactor **reactors;
	unsigned nnear;
	unsigned first_reactor; /* of queue 0, among the near ones */
	int fd;		   /* /dev/vduse/NAME */
	struct reactor_fd rfd;
	uint64_t offered, features;
	uint8_t status;
	bool no_packed;
	bool failed; /* no ring runs until its driver resets it */
	bool deaf;   /* the kernel has given it up: no messages any more */
	struct vduse_log log;
	struct vduse_mem mem;
	struct vdev_listener listener;
	unsigned nrings;
	struct vduse_ring *rings;
	struct sigbus_owner lost;
	struct reactor_fd lost_rfd;
	/* waiting for answers */
	unsigned waits;
	void (*resume)(struct vduse *v);
	struct vduse_dev_request req; /* what is being worked on */
	/* the end */
	bool ending, stays;
	vduse_gone_fn gone;
	void *gone_arg;
	struct reactor_msg end_msg;
};

static inline bool vduse_is_packed(const struct vduse *v)
{
	return (v->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) != 0;
}

/* vduse.c */
void vduse_wait_begin(struct vduse *v, void (*resume)(struct vduse *v));
void vduse_wait_add(struct vduse *v);
void vduse_wait_done(struct vduse *v);
void vduse_wait_end(struct vduse *v);
/* The device cannot go on: @why is logged, its rings stop, until its driver resets it. */
void vduse_fail(struct vduse *v, const char *why);
/* The same, and nothing more comes of the kernel. */
void vduse_give_up(struct vduse *v, const char *why);
/* Its driver has reset it. */
void vduse_recover(struct vduse *v);

/* vduse_msg.c: the next message of the kernel, if there is one and nothing is under way. */
void vduse_msg_take(struct vduse *v);
/* The driver is ready, as it says or as the log does: learn all about it, start what can start. 0 or -errno with eb. */
int vduse_msg_go(struct vduse *v, struct errbuf *eb);

/* vduse_mem.c */
int vduse_mem_init(struct vduse_mem *mem);
void vduse_mem_fini(struct vduse_mem *mem);
/* No ring runs: map what the driver has mapped now. 0 or -errno with eb: then nothing is mapped. */
int vduse_mem_learn(struct vduse *v, struct errbuf *eb);
/* No ring runs: nothing is mapped any more. */
void vduse_mem_forget(struct vduse *v);

/* vduse_ring.c */
void vduse_ring_init(struct vduse_ring *ring, struct vduse *v, unsigned index);
/* Tells the kernel its size. 0 or -errno with eb. */
int vduse_ring_setup(struct vduse_ring *ring, struct errbuf *eb);
void vduse_ring_fini(struct vduse_ring *ring);
/* Where it is, now that the driver is ready. 0 or -errno with eb. */
int vduse_ring_learn(struct vduse_ring *ring, struct errbuf *eb);
/* The driver has reset the device: nothing of a ring that does not run is true any more. */
void vduse_ring_forget(struct vduse_ring *ring);
/* All that are ready and do not run: now if the memory is complete, else at the first kick. */
void vduse_rings_start(struct vduse *v);
/* Nobody waits for a first kick any more. */
void vduse_rings_rest(struct vduse *v);
/* Drain, keep its position (between vduse_wait_begin and vduse_wait_end). Harmless when it does not run. */
void vduse_ring_stop(struct vduse_ring *ring);
void vduse_rings_stop(struct vduse *v);
bool vduse_rings_run(const struct vduse *v); /* any of them */
/* Interrupt the driver. Any thread. @arg: the ring. */
void vduse_ring_call(void *arg);

#endif
