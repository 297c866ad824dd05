/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller from inside: shared by the files that make up its life; nobody else. */
#ifndef DRIVERS_NVME_NVME_CTRLR_PRIV_H
#define DRIVERS_NVME_NVME_CTRLR_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/hugemem.h"
#include "core/reactor.h"
#include "drivers/nvme/nvme_ctrlr.h"
#include "drivers/nvme/nvme_identify.h"
#include "drivers/nvme/nvme_ioq.h"
#include "drivers/nvme/nvme_quirks.h"
#include "drivers/nvme/nvme_syncq.h"

#define NVME_IOQS_MAX	      256u /* of a controller: one per reactor */
#define NVME_VECTORS_MAX      64u
#define NVME_IO_TIMEOUT_MS    30000u
#define NVME_ADMIN_TIMEOUT_MS 10000u
#define NVME_DEPTH	      256u /* entries of an I/O queue */
#define NVME_EVENT_REQUESTS   4u   /* asynchronous event requests under way */
#define NVME_EVENTS_MAX	      8u

/* Doorbell Buffer Config: a page of shadows, a page of EventIdx. */
struct nvme_dbbuf {
	struct hugemem mem;
	bool is_mapped, is_on;
};

/* Host Memory Buffer: its pieces and the list of them, in one. */
struct nvme_hmb {
	struct hugemem mem;
	bool is_mapped, is_on;
	uint64_t list_iova;
	uint32_t npieces;
	uint64_t bytes;
};

struct nvme_changed; /* the message to the control thread; in nvme_ctrlr.c */

/* Told on the control thread after the namespaces may have changed. */
struct nvme_ns_listener {
	struct list link;
	void (*changed)(struct nvme_ns_listener *l);
};

struct nvme_ctrlr {
	struct nvme_hw *hw; /* NULL: given back, the device has gone */
	struct nvme_ctrlr_opts opts;
	char name[NVME_HW_NAME_MAX];
	uint32_t state; /* enum nvme_ctrlr_state; atomic, written under lock */
	/* What it says of itself. Written anew by each reset, under life_lock and lock: whoever holds
	 * neither takes a copy, nvme_get_said(). */
	struct nvme_cap cap;
	struct nvme_id_ctrlr id;
	struct nvme_ctrlr_info info;
	uint32_t quirks;
	uint32_t queues; /* I/O queue pairs that the device has given */
	struct nvme_syncq admin;
	struct nvme_dbbuf dbbuf;
	struct nvme_hmb hmb;
	int vector_fds[NVME_VECTORS_MAX];
	unsigned nvectors;
	/* One at a time brings the controller up or down. Before lock. */
	pthread_mutex_t life_lock;
	/* Guards state, hw, ioqs, nioqs, disks, and what the device says of itself. Held shortly; nothing is
	 * waited for. */
	pthread_mutex_t lock;
	struct nvme_ioq *ioqs[NVME_IOQS_MAX]; /* of queue id i + 1; never leave before close */
	unsigned nioqs; /* atomic: queues look */
	uint64_t disks; /* bits that are taken; see nvme_target.disk */
	struct nvme_syncq
		*sync_io; /* queue id NVME_IOQS_MAX or the last one; NULL: not needed yet */
	struct list listeners;
	/* The keeper: see nvme_keeper.c. */
	pthread_t keeper;
	bool has_keeper;
	int wake_fd;	/* eventfd */
	int removal_fd; /* of the hardware */
	uint32_t stop;	/* atomic */
	uint32_t nresets;
	uint32_t report; /* enum nvme_ioq_report of nobody's queue; atomic */
	/* written under admin.lock by whoever reaps, taken by the keeper */
	uint32_t events[NVME_EVENTS_MAX];
	unsigned nevents, nrequests;
	bool events_refused;  /* the device takes no (more) event requests */
	uint8_t smart_logged; /* critical warnings that have been told */
	uint32_t nerror_events; /* the keeper's */
	struct nvme_changed *changed;
};

/* nvme_enable.c: blocking steps of the life. life_lock is held. */

/* From any condition to ready, with admin queue, identity and features; I/O queues are not made. */
int nvme_enable(struct nvme_ctrlr *c, struct errbuf *eb);
/* The device does not touch memory any more when this returns 0. */
int nvme_disable(struct nvme_ctrlr *c, struct errbuf *eb);
/* Tell it that power may go, and wait for it (3.6.1). */
void nvme_shutdown(struct nvme_ctrlr *c);
/* By a function level reset when disabling does not work. */
int nvme_force_off(struct nvme_ctrlr *c, struct errbuf *eb);
/* A function that somebody else resets (sysfs) reads as zeros until that is over: wait for it. */
void nvme_await_registers(struct nvme_ctrlr *c);

/* nvme_features.c: what nvme_enable() asks for once the admin queue works. */
int nvme_set_features(struct nvme_ctrlr *c, struct errbuf *eb);
/* Shadow doorbells of a queue that is about to be created. */
void nvme_dbbuf_attach(struct nvme_ctrlr *c, struct nvme_qpair *qp);
void nvme_dbbuf_fini(struct nvme_ctrlr *c);

/* nvme_hmb.c */
void nvme_hmb_enable(struct nvme_ctrlr *c);
void nvme_hmb_disable(struct nvme_ctrlr *c);
void nvme_hmb_fini(struct nvme_ctrlr *c);

/* nvme_aer.c */
void nvme_aer_start(struct nvme_ctrlr *c);
/* Of the admin queue, under its lock. */
void nvme_aer_event(void *arg, uint32_t dw0, uint16_t status);
/* The keeper: what has come since. */
void nvme_aer_handle(struct nvme_ctrlr *c);

/* nvme_keeper.c */
int nvme_keeper_start(struct nvme_ctrlr *c);
void nvme_keeper_stop(struct nvme_ctrlr *c);
/* Any thread; never waits. */
void nvme_ctrlr_wake_keeper(struct nvme_ctrlr *c);

/* nvme_recover.c: life_lock is taken inside. */
int nvme_recover_reset(struct nvme_ctrlr *c, bool subsystem, const char *why, struct errbuf *eb);
/* For good: all I/O ends with -EIO. */
void nvme_recover_fail(struct nvme_ctrlr *c, const char *why);

/* nvme_queues.c: I/O queues of the reactors */

/* Room for the PRP list or the SGL of one command. */
uint32_t nvme_queues_list_bytes(const struct nvme_ctrlr_info *info);

/* The queue that @r uses: its own, or when there is none left, another's (*ret_remote). Control
 * thread. */
int nvme_queues_get(struct nvme_ctrlr *c, struct reactor *r, struct nvme_ioq **ret_ioq,
		    bool *ret_remote);
void nvme_queues_put(struct nvme_ctrlr *c, struct nvme_ioq *q);
/* How many there are; they stay until the controller is closed. Any thread. */
unsigned nvme_queues_count(struct nvme_ctrlr *c);
/* fn on each queue's reactor. Set-up thread, or the queues' own reactor. */
void nvme_queues_call(struct nvme_ctrlr *c, void (*fn)(void *ioq));
/* Make all queues known to the device again. life_lock is held. */
int nvme_queues_create_all(struct nvme_ctrlr *c, struct errbuf *eb);
/* All that have been created since the last time begin, and no others. life_lock is held. */
void nvme_queues_thaw(struct nvme_ctrlr *c);
/* The controller has been disabled and has forgotten them. life_lock is held. */
void nvme_queues_lost(struct nvme_ctrlr *c);
/* Off their reactors, and known to no device. */
void nvme_queues_close(struct nvme_ctrlr *c);
/* An I/O command of a set-up thread, on a queue of its own. */
int nvme_queues_exec(struct nvme_ctrlr *c, struct nvme_passthru *cmd);

/* The hardware goes back to whoever made it. life_lock is held. */
void nvme_give_back(struct nvme_ctrlr *c);

/* nvme_ctrlr.c */

/* What it says of itself, as queues and disks need it. */
struct nvme_said {
	struct nvme_cap cap;
	struct nvme_ctrlr_info info;
	uint32_t quirks;
	uint32_t queues;
};

/* A copy that no reset tears. Any thread. */
void nvme_get_said(struct nvme_ctrlr *c, struct nvme_said *ret_said);

void nvme_set_state(struct nvme_ctrlr *c, enum nvme_ctrlr_state state);
/* Any thread. */
void nvme_listen(struct nvme_ctrlr *c, struct nvme_ns_listener *l);
/* Control thread. */
void nvme_unlisten(struct nvme_ns_listener *l);
/* The listeners hear of it on the control thread. */
void nvme_tell_changed(struct nvme_ctrlr *c);
/* The keeper sees to a device that has not answered in time (a reset: what was given up keeps its slot
 * and its data until then), or that answers something else (the end). Other errors are nothing to it. */
void nvme_report(struct nvme_ctrlr *c, int err);
/* -ENODEV unless it is ready. */
int nvme_check_ready(const struct nvme_ctrlr *c);

/* Why it is not ready, and the mend. */
void nvme_explain_state(const struct nvme_ctrlr *c, struct errbuf *eb);

#endif
