/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands that go wrong by rules.
 *
 *   RULE = PART[,PART…]           every PART at most once, exactly one effect (delay goes with
 * others)
 *
 *   which command
 *     op=read|write|flush|…|any|0xNN   several joined by '+'; names of admin commands begin with
 * admin-   (any) queue=admin|io|N              by queue (any) ns=N                          by
 * namespace lba=FROM-TO                   touches blocks FROM to TO (excluded); TO may be left out
 *   how often; counted over the commands that match
 *     after=N first=N every=N p=10%|0.1 seed=N
 *   effect
 *     delay=5ms                     executed so much later (ns, us, ms, s; 1 h at most)
 *     status=NAME|0xSCTSC           fails with it and is not executed, e.g. status=read-error or
 * status=0x281 dnr, crd=1..3                 with status: do not retry; retry after the delay CRDTn
 *     drop                          never answered
 *     dup                           answered twice
 *     badcid                        answered under a command id that nobody gave
 *     cfs                           controller fatal status
 *     hang                          nothing is answered any more, until the controller is reset
 *     remove                        the device is gone: registers read all ones
 */
#ifndef TOOLS_SSD_SSD_FAULT_H
#define TOOLS_SSD_SSD_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "tools/ssd/ssd.h"

enum ssd_fault_end {
	SSD_FAULT_PASS,
	SSD_FAULT_STATUS,
	SSD_FAULT_DROP,
	SSD_FAULT_DUP,
	SSD_FAULT_BADCID,
	SSD_FAULT_CFS,
	SSD_FAULT_HANG,
	SSD_FAULT_REMOVE,
};

struct ssd_fault_effect {
	enum ssd_fault_end end;
	uint16_t status;
	uint64_t delay_ns;
};

/* What rules look at in a command. */
struct ssd_fault_io {
	uint16_t qid;
	uint8_t opc;
	uint32_t nsid;
	uint64_t lba, nblocks; /* 0 blocks: touches none */
};

#define SSD_FAULT_TEXT_MAX 256

struct ssd_fault_rule {
	uint32_t id;	       /* from 1, for those who remove it again */
	uint64_t admin_ops[4]; /* a bit per opcode */
	uint64_t io_ops[4];
	int32_t qid;   /* -1: any; -2: any I/O queue */
	uint32_t nsid; /* 0: any */
	bool has_range;
	uint64_t from, to;
	uint64_t after, first, every, chance, seed;
	struct ssd_fault_effect effect;
	uint64_t matches, fired;
	char text[SSD_FAULT_TEXT_MAX];
};

struct ssd_faults {
	struct ssd_fault_rule rule[SSD_FAULTS_MAX];
	unsigned n;
	uint32_t last_id;
};

/* Behind the others. 0 and the rule's id, or -EINVAL, -ENOSPC with eb. */
int ssd_fault_add(struct ssd_faults *f, const char *text, uint32_t *ret_id, struct errbuf *eb);
/* 0 or -ENOENT. */
int ssd_fault_remove(struct ssd_faults *f, uint32_t id);
/* What the first rule that fires does; NULL: nothing. */
const struct ssd_fault_effect *ssd_fault_decide(struct ssd_faults *f,
						const struct ssd_fault_io *io);

#endif
