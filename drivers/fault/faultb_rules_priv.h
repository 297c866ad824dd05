/* SPDX-License-Identifier: BSD-3-Clause */
/* The rules of the fault device: text to a checked table, and the decision for one I/O. */
#ifndef DRIVERS_FAULT_FAULTB_RULES_PRIV_H
#define DRIVERS_FAULT_FAULTB_RULES_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/bio.h"
#include "drivers/fault/faultb.h"

enum faultb_end {
	FAULTB_PASS,
	FAULTB_ERROR,
	FAULTB_PATH,
	FAULTB_DROP,
	FAULTB_TORN,
};

/* What happens to one I/O. */
struct faultb_effect {
	enum faultb_end end;
	int error; /* ERROR, PATH, TORN: what is reported, 0 or -errno */
	uint64_t delay_ns;
	uint64_t torn_bytes;
};

struct faultb_rule {
	uint32_t ops;	     /* bit per enum bio_op */
	uint64_t start, end; /* bytes */
	bool has_range;
	uint64_t after, first, every;
	uint64_t chance; /* of 2^64; UINT64_MAX: always */
	uint64_t seed;
	uint64_t for_ns; /* 0: for ever */
	struct faultb_effect effect;
	/* what changes: atomic, shared by all channels */
	uint64_t matches;
	uint64_t since_ns; /* when for_ns began; 0: not yet */
};

struct faultb_rules {
	unsigned refs; /* device and channels; control thread */
	unsigned n;
	struct faultb_rule rule[FAULTB_RULES_MAX];
};

/* 0 or -EINVAL with the reason in @eb. Pure. Counters start at zero. */
int faultb_rules_parse(const char *text, struct faultb_rules *ret, struct errbuf *eb);

/* What the first rule that fires does to @bio; NULL: nothing. Any reactor. */
const struct faultb_effect *faultb_rules_decide(struct faultb_rules *rules, const struct bio *bio);

#endif
