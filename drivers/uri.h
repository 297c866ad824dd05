/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows the scheme of a URI: a percent-encoded path and a query of options, checked against
 * a table. */
#ifndef DRIVERS_URI_H
#define DRIVERS_URI_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define URI_OPTS_MAX  16  /* options a driver may have */
#define URI_VALUE_MAX 256 /* characters of one decoded value */

enum uri_kind {
	URI_FLAG,   /* 0 or 1, also off/on, no/yes, false/true */
	URI_NUMBER, /* decimal, min … max */
	URI_SIZE,   /* bytes with K, M, G, T, min … max */
	URI_CHOICE, /* one of choices; the value is its index */
	URI_TEXT,   /* anything but nothing */
};

/* One option. *ret_value keeps what the caller put there when the option is not given. */
struct uri_opt {
	const char *key;
	enum uri_kind kind;
	uint64_t min, max;	    /* NUMBER, SIZE */
	const char *const *choices; /* CHOICE; ends with NULL */
	uint64_t *ret_value;
	char *ret_text; /* TEXT, instead of ret_value: URI_VALUE_MAX bytes */
};

/**
 * uri_size_parse - "4096", "64K", "1G": decimal digits and one of K, M, G, T (powers of 1024,
 * either case). The whole text must match and the result fit into 63 bits. 0 or -EINVAL. Pure.
 */
int uri_size_parse(const char *text, uint64_t *ret_bytes);

/**
 * uri_blocks_parse - the size of a disk that is nothing but a size: @text, in whole blocks of @block bytes, which
 * must be a power of two. 0 or -EINVAL with the reason in @eb. Pure.
 */
int uri_blocks_parse(const char *text, uint64_t block, uint64_t *ret_bytes, struct errbuf *eb);

/* Options of every disk, which the catalogue takes off before a driver sees the rest. */
#define URI_OPT_MERGE "merge"

/**
 * uri_flag_take - @uri without its option @key, a flag, wherever in the query it stands; *ret_value keeps what the
 * caller put there when it is not given. 0; -EINVAL (no flag, given twice), -ENAMETOOLONG with the reason in @eb;
 * nothing is written on error. Pure.
 */
int uri_flag_take(const char *uri, const char *key, char *ret_rest, size_t rest_bytes, uint64_t *ret_value,
		  struct errbuf *eb);

/**
 * uri_parse - "PATH?key=value&key=value" into its path and its options. Pure.
 * %XX is decoded in path and values (a '?' of the path is written %3F); %00 and control characters
 * are refused. Each option at most once; an unknown one is answered with the list of those in
 * @opts. 0; -EINVAL, -ENAMETOOLONG (path or value) with the reason in @eb. Nothing is written on
 * error.
 */
int uri_parse(const char *text, char *ret_path, size_t path_bytes, const struct uri_opt *opts,
	      size_t nopts, struct errbuf *eb);

#endif
