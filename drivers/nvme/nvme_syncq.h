/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue pair for threads that wait: the admin queue, and the I/O queue of set-up threads.
 *
 * Whoever waits also reaps, for all: there is no poller. Several may wait at once. A command that
 * was given up keeps its slot (and the data page, when it had data) until it is answered or the
 * controller has been disabled: the device may still write there (I6).
 */
#ifndef DRIVERS_NVME_NVME_SYNCQ_H
#define DRIVERS_NVME_NVME_SYNCQ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/nvme/nvme_ctrlr.h"
#include "drivers/nvme/nvme_qpair.h"

#define NVME_SYNCQ_ENTRIES    32u
#define NVME_SYNCQ_DATA_BYTES (128u * 1024) /* of one command */

/* Commands that nobody waits for (asynchronous event requests) end here; under the lock. */
typedef void (*nvme_syncq_event_fn)(void *arg, uint32_t dw0, uint16_t status);

struct nvme_syncq_slot {
	uint8_t state; /* enum slot_state in nvme_syncq.c */
	bool has_data;
	bool is_lost; /* the queue was reset under it */
	uint16_t status;
	uint32_t dw0, dw1;
};

struct nvme_syncq {
	struct nvme_qpair qp;
	pthread_mutex_t lock; /* guards qp, slots, is_dead, is_lying, data_lost */
	struct nvme_syncq_slot slot[NVME_SYNCQ_ENTRIES];
	bool is_dead;		   /* the device does not answer any more: nothing is sent */
	bool is_lying;		   /* it answered what was not asked */
	bool data_lost;		   /* a command that was given up may still use the data */
	pthread_mutex_t data_lock; /* guards data: held from filling it to reading the answer */
	struct hugemem data;
	uint64_t data_iova;
	bool data_mapped;
	struct nvme_xlat xlat; /* of the data */
	uint32_t timeout_ms;   /* atomic: of a command that does not say */
	bool in_haste;	       /* and of one that says more */
	nvme_syncq_event_fn event;
	void *event_arg;
};

/* 0 or -errno. The device is not told. Entries and lists are our business. */
int nvme_syncq_init(struct nvme_syncq *q, struct nvme_hw *hw, const struct nvme_qpair_opts *opts);
void nvme_syncq_fini(struct nvme_syncq *q);

/* As new: the device is disabled, or the queue deleted. Whoever waits gets -ENODEV. */
void nvme_syncq_reset(struct nvme_syncq *q);
/* From now on everything ends with -ENODEV. Any thread. */
void nvme_syncq_kill(struct nvme_syncq *q);

/* From now on nothing is waited for longer than the queue's own timeout, not even what is under way. Any thread. */
void nvme_syncq_hurry(struct nvme_syncq *q);

/* Carry out and wait, at most cmd->timeout_ms (0: the queue's). See nvme_ctrlr_passthru(); also
 * -EPROTO: the device lies, -EBUSY: the data page is lost to a command that was given up. */
int nvme_syncq_exec(struct nvme_syncq *q, struct nvme_passthru *cmd);

/* The same for a command whose PRPs are no data of ours to move: queues, doorbell buffers. */
int nvme_syncq_exec_prps(struct nvme_syncq *q, struct nvme_passthru *cmd,
			 const struct nvme_prps *prps);

/* Send a command that is answered some day, through event. 0, -EBUSY (no slot), -ENODEV. */
int nvme_syncq_post_event_request(struct nvme_syncq *q, uint8_t opc);

/* Reap what is there. -EPROTO: the device lies. */
int nvme_syncq_poll(struct nvme_syncq *q);

#endif
