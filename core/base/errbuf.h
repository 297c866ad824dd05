/* SPDX-License-Identifier: BSD-3-Clause */
/* The one line that explains a failed set-up call to its user: what, why, and the mend. */
#ifndef CORE_BASE_ERRBUF_H
#define CORE_BASE_ERRBUF_H

#include "core/base/cc.h"

#define ERRBUF_BYTES_MAX 512

struct errbuf {
	char text[ERRBUF_BYTES_MAX];
};

/**
 * errbuf_set - write the explanation and return @err, so that `return errbuf_set(eb, -EINVAL, …)` reads well.
 * @eb may be NULL (nobody wants to know). Text is cut at ERRBUF_BYTES_MAX; no newline at the end.
 */
int errbuf_set(struct errbuf *eb, int err, const char *fmt, ...) cc_printf(3, 4);

#endif
