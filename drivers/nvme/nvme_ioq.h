/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I/O queue of one reactor: bios become commands, completions become bios again.
 *
 *   submit ─► slot, entry ─ flush ─► doorbell          poll ─► completion ─► slot ─► bdev_complete
 *      │ no slot, or not running                                  │ error status
 *      └─► waiting, per channel                                   └─► again, at once or after CRD,
 * or an error
 *
 *                 nvme_ioq_share: not enough for all
 *   RUNNING ◄──────────────────────────────────────► SHARED
 *      │          nvme_ioq_pump: enough again          │ ▲
 *      └───────── nvme_ioq_freeze ──────► FROZEN ◄─────┘ │ nvme_ioq_thaw: all that was under way
 *                                           │ └──────────┘ is sent again
 *                                           │ nvme_ioq_kill: all ends with -EIO
 *                                           └──────────────────────────────────► DEAD
 *
 * Whoever competes for a SHARED queue goes by weight; see nvme_ioq_share.c.
 *
 * A command id is a slot and a generation: an answer that comes twice, or late, finds another
 * generation in the slot and shows that the device lies.
 */
#ifndef DRIVERS_NVME_NVME_IOQ_H
#define DRIVERS_NVME_NVME_IOQ_H

#include "core/bdev.h"
#include "core/deadline.h"
#include "core/qos_drr.h"
#include "core/reactor.h"
#include "drivers/nvme/nvme_qpair.h"

struct nvme_ctrlr;
struct nvme_ioq;

#define NVME_RETRIES_MAX	4u    /* of one I/O */
#define NVME_IOQ_LIST_BYTES_MIN 64u   /* room of a command, whatever the device transfers at once */
#define NVME_IOQ_SGL_BYTES_MIN	1024u /* the same with SGLs: 64 descriptors */

/*
 * A channel as its queue sees it, while there is not enough for all. The reactor's of the queue,
 * which touches it only while I/O of the channel is with the driver.
 */
struct nvme_tenant {
	struct qos_tenant drr; /* in the round while something waits */
	struct bio_queue waiting;
	struct list link; /* of share.active, while nios */
	uint32_t nios;	  /* waiting or under way; 0 when the queue is RUNNING */
	uint64_t cost;	  /* under way; the same */
	uint32_t look;	  /* the last one that saw it */
};

/* A namespace as a channel sees it: chan->drv. Made before the channel starts, constant afterwards,
 * but for the tenant. */
struct nvme_target {
	struct nvme_ioq *ioq;
	uint64_t head[2]; /* first 8 bytes of a command without its id: BIO_READ, BIO_WRITE */
	uint64_t first_lba;
	uint8_t shift;
	bool has_deac;
	bool is_remote; /* the queue is another reactor's: bios go there and back by message */
	uint32_t nsid;
	uint64_t disk; /* one bit, of nvme_ctrlr.disks; 0: of more disks than there are bits */
	/* another reactor's line */
	_Alignas(CACHELINE_BYTES) struct nvme_tenant tenant;
};

/* 16 bytes, four to a line. */
struct nvme_slot {
	struct bio *bio; /* NULL: free */
	uint16_t cid;	 /* of this generation */
	uint8_t state;	 /* enum nvme_slot_state */
	uint8_t retries;
	uint8_t age;	 /* ticks under way */
	bool is_aborted; /* an abort was asked for */
	uint16_t unused;
};
static_assert(sizeof(struct nvme_slot) == 16, "stored as two words");

enum nvme_slot_state {
	NVME_SLOT_SENT,
	NVME_SLOT_DELAYED, /* sent again at due_ns */
};

enum nvme_ioq_mode {
	NVME_IOQ_RUNNING,
	NVME_IOQ_SHARED, /* the same, by weight */
	NVME_IOQ_FROZEN,
	NVME_IOQ_DEAD,
};

/* What a queue asks of its controller's keeper; a set. */
enum nvme_ioq_report {
	NVME_REPORT_ABORT = 1u << 0, /* of abort_cid */
	NVME_REPORT_RESET = 1u << 1, /* commands do not end */
	NVME_REPORT_LIE = 1u << 2,   /* a completion that belongs to nothing */
};

/* Who competes. Empty when the queue is RUNNING. */
struct nvme_share {
	struct qos_drr drr;
	struct list active; /* tenants with I/O here */
	uint32_t nactive, nwaiting;
	uint32_t nspare;    /* free ids: nvme_ioq.nfree is 0 then, so that whoever comes waits */
	uint64_t cost;	    /* under way, in units of QOS_COST_BYTES */
	uint64_t needed_ns; /* when somebody last waited beside another one */
	bool is_over;	    /* more is under way than the window allows, of the time before */
	bool is_back;	    /* completions of this turn are not handed back yet */
	/* of the last look */
	uint32_t nlooks;
	unsigned nothers; /* queues of other reactors that have I/O, too */
	uint64_t window;  /* 0: nobody has looked yet */
	uint64_t peak;	  /* the most that was under way since */
};

/* What a queue tells those of other reactors: its look writes, theirs read. Atomic each, and not of
 * one moment: who reads it is wrong for a millisecond at most. */
struct nvme_told {
	_Alignas(CACHELINE_BYTES) uint64_t weights; /* of those active; 0: no I/O */
	uint64_t disks;				    /* theirs, by nvme_target.disk */
	uint64_t cost;				    /* under way */
};

struct nvme_ioq_opts {
	struct nvme_qpair_opts qp;
	uint64_t timeout_ns;
	const uint32_t *retry_ms; /* by CRD */
	bool use_sgl;
	int vector, irq_fd; /* the fd becomes the queue's; -1: polled */
};

struct nvme_ioq {
	/* hot */
	struct nvme_qpair qp;
	struct nvme_slot *slots; /* a power of two, more than depth */
	uint16_t *free;		 /* ids to use next: [0, nfree) */
	uint32_t nfree, slot_mask;
	uint32_t mode; /* enum nvme_ioq_mode */
	struct nvme_xlat xlat;
	struct poller poller;
	/* cold; the reactor's */
	struct nvme_ctrlr *ctrlr;
	struct reactor *reactor;
	struct nvme_share share;
	uint64_t *due_ns; /* by slot */
	struct deadline tick, retry, look;
	uint64_t tick_ns;
	const uint32_t *retry_ms; /* by CRD */
	bool use_sgl;
	uint64_t nretries, ntimeouts, nlies;
	/* written by the reactor, taken by the keeper: atomic */
	uint32_t report;
	uint16_t abort_cid;
	/* control */
	struct reactor_msg start_msg;
	struct nvme_qpair_opts qp_opts;
	int vector, irq_fd; /* -1: polled */
	bool is_created;    /* the device knows it; under ctrlr->life_lock, atomic: the keeper looks without */
	bool is_new;	    /* created, not thawed yet; under ctrlr->life_lock */
	unsigned nusers; /* channels; atomic: the reactor looks */
	struct reactor_msg watch_msg;
	struct nvme_told told; /* a line of its own */
};

/* The queue of @r, frozen, not on its reactor yet, without memory: I/O waits. 0, -ENOMEM. */
int nvme_ioq_create(struct nvme_ctrlr *ctrlr, struct reactor *r, const struct nvme_ioq_opts *opts,
		    struct nvme_ioq **ret_ioq);
/* Its memory, before the first thaw; harmless twice. Set-up thread, keeper. 0, -ENOMEM, or the
 * registry's. */
int nvme_ioq_fill(struct nvme_ioq *q, struct nvme_hw *hw);
/* Off its reactor, and the device does not know it. NULL is fine. */
void nvme_ioq_destroy(struct nvme_ioq *q);

/* On its reactor, or through reactor_call(); arg is the queue. */
void nvme_ioq_attach(void *arg);
void nvme_ioq_detach(void *arg); /* nothing is under way */
void nvme_ioq_freeze(void *arg);
/* The queue is new to the device again (nvme_qpair_reset). */
void nvme_ioq_thaw(void *arg);
/* The device cannot reach memory any more. For good. */
void nvme_ioq_kill(void *arg);

/* Of bdev_ops; any reactor that a channel of the queue is on. */
void nvme_ioq_chan_start(struct bdev_chan *chan);
void nvme_ioq_submit(struct bdev_chan *chan, struct bio *bio);
void nvme_ioq_submit_batch(struct bdev_chan *chan, struct bio_queue *bios);

/* nvme_ioq_life.c, for nvme_ioq.c */

/* @bio has ended; not from within the poll's list of successes. */
void nvme_ioq_end(struct bio *bio, int status);
/* The command in slot @idx has ended with an error status. */
void nvme_ioq_failed(struct nvme_ioq *q, uint32_t idx, uint16_t status);
void nvme_ioq_tell(struct nvme_ioq *q, uint32_t report);
/* The slot is free, its id is used up. */
void nvme_ioq_release(struct nvme_ioq *q, uint32_t idx);
void nvme_ioq_tick(struct deadline *d);
void nvme_ioq_retry(struct deadline *d);

/* nvme_ioq.c, for the other two */

/* Send what is in slot @idx. 0, or -errno: it cannot be sent, ever. */
int nvme_ioq_send(struct nvme_ioq *q, uint32_t idx);
/* Into a slot, of which there is one, and sent; or it ends with an error. */
void nvme_ioq_start(struct nvme_ioq *q, struct bio *bio);
/* The doorbell is rung in this turn. */
void nvme_ioq_mark(struct nvme_ioq *q);

/* nvme_ioq_share.c, for the other two */

void nvme_share_init(struct nvme_share *s);
void nvme_tenant_init(struct nvme_tenant *tn);
/* RUNNING becomes SHARED: what is under way is counted. */
void nvme_ioq_share(struct nvme_ioq *q);
/* @bio waits for its turn; with a RUNNING queue there is no slot, which makes it SHARED. */
void nvme_ioq_wait(struct nvme_ioq *q, struct bio *bio);
/* @bio has left its slot, and has not ended yet. Not of a RUNNING queue. */
void nvme_ioq_left(struct nvme_ioq *q, const struct bio *bio);
/* SHARED: those whose turn it is take what is free; RUNNING again when that has been enough for a
 * while. */
void nvme_ioq_pump(struct nvme_ioq *q);
/* Deadline: is there so much under way that the queue has to be shared, though slots are left? */
void nvme_ioq_look(struct deadline *d);
/* Channels or queues are several, and I/O begins: look from time to time. */
void nvme_ioq_watch(struct nvme_ioq *q);
/* Nothing is under way here, as far as the others are concerned. */
void nvme_ioq_tell_idle(struct nvme_ioq *q);
/* One that waits, NULL: none; nothing is under way. For the end. */
struct bio *nvme_ioq_take(struct nvme_ioq *q);

static inline bool nvme_ioq_is_live(const struct nvme_ioq *q)
{
	return q->mode <= NVME_IOQ_SHARED;
}

#endif
