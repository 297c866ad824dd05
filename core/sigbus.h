/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of files that somebody else may shrink: instead of dying, go on with zeroes and tell the
 * owner.
 *
 *   reactor touches a page that is gone ─► SIGBUS ─► handler: zero pages over the rest of the range
 *                                                    │
 *                                    owner's eventfd ◄┘ ─► control thread ends the session
 *
 * Only ranges that were added are treated so; a SIGBUS anywhere else ends the process as ever, and
 * so does a hardware memory error.
 */
#ifndef CORE_SIGBUS_H
#define CORE_SIGBUS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Who is told. Must outlive its ranges. */
struct sigbus_owner {
	int fd;		  /* eventfd: readable once something is lost */
	const char *what; /* atomic; the name of the range that was lost last, NULL: none */
};

/* 0 or -errno. */
int sigbus_owner_init(struct sigbus_owner *o);
void sigbus_owner_fini(struct sigbus_owner *o);

/* A mapping of a file. */
struct sigbus_range {
	void *va; /* as mmap returned it */
	size_t len;
	size_t page;		    /* of the file, see sigbus_page_bytes() */
	const char *what;	    /* static, for the log */
	struct sigbus_owner *owner; /* NULL: nobody is told */
};

/* Copies @r. 0 or -ENOMEM. Any thread that does not itself touch a range meanwhile. */
int sigbus_range_add(const struct sigbus_range *r);
/* Before it is unmapped, and when nobody touches it any more. @va was added. */
void sigbus_range_del(const void *va);

/*
 * From now on the handler stands (process-wide). Harmless twice; needed again when somebody else
 * took its place. Before other threads touch ranges. 0 or -errno.
 */
int sigbus_guard_start(void);

/* Page size of the file behind @st: hugetlbfs and memfds announce theirs as the block size. */
size_t sigbus_page_bytes(const struct stat *st);

#endif
