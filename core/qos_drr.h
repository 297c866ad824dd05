/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose I/O goes next to an SSD that several disks share: by weight, deficit round robin. Pure. */
#ifndef CORE_QOS_DRR_H
#define CORE_QOS_DRR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/bio.h"

#define QOS_WEIGHT_MAX	   1000 /* 1..this; twice the weight, twice the share */
#define QOS_WEIGHT_DEFAULT 100

/* What I/O costs, in units of 4 KiB. */
#define QOS_COST_BYTES 4096
#define QOS_COST_NODATA_MAX \
	32 /* DISCARD and WRITE_ZEROES: 128 KiB, the cap that limits have, too */
#define QOS_COST_MAX (UINT32_C(1) << 20) /* 4 GiB: more than any device takes at once */

/* Who competes. Storage is the user's; all of one qos_drr on one reactor. */
struct qos_tenant {
	struct list link; /* in the round, while it has something to send */
	uint64_t deficit; /* what it may still send, in units of cost by QOS_WEIGHT_DEFAULT */
	uint32_t head;	  /* cost of its next I/O; 0: it has none and is not in the round */
	uint16_t weight;
	uint16_t nparts;  /* of something that has the weight: this is one of them */
	bool fed; /* has had its weight on this visit */
};

struct qos_drr {
	struct list round; /* the first one's turn it is */
	unsigned ntenants; /* in the round */
};

/*
 * qos_drr_cost - READ and WRITE: the bytes in units of 4 KiB, rounded up; DISCARD and WRITE_ZEROES
 * the same, at most QOS_COST_NODATA_MAX; FLUSH: 1. At least 1, at most QOS_COST_MAX. An estimate:
 * reads cost what writes do.
 */
uint32_t qos_drr_cost(enum bio_op op, uint64_t bytes);

void qos_drr_init(struct qos_drr *d);
void qos_tenant_init(struct qos_tenant *t, uint16_t weight);

/* From its next visit on; what it has saved up stays. */
void qos_tenant_set_weight(struct qos_tenant *t, uint16_t weight);
/* The weight is that of @nparts (1 at first, or more) tenants together, in as many rounds: this one counts for its part. */
void qos_tenant_set_parts(struct qos_tenant *t, uint16_t nparts);

/**
 * qos_drr_attach - @t, which had nothing to send, now has: its next I/O costs @head
 * (1..QOS_COST_MAX). It comes in as the last of the round, and without savings: idling earns
 * nothing.
 */
void qos_drr_attach(struct qos_drr *d, struct qos_tenant *t, uint32_t head);

/* @t has nothing to send any more, or is closed. Harmless when it is not in the round. */
void qos_drr_detach(struct qos_drr *d, struct qos_tenant *t);

/**
 * qos_drr_next - whose next I/O is to go; NULL when nobody has any. Asking again without
 * qos_drr_sent() gives the same answer. Looks at each tenant four times at most, whatever the costs and
 * weights.
 */
struct qos_tenant *qos_drr_next(struct qos_drr *d);

/**
 * qos_drr_sent - the I/O of @t, which is what qos_drr_next() gave, has gone.
 * @head: the cost of the one behind it, 0 when there is none (@t is then detached).
 */
void qos_drr_sent(struct qos_drr *d, struct qos_tenant *t, uint32_t head);

#endif
