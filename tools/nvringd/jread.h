/* SPDX-License-Identifier: BSD-3-Clause */
/* A JSON object read strictly into a struct, driven by a table; every error names the key and the reason. */
#ifndef TOOLS_NVRINGD_JREAD_H
#define TOOLS_NVRINGD_JREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

struct json_object;

#define JREAD_WHERE_MAX 256

enum jread_type {
	JREAD_BOOL,  /* bool */
	JREAD_UINT,  /* unsigned, within [min, max] */
	JREAD_SIZE,  /* uint64_t within [min, max]; a number of bytes, or text such as "10G" */
	JREAD_COUNT, /* uint64_t within [min, max], or text such as "10k", 10000; null or "none" is null_value */
	JREAD_BYTES, /* the same, but as text in powers of 1024: "100M" */
	JREAD_MODE,  /* unsigned; text of octal digits, such as "0660" */
	JREAD_TEXT,  /* char[max], not empty, no NUL inside */
	JREAD_TEXT_OR_NULL, /* the same; null is the text null_text */
	JREAD_VALUE, /* struct json_object *, borrowed, any type */
};

struct jread_field {
	const char *key;
	enum jread_type type;
	bool required;
	size_t offset; /* of the member */
	uint64_t min, max;
	const char *null_text;
	uint64_t null_value; /* JREAD_COUNT, JREAD_BYTES: what null stands for */
};

/* Table rows for member @m of struct type @t. */
#define JREAD_ROW_BOOL(t, m, key_) { .key = (key_), .type = JREAD_BOOL, .offset = offsetof(t, m) }
#define JREAD_ROW_UINT(t, m, key_, min_, max_)                                                     \
	{ .key = (key_), .type = JREAD_UINT, .offset = offsetof(t, m), .min = (min_), .max = (max_) }
#define JREAD_ROW_SIZE(t, m, key_, required_)                                                      \
	{ .key = (key_), .type = JREAD_SIZE, .required = (required_), .offset = offsetof(t, m),    \
	  .max = INT64_MAX }
#define JREAD_ROW_COUNT(t, m, key_, min_, max_)                                                    \
	{ .key = (key_), .type = JREAD_COUNT, .offset = offsetof(t, m), .min = (min_), .max = (max_) }
/* null is the default @default_, which need not be within the bounds. */
#define JREAD_ROW_COUNT_OR(t, m, key_, min_, max_, default_)                                       \
	{ .key = (key_), .type = JREAD_COUNT, .offset = offsetof(t, m), .min = (min_), .max = (max_), \
	  .null_value = (default_) }
#define JREAD_ROW_BYTES(t, m, key_, min_, max_)                                                    \
	{ .key = (key_), .type = JREAD_BYTES, .offset = offsetof(t, m), .min = (min_), .max = (max_) }
#define JREAD_ROW_MODE(t, m, key_) { .key = (key_), .type = JREAD_MODE, .offset = offsetof(t, m) }
#define JREAD_ROW_TEXT(t, m, key_, required_)                                                      \
	{ .key = (key_), .type = JREAD_TEXT, .required = (required_), .offset = offsetof(t, m),    \
	  .max = sizeof(((t *)0)->m) }
#define JREAD_ROW_TEXT_OR_NULL(t, m, key_, null_text_)                                             \
	{ .key = (key_), .type = JREAD_TEXT_OR_NULL, .offset = offsetof(t, m),                     \
	  .max = sizeof(((t *)0)->m), .null_text = (null_text_) }
#define JREAD_ROW_VALUE(t, m, key_) { .key = (key_), .type = JREAD_VALUE, .offset = offsetof(t, m) }

/**
 * jread_object - fill the members of @out whose keys are in @obj; the others keep what they hold (the defaults).
 * @where names the object in errors: "" (parameters of a call), "FILE:" (top level), "FILE: exports[1]".
 * 0, or -EINVAL with eb: not an object, unknown key, wrong type, out of range, missing. Pure.
 */
int jread_object(struct json_object *obj, const char *where, const struct jread_field *fields,
		 unsigned nfields, void *out, struct errbuf *eb);

/* "FILE: exports[1]" + "disk" = "FILE: exports[1].disk", by the rule of @where above. Returns @buf. */
const char *jread_join(const char *where, const char *key, char buf[JREAD_WHERE_MAX]);

/* Octal digits, at most 0777. 0 or -EINVAL. */
int jread_mode_parse(const char *text, unsigned *ret_mode);

#endif
