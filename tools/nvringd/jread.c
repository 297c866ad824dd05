/* SPDX-License-Identifier: BSD-3-Clause */
/* Table-driven reading of JSON objects. */
#include "tools/nvringd/jread.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/uri.h"
#include "tools/shared/size.h"

const char *jread_join(const char *where, const char *key, char buf[JREAD_WHERE_MAX])
{
	size_t n = strlen(where);
	const char *sep = n == 0 ? "" : where[n - 1] == ':' ? " " : ".";

	snprintf(buf, JREAD_WHERE_MAX, "%.150s%s%.80s", where, sep, key);
	return buf;
}

int jread_mode_parse(const char *text, unsigned *ret_mode)
{
	unsigned long v;
	char *end;

	if (text[0] < '0' || text[0] > '7')
		return -EINVAL;
	v = strtoul(text, &end, 8);
	if (*end || v > 0777)
		return -EINVAL;
	*ret_mode = (unsigned)v;
	return 0;
}

/* What was found, short enough for one line. */
static const char *describe(struct json_object *v, char buf[64])
{
	if (json_object_is_type(v, json_type_object))
		return "an object";
	if (json_object_is_type(v, json_type_array))
		return "an array";
	snprintf(buf, 64, "%.60s", json_object_to_json_string(v));
	return buf;
}

/* A whole number that is not negative and not cut off by the 64 bits of json-c. */
static int read_number(struct json_object *v, uint64_t *ret)
{
	if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
		return -EINVAL;
	*ret = json_object_get_uint64(v);
	return 0;
}

static int read_uint(const struct jread_field *f, struct json_object *v, void *member,
		     struct errbuf *eb)
{
	char buf[64];
	uint64_t n;

	if (read_number(v, &n) || n < f->min || n > f->max)
		return errbuf_set(eb, -EINVAL,
				  "must be a number from %" PRIu64 " to %" PRIu64 ", not %s",
				  f->min, f->max, describe(v, buf));
	*(unsigned *)member = (unsigned)n;
	return 0;
}

static int read_size(const struct jread_field *f, struct json_object *v, void *member,
		     struct errbuf *eb)
{
	char buf[64];
	uint64_t n;
	int err;

	if (json_object_is_type(v, json_type_string))
		err = uri_size_parse(json_object_get_string(v), &n);
	else
		err = read_number(v, &n);
	if (err || n < f->min || n > f->max)
		return errbuf_set(eb, -EINVAL,
				  "must be a number of bytes or a text such as \"10G\", not %s",
				  describe(v, buf));
	*(uint64_t *)member = n;
	return 0;
}

static bool is_none(struct json_object *v)
{
	return json_object_is_type(v, json_type_null) ||
	       (json_object_is_type(v, json_type_string) &&
		strcmp(json_object_get_string(v), "none") == 0);
}

/* JREAD_COUNT and JREAD_BYTES. */
static int read_amount(const struct jread_field *f, struct json_object *v, void *member,
		       struct errbuf *eb)
{
	bool is_bytes = f->type == JREAD_BYTES;
	uint64_t n = 0;
	char buf[64];
	int err;

	if (is_none(v)) {
		*(uint64_t *)member = f->null_value;
		return 0;
	}
	if (!json_object_is_type(v, json_type_string))
		err = read_number(v, &n);
	else if (is_bytes)
		err = uri_size_parse(json_object_get_string(v), &n);
	else
		err = size_count_parse(json_object_get_string(v), &n);
	if (err || n < f->min || n > f->max)
		return errbuf_set(eb, -EINVAL,
				  "must be a number from %" PRIu64 " to %" PRIu64
				  "%s, or null for %s, not %s",
				  f->min, f->max, is_bytes ? ", a text such as \"100M\"" : "",
				  f->null_value ? "the default" : "none", describe(v, buf));
	*(uint64_t *)member = n;
	return 0;
}

static int read_text(const struct jread_field *f, struct json_object *v, void *member,
		     struct errbuf *eb)
{
	const char *s = json_object_get_string(v);
	char buf[64];
	size_t len;

	if (!json_object_is_type(v, json_type_string))
		return errbuf_set(eb, -EINVAL, "must be a text, not %s", describe(v, buf));
	len = (size_t)json_object_get_string_len(v);
	if (len == 0)
		return errbuf_set(eb, -EINVAL, "must not be empty");
	if (strlen(s) != len)
		return errbuf_set(eb, -EINVAL, "must not contain a NUL character");
	if (len >= f->max)
		return errbuf_set(eb, -EINVAL, "longer than %" PRIu64 " characters", f->max - 1);
	memcpy(member, s, len + 1);
	return 0;
}

static int read_mode(struct json_object *v, void *member, struct errbuf *eb)
{
	char buf[64];

	if (!json_object_is_type(v, json_type_string) ||
	    jread_mode_parse(json_object_get_string(v), member))
		return errbuf_set(eb, -EINVAL,
				  "must be a text of octal digits such as \"0660\", not %s",
				  describe(v, buf));
	return 0;
}

static int read_field(const struct jread_field *f, struct json_object *v, void *out,
		      struct errbuf *eb)
{
	void *member = (char *)out + f->offset;
	char buf[64];

	switch (f->type) {
	case JREAD_BOOL:
		if (!json_object_is_type(v, json_type_boolean))
			return errbuf_set(eb, -EINVAL, "must be true or false, not %s",
					  describe(v, buf));
		*(bool *)member = json_object_get_boolean(v);
		return 0;
	case JREAD_UINT:
		return read_uint(f, v, member, eb);
	case JREAD_SIZE:
		return read_size(f, v, member, eb);
	case JREAD_COUNT:
	case JREAD_BYTES:
		return read_amount(f, v, member, eb);
	case JREAD_MODE:
		return read_mode(v, member, eb);
	case JREAD_TEXT_OR_NULL:
		if (json_object_is_type(v, json_type_null)) {
			snprintf(member, f->max, "%s", f->null_text);
			return 0;
		}
		return read_text(f, v, member, eb);
	case JREAD_TEXT:
		return read_text(f, v, member, eb);
	case JREAD_VALUE:
		*(struct json_object **)member = v;
		return 0;
	}
	return -EINVAL;
}

static const struct jread_field *find_field(const struct jread_field *fields, unsigned nfields,
					    const char *key)
{
	for (unsigned i = 0; i < nfields; i++) {
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	}
	return NULL;
}

static int unknown_key(const char *where, const char *key, const struct jread_field *fields,
		       unsigned nfields, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX], known[320] = "";
	size_t n = 0;

	for (unsigned i = 0; i < nfields && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
				      fields[i].key);
	return errbuf_set(eb, -EINVAL, "%s: unknown key (known: %s)", jread_join(where, key, full),
			  nfields ? known : "none");
}

int jread_object(struct json_object *obj, const char *where, const struct jread_field *fields,
		 unsigned nfields, void *out, struct errbuf *eb)
{
	size_t n = strlen(where);
	char full[JREAD_WHERE_MAX];
	struct errbuf why;

	if (!json_object_is_type(obj, json_type_object))
		return errbuf_set(eb, -EINVAL, "%s%s must be an object", n ? where : "params",
				  n && where[n - 1] != ':' ? ":" : "");
	json_object_object_foreach(obj, key, value) {
		const struct jread_field *f = find_field(fields, nfields, key);

		if (!f)
			return unknown_key(where, key, fields, nfields, eb);
		if (read_field(f, value, out, &why))
			return errbuf_set(eb, -EINVAL, "%s: %.200s", jread_join(where, key, full),
					  why.text);
	}
	for (unsigned i = 0; i < nfields; i++) {
		if (fields[i].required && !json_object_object_get_ex(obj, fields[i].key, NULL))
			return errbuf_set(eb, -EINVAL, "%s: missing",
					  jread_join(where, fields[i].key, full));
	}
	return 0;
}
