/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds a key that stands twice in one JSON object: json-c keeps the last one and says nothing. */
#ifndef TOOLS_NVRINGD_JDUP_H
#define TOOLS_NVRINGD_JDUP_H

#include <stdbool.h>
#include <stddef.h>

#define JDUP_DEPTH_MAX 32 /* deeper objects are not looked into */
#define JDUP_KEYS_MAX  64 /* of one object; more than any object of ours may have, so a repetition is among them */

struct jdup {
	const char *key; /* as it stands in the text, without the quotes */
	size_t len;
	size_t at; /* where the second one begins */
};

/* @text is known to be valid JSON. True: *ret is the first repetition. Pure. */
bool jdup_find(const char *text, size_t len, struct jdup *ret);

#endif
