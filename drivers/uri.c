/* SPDX-License-Identifier: BSD-3-Clause */
/* What follows the scheme of a URI: path, query, percent-decoding, the table of options. */
#include "drivers/uri.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cc.h"

#define KEY_MAX	 32  /* characters of a key; longer is unknown anyway */
#define KEYS_MAX 256 /* the list of known keys in an error line */

/* Digits up to the first other character, without overflow past 63 bits. */
static int digits_parse(const char *text, const char **ret_end, uint64_t *ret)
{
	const char *p = text;
	uint64_t v = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t d = (uint64_t)(*p - '0');

		if (v > ((uint64_t)INT64_MAX - d) / 10)
			return -EINVAL;
		v = v * 10 + d;
	}
	if (p == text)
		return -EINVAL;
	*ret_end = p;
	*ret = v;
	return 0;
}

int uri_size_parse(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGTkmgt";
	const char *end, *unit;
	unsigned shift = 0;
	uint64_t v;
	int err = digits_parse(text, &end, &v);

	if (err)
		return err;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || (end[1] && strcmp(end + 1, "i") != 0))
			return -EINVAL;
		shift = 10 * ((unsigned)(unit - units) % 4 + 1);
	}
	if (v > (uint64_t)INT64_MAX >> shift)
		return -EINVAL;
	*ret_bytes = v << shift;
	return 0;
}

int uri_blocks_parse(const char *text, uint64_t block, uint64_t *ret_bytes, struct errbuf *eb)
{
	uint64_t bytes;

	if (!CC_IS_POW2(block))
		return errbuf_set(eb, -EINVAL, "option block: a power of two is expected");
	if (uri_size_parse(text, &bytes) || !bytes || bytes % block)
		return errbuf_set(eb, -EINVAL,
				  "bad size '%s': a multiple of %llu bytes is expected, such as 64M", text,
				  (unsigned long long)block);
	*ret_bytes = bytes;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The @len characters at @text without their percent-encoding, NUL-terminated. */
static int decode(const char *text, size_t len, char *ret, size_t ret_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int hi = len - i > 2 ? hex_digit(text[i + 1]) : -1;
			int lo = hi >= 0 ? hex_digit(text[i + 2]) : -1;

			if (lo < 0)
				return -EINVAL;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return -EINVAL;
		if (n + 1 >= ret_bytes)
			return -ENAMETOOLONG;
		ret[n++] = c;
	}
	ret[n] = '\0';
	return 0;
}

static int flag_parse(const char *value, uint64_t *ret)
{
	static const char *const words[][4] = {
		{ "0", "off", "no", "false" },
		{ "1", "on", "yes", "true" },
	};

	for (unsigned v = 0; v < 2; v++) {
		for (unsigned i = 0; i < 4; i++) {
			if (!strcmp(value, words[v][i])) {
				*ret = v;
				return 0;
			}
		}
	}
	return -EINVAL;
}

static int choice_parse(const struct uri_opt *o, const char *value, uint64_t *ret)
{
	for (unsigned i = 0; o->choices[i]; i++) {
		if (!strcmp(value, o->choices[i])) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int number_parse(const struct uri_opt *o, const char *value, uint64_t *ret)
{
	const char *end;
	uint64_t v;
	int err;

	if (o->kind == URI_SIZE) {
		err = uri_size_parse(value, &v);
	} else {
		err = digits_parse(value, &end, &v);
		if (!err && *end)
			err = -EINVAL;
	}
	if (err || v < o->min || v > o->max)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* What the user may write for @o, for the error line. */
static int value_bad(const struct uri_opt *o, const char *value, struct errbuf *eb)
{
	char list[KEYS_MAX] = "";
	size_t n = 0;

	switch (o->kind) {
	case URI_FLAG:
		return errbuf_set(eb, -EINVAL, "option %s=%s: 0 or 1 is expected", o->key, value);
	case URI_NUMBER:
		return errbuf_set(eb, -EINVAL,
				  "option %s=%s: a number from %llu to %llu is expected", o->key,
				  value, (unsigned long long)o->min, (unsigned long long)o->max);
	case URI_SIZE:
		return errbuf_set(eb, -EINVAL,
				  "option %s=%s: a size from %llu to %llu bytes is expected "
				  "(K, M, G, T are understood)",
				  o->key, value, (unsigned long long)o->min,
				  (unsigned long long)o->max);
	case URI_TEXT:
		return errbuf_set(eb, -EINVAL, "option '%s' needs a value (%s=…)", o->key, o->key);
	case URI_CHOICE:
		break;
	}
	for (unsigned i = 0; o->choices[i] && n < sizeof(list) - 1; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
				      o->choices[i]);
	return errbuf_set(eb, -EINVAL, "option %s=%s: one of %s is expected", o->key, value, list);
}

static int value_parse(const struct uri_opt *o, const char *value, uint64_t *ret, struct errbuf *eb)
{
	int err = -EINVAL;

	switch (o->kind) {
	case URI_FLAG:
		err = flag_parse(value, ret);
		break;
	case URI_NUMBER:
	case URI_SIZE:
		err = number_parse(o, value, ret);
		break;
	case URI_CHOICE:
		err = choice_parse(o, value, ret);
		break;
	case URI_TEXT:
		err = value[0] ? 0 : -EINVAL;
		break;
	}
	return err ? value_bad(o, value, eb) : 0;
}

static int key_unknown(const char *key, size_t len, const struct uri_opt *opts, size_t nopts,
		       struct errbuf *eb)
{
	char list[KEYS_MAX] = "";
	size_t n = 0;

	for (size_t i = 0; i < nopts && n < sizeof(list) - 1; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s, ", opts[i].key);
	if (n < sizeof(list) - 1)
		(void)snprintf(list + n, sizeof(list) - n, URI_OPT_MERGE);
	return errbuf_set(eb, -EINVAL, "unknown option '%.*s' (known: %s)",
			  (int)CC_MIN(len, KEY_MAX), key, list);
}

static const struct uri_opt *opt_find(const char *key, size_t len, const struct uri_opt *opts,
				      size_t nopts)
{
	for (size_t i = 0; i < nopts; i++) {
		if (strlen(opts[i].key) == len && !memcmp(opts[i].key, key, len))
			return &opts[i];
	}
	return NULL;
}

struct staged {
	uint64_t value[URI_OPTS_MAX];
	const char *encoded[URI_OPTS_MAX]; /* of a TEXT, checked */
	size_t encoded_len[URI_OPTS_MAX];
	bool is_set[URI_OPTS_MAX];
};

/* One "key=value" of @len characters. */
static int pair_parse(const char *pair, size_t len, const struct uri_opt *opts, size_t nopts,
		      struct staged *st, struct errbuf *eb)
{
	const char *eq = memchr(pair, '=', len);
	size_t key_len = eq ? (size_t)(eq - pair) : len;
	const struct uri_opt *o = opt_find(pair, key_len, opts, nopts);
	char value[URI_VALUE_MAX];
	size_t idx;
	int err;

	if (!o)
		return key_unknown(pair, key_len, opts, nopts, eb);
	if (!eq)
		return errbuf_set(eb, -EINVAL, "option '%s' needs a value (%s=…)", o->key, o->key);
	idx = (size_t)(o - opts);
	if (st->is_set[idx])
		return errbuf_set(eb, -EINVAL, "option '%s' is given twice", o->key);
	err = decode(eq + 1, len - key_len - 1, value, sizeof(value));
	if (err)
		return errbuf_set(eb, err, "option '%s': bad percent-encoding or too long", o->key);
	err = value_parse(o, value, &st->value[idx], eb);
	if (err)
		return err;
	st->encoded[idx] = eq + 1;
	st->encoded_len[idx] = len - key_len - 1;
	st->is_set[idx] = true;
	return 0;
}

static void value_store(const struct uri_opt *o, const struct staged *st, size_t idx)
{
	if (o->kind == URI_TEXT)
		(void)decode(st->encoded[idx], st->encoded_len[idx], o->ret_text, URI_VALUE_MAX);
	else
		*o->ret_value = st->value[idx];
}

int uri_flag_take(const char *uri, const char *key, char *ret_rest, size_t rest_bytes, uint64_t *ret_value,
		  struct errbuf *eb)
{
	const struct uri_opt opt = { key, URI_FLAG, 0, 1, NULL, ret_value };
	size_t left = strcspn(uri, "?"), nleft = 0, key_len = strlen(key);
	struct staged st = { 0 };
	const char *p = uri + left;
	int err;

	if (strlen(uri) >= rest_bytes)
		return errbuf_set(eb, -ENAMETOOLONG, "longer than %zu characters", rest_bytes - 1);
	/* what stays is never longer than what was read of it: one pass to check, one to write */
	while (*p) {
		size_t len = strcspn(++p, "&");

		if (strcspn(p, "=&") == key_len && !memcmp(p, key, key_len)) {
			err = pair_parse(p, len, &opt, 1, &st, eb);
			if (err)
				return err;
		}
		p += len;
	}
	memcpy(ret_rest, uri, left);
	for (p = uri + left; *p;) {
		size_t len = strcspn(++p, "&");

		if (strcspn(p, "=&") != key_len || memcmp(p, key, key_len)) {
			ret_rest[left++] = nleft++ ? '&' : '?';
			memcpy(ret_rest + left, p, len);
			left += len;
		}
		p += len;
	}
	ret_rest[left] = '\0';
	if (st.is_set[0])
		*ret_value = st.value[0];
	return 0;
}

int uri_parse(const char *text, char *ret_path, size_t path_bytes, const struct uri_opt *opts,
	      size_t nopts, struct errbuf *eb)
{
	size_t path_len = strcspn(text, "?");
	struct staged st = { 0 };
	char path[PATH_MAX];
	const char *p;
	int err;

	assert(nopts <= URI_OPTS_MAX && path_bytes);
	err = decode(text, path_len, path, CC_MIN(sizeof(path), path_bytes));
	if (err == -ENAMETOOLONG)
		return errbuf_set(eb, err, "longer than %zu characters",
				  CC_MIN(sizeof(path), path_bytes) - 1);
	if (err)
		return errbuf_set(eb, err, "bad percent-encoding (%%XX), or a control character");
	for (p = text + path_len; *p;) { /* at a '?' or '&' */
		size_t len = strcspn(++p, "&");

		err = pair_parse(p, len, opts, nopts, &st, eb);
		if (err)
			return err;
		p += len;
	}
	for (size_t i = 0; i < nopts; i++) {
		if (st.is_set[i])
			value_store(&opts[i], &st, i);
	}
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}
