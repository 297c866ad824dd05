/* SPDX-License-Identifier: BSD-3-Clause */
/* The one line that explains a failed set-up call to its user: what, why, and the mend. */
#ifndef CORE_BASE_ERRBUF_H
#define CORE_BASE_ERRBUF_H

#include "core/base/cc.h"

#define ERRBUF_BYTES_MAX 512

struct errbuf {
	char text[ERRBUF_BYTES_MAX];
};

/* Write the explanation; @eb may be NULL (nobody wants to know). Cut at ERRBUF_BYTES_MAX; no newline at the end. */
void errbuf_write(struct errbuf *eb, const char *fmt, ...) cc_printf(2, 3);

/* errbuf_set(eb, -EINVAL, "…", …): write the explanation and give the error back. A macro, so that the
 * compiler sees that the value is an error. */
#define errbuf_set(eb, err, ...)                                                                   \
	__extension__({                                                                            \
		int errbuf_err_ = (err);                                                           \
		errbuf_write((eb), __VA_ARGS__);                                                   \
		errbuf_err_;                                                                       \
	})

#endif
