/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An NVMe controller in plain memory. A thread of its own looks at registers and doorbells and does
 * what they say, or what the test wants instead; it counts every rule that the driver breaks.
 */
#ifndef TESTS_UNIT_FAKE_NVME_H
#define TESTS_UNIT_FAKE_NVME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/nvme/nvme_hw.h"
#include "drivers/nvme/nvme_spec.h"

#define FAKE_NVME_QUEUES   8 /* admin, and seven for I/O */
#define FAKE_NVME_NS_MAX   4
#define FAKE_NVME_RULES	   8
#define FAKE_NVME_MAPS	   256
#define FAKE_NVME_HELD	   1024
#define FAKE_NVME_IOVA_OFF 0x1000000000ull /* never IOVA = VA */
#define FAKE_NVME_STRIDE   4u

struct fake_nvme_ns {
	uint64_t blocks; /* 0: not active */
	uint8_t shift;
	uint16_t ms, noiob;
	uint8_t csi;
	bool is_protected;
	uint8_t *data;
	uint64_t data_bytes;
};

enum fake_nvme_deed {
	FAKE_NVME_STATUS,   /* answer with a status, do nothing */
	FAKE_NVME_SILENT,   /* no answer until an abort or a reset */
	FAKE_NVME_TWICE,    /* answer twice */
	FAKE_NVME_BAD_CID,  /* answer with an id that does not exist */
	FAKE_NVME_FREE_CID, /* answer with an id that is not under way */
	FAKE_NVME_CFS,	    /* fatal status instead of an answer */
	FAKE_NVME_VANISH,   /* the device is gone */
};

/* What happens to the next @count commands of @opc, after @skip of them. */
struct fake_nvme_rule {
	bool is_admin, any_opc;
	uint8_t opc;
	unsigned skip, count;
	enum fake_nvme_deed deed;
	uint16_t status;
};

struct fake_nvme_cmd {
	struct nvme_sqe sqe;
	uint16_t qid;
};

struct fake_nvme {
	struct nvme_hw hw;
	struct dma_domain domain;
	/* how it is made; before fake_nvme_start() */
	bool is_mapped;	     /* registers and doorbells are memory, not calls */
	uint16_t mqes;	     /* 0's based */
	uint64_t cap_extra;  /* or-ed to CAP */
	uint8_t cap_to;	     /* CAP.TO; 0: so long that no machine is too busy */
	uint16_t queues_max; /* I/O queues it gives */
	uint8_t mdts, vwc, sqes, cqes, acl, aerl;
	uint16_t oncs, oacs, crdt[3];
	uint32_t sgls, hmpre;
	unsigned nvectors;
	struct fake_nvme_ns ns[FAKE_NVME_NS_MAX];
	void (*lie)(struct fake_nvme *f, uint8_t cns, uint32_t nsid,
		    uint8_t *page); /* changes what Identify says */
	/* how it fails; any time, atomic */
	bool never_ready, cfs_at_enable, never_stops, abort_refused, abort_useless, shuffles,
		no_reset, no_shutdown;
	unsigned zero_reads; /* so many reads of registers find zeros: somebody else resets it */
	bool event_wanted;   /* shadow doorbells: it sleeps, and wants to be told */
	struct fake_nvme_rule rules[FAKE_NVME_RULES];
	/* what it saw; under lock, or when it is stopped */
	unsigned violations, ncompleted, nreads, nwrites, nflushes, nzeroes, nranges, nfua, nsgl,
		ndeac;
	unsigned nenables, nshutdowns, naborts, nhmb, nresets, nclosed, nmmio_reads, nirqs;
	unsigned sq_doorbells, cq_doorbells;
	unsigned largest; /* blocks of one command */
	bool hmb_on, dbbuf_on;
	char what[128]; /* the last violation */
	/* its own */
	pthread_mutex_t lock;
	pthread_t thread;
	bool has_thread, stop, is_gone, was_enabled;
	unsigned nsteps; /* atomic: of the thread */
	uint32_t regs[NVME_REG_DOORBELLS / 4];
	uint32_t db[2 * FAKE_NVME_QUEUES];
	struct fake_nvme_sq {
		uint64_t addr;
		uint32_t size, head;
		uint16_t cqid;
	} sq[FAKE_NVME_QUEUES];
	struct fake_nvme_cq {
		uint64_t addr;
		uint32_t size, tail;
		bool phase, ien;
		uint16_t vector;
	} cq[FAKE_NVME_QUEUES];
	uint64_t shadow, event;			   /* pages, when DBBUF is on */
	struct fake_nvme_cmd held[FAKE_NVME_HELD]; /* silent */
	unsigned nheld;
	struct fake_nvme_cmd aer[8];
	unsigned naer;
	uint32_t events[8];
	unsigned nevents;
	struct {
		uint64_t va, len;
	} map[FAKE_NVME_MAPS];
	unsigned nmaps;
	pthread_mutex_t map_lock;
	int fds[64], fds_at_enable[64];
	unsigned nfds, nfds_at_enable;
};

/* A controller with one namespace of @blocks blocks of 512 bytes. */
void fake_nvme_init(struct fake_nvme *f, uint64_t blocks);
/* Another one; nsid is its place. */
void fake_nvme_add_ns(struct fake_nvme *f, unsigned nsid, uint64_t blocks, uint8_t shift);
void fake_nvme_start(struct fake_nvme *f);
/* Stops, frees; returns how many rules were broken. */
unsigned fake_nvme_fini(struct fake_nvme *f);

/* Any time */
void fake_nvme_rule(struct fake_nvme *f, struct fake_nvme_rule rule);
/* Answers an event request, now or when there is one. */
void fake_nvme_event(struct fake_nvme *f, uint32_t dw0);
void fake_nvme_resize_ns(struct fake_nvme *f, unsigned nsid, uint64_t blocks);
/* Gone from the bus: all ones. @tells: and removal_fd says so. */
void fake_nvme_remove(struct fake_nvme *f, bool tells);
/* All that is silent so far is answered as if nothing had been. */
void fake_nvme_release(struct fake_nvme *f);
/* The same for the @n oldest, 1..nheld; the nsid of each in the order they came, which may be NULL.
 */
void fake_nvme_answer(struct fake_nvme *f, unsigned n, uint8_t *ret_nsids);

/* Waits until its thread has looked at everything. */
void fake_nvme_keep_up(struct fake_nvme *f);
/* From the next reset on, and CAP.TO is 2 s. */
void fake_nvme_never_ready(struct fake_nvme *f);

/* One of its counters, while it runs. */
unsigned fake_nvme_count(struct fake_nvme *f, const unsigned *counter);

/* One look at everything, by the calling thread; for those that start no thread. Returns the work
 * done. */
unsigned fake_nvme_step(struct fake_nvme *f);

#endif
