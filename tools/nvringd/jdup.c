/* SPDX-License-Identifier: BSD-3-Clause */
/* One pass over valid JSON: a text that a colon follows is a key of the innermost object. */
#include "tools/nvringd/jdup.h"

#include <string.h>

struct level {
	unsigned nkeys;
	struct {
		const char *key;
		size_t len;
	} keys[JDUP_KEYS_MAX];
};

static bool is_known(const struct level *l, const char *key, size_t len)
{
	for (unsigned i = 0; i < l->nkeys; i++) {
		if (l->keys[i].len == len && memcmp(l->keys[i].key, key, len) == 0)
			return true;
	}
	return false;
}

/* The text that begins behind the quote at @at - 1: index of its closing quote, or @len. */
static size_t text_end(const char *text, size_t at, size_t len)
{
	while (at < len && text[at] != '"')
		at += text[at] == '\\' ? 2 : 1;
	return at < len ? at : len;
}

static bool is_key(const char *text, size_t behind, size_t len)
{
	while (behind < len && memchr(" \t\r\n", text[behind], 4))
		behind++;
	return behind < len && text[behind] == ':';
}

/* A key of @l; true when it is there already. */
static bool add_key(struct level *l, const char *key, size_t len)
{
	if (is_known(l, key, len))
		return true;
	if (l->nkeys < JDUP_KEYS_MAX) {
		l->keys[l->nkeys].key = key;
		l->keys[l->nkeys].len = len;
		l->nkeys++;
	}
	return false;
}

bool jdup_find(const char *text, size_t len, struct jdup *ret)
{
	struct level levels[JDUP_DEPTH_MAX];
	unsigned depth = 0; /* objects and arrays that are open */

	for (size_t at = 0; at < len; at++) {
		size_t end;

		if (text[at] == '{' || text[at] == '[') {
			if (depth < JDUP_DEPTH_MAX)
				levels[depth].nkeys = 0;
			depth++;
		} else if ((text[at] == '}' || text[at] == ']') && depth > 0) {
			depth--;
		}
		if (text[at] != '"')
			continue;
		end = text_end(text, at + 1, len);
		if (depth > 0 && depth <= JDUP_DEPTH_MAX && is_key(text, end + 1, len) &&
		    add_key(&levels[depth - 1], text + at + 1, end - at - 1)) {
			*ret = (struct jdup){ text + at + 1, end - at - 1, at };
			return true;
		}
		at = end;
	}
	return false;
}
