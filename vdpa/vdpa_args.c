/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the arguments of a device by one table. A value with commas stands in brackets. */
#include "vdpa/vdpa_args.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/cpulist.h"

#define STOP_MS_MIN   10
#define STOP_MS_MAX   600000
#define RESIZE_S_MAX  3600
#define KEY_SHOWN     32
#define VALUE_MAX     BDEV_URI_MAX

enum kind {
	KIND_TEXT,
	KIND_FLAG,
	KIND_NUMBER,
	KIND_SIZE,
	KIND_CPUS,
	KIND_MODE,
};

struct row {
	const char *key;
	enum kind kind;
	size_t offset;
	uint64_t min, max; /* TEXT: max is the bytes there are */
};

#define AT(member)	     offsetof(struct vdpa_args, member)
#define TEXT(key, member)    { key, KIND_TEXT, AT(member), 0, sizeof(((struct vdpa_args *)0)->member) }
#define RATE(key, id, kind_) { key, KIND_##kind_, AT(limits.rate[QOS_##id].per_sec), 1, UINT64_MAX }
#define BURST(key, id, kind_) { key, KIND_##kind_, AT(limits.rate[QOS_##id].burst), 1, UINT64_MAX }
#define RATES(prefix, ID)                                                                          \
	RATE(prefix "iops", ID##_IOS, NUMBER), BURST(prefix "iops_burst", ID##_IOS, NUMBER),       \
		RATE(prefix "bps", ID##_BYTES, SIZE), BURST(prefix "bps_burst", ID##_BYTES, SIZE)

static const struct row rows[] = {
	TEXT("backend", backend),
	TEXT("disk", disk),
	TEXT("serial", serial),
	{ "cpus", KIND_CPUS, AT(cpus), 0, 0 },
	{ "mode", KIND_MODE, AT(mode), 0, 0 },
	{ "queues", KIND_NUMBER, AT(queues), 1, VDPA_QUEUES_MAX },
	{ "readonly", KIND_FLAG, AT(read_only), 0, 1 },
	{ "packed", KIND_FLAG, AT(packed), 0, 1 },
	{ "widen", KIND_FLAG, AT(widen), 0, 1 },
	{ "resize_s", KIND_NUMBER, AT(resize_s), 0, RESIZE_S_MAX },
	{ "stop_ms", KIND_NUMBER, AT(stop_ms), STOP_MS_MIN, STOP_MS_MAX },
	RATES("", TOTAL),
	RATES("read_", READ),
	RATES("write_", WRITE),
};
static_assert(ARRAY_SIZE(rows) <= 32, "one bit each");

/* "1K" and the like; powers of 1024. */
static int take_number(const char *text, bool has_unit, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned shift;
	char *end;
	uint64_t v;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end && has_unit) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
		if (v > UINT64_MAX >> shift)
			return -EINVAL;
		v <<= shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int store_number(struct vdpa_args *a, const struct row *row, const char *value,
			struct errbuf *eb)
{
	uint64_t v;

	if (take_number(value, row->kind == KIND_SIZE, &v) || v < row->min || v > row->max) {
		if (row->max == UINT64_MAX)
			return errbuf_set(eb, -EINVAL, "%s=%.32s is no %s above 0", row->key, value,
					  row->kind == KIND_SIZE ? "size such as 10M" : "number");
		return errbuf_set(eb, -EINVAL, "%s=%.32s is no number from %llu to %llu", row->key,
				  value, (unsigned long long)row->min, (unsigned long long)row->max);
	}
	memcpy((char *)a + row->offset, &v, sizeof(v));
	return 0;
}

static int store(struct vdpa_args *a, const struct row *row, const char *value, struct errbuf *eb)
{
	struct errbuf why;

	switch (row->kind) {
	case KIND_TEXT:
		if (!value[0])
			return errbuf_set(eb, -EINVAL, "%s= is empty", row->key);
		if (strlen(value) >= row->max)
			return errbuf_set(eb, -EINVAL, "%s=%.32s… is longer than %u characters", row->key,
					  value, (unsigned)row->max - 1);
		memcpy((char *)a + row->offset, value, strlen(value) + 1);
		return 0;
	case KIND_CPUS:
		if (cpulist_parse(value, &a->cpus, &why))
			return errbuf_set(eb, -EINVAL, "cpus: %.200s", why.text);
		a->has_cpus = true;
		return 0;
	case KIND_MODE:
		if (reactor_mode_parse(value, &a->mode))
			return errbuf_set(eb, -EINVAL, "mode=%.32s is neither adaptive, poll nor interrupt", value);
		return 0;
	default:
		return store_number(a, row, value, eb);
	}
}

static const struct row *row_find(const char *key, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strlen(rows[i].key) == len && memcmp(rows[i].key, key, len) == 0)
			return &rows[i];
	}
	return NULL;
}

static int unknown(const char *key, size_t len, struct errbuf *eb)
{
	char list[320] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", rows[i].key);
	return errbuf_set(eb, -EINVAL, "unknown argument \"%.*s\" (known: %s)",
			  (int)CC_MIN(len, (size_t)KEY_SHOWN), key, list);
}

/* The value at *s up to the next comma outside of brackets, into @ret; moves on behind that comma. */
static int take_value(const char **s, char ret[VALUE_MAX], struct errbuf *eb)
{
	const char *from = *s, *end;
	size_t len;

	if (*from == '[') {
		end = strchr(++from, ']');
		if (!end || (end[1] && end[1] != ','))
			return errbuf_set(eb, -EINVAL, "\"%.40s\": the closing bracket is missing",
					  *s);
		*s = end[1] ? end + 2 : end + 1;
	} else {
		end = from + strcspn(from, ",");
		*s = *end ? end + 1 : end;
	}
	len = (size_t)(end - from);
	if (len >= VALUE_MAX)
		return errbuf_set(eb, -EINVAL, "\"%.40s…\" is longer than %d characters", from,
				  VALUE_MAX - 1);
	memcpy(ret, from, len);
	ret[len] = '\0';
	return 0;
}

static int take_pair(const char **s, struct vdpa_args *a, uint32_t *given, struct errbuf *eb)
{
	size_t len = strcspn(*s, "=,");
	const struct row *row = row_find(*s, len);
	char value[VALUE_MAX];
	int err;

	if (!row)
		return unknown(*s, len, eb);
	if ((*s)[len] != '=')
		return errbuf_set(eb, -EINVAL, "%s has no value", row->key);
	if (*given & 1u << (row - rows))
		return errbuf_set(eb, -EINVAL, "%s is given twice", row->key);
	*given |= 1u << (row - rows);
	*s += len + 1;
	err = take_value(s, value, eb);
	return err ? err : store(a, row, value, eb);
}

int vdpa_args_parse(const char *text, struct vdpa_args *ret, struct errbuf *eb)
{
	struct vdpa_args a = {
		.queues = VDPA_QUEUES_DEFAULT,
		.mode = REACTOR_ADAPTIVE,
		.packed = 1,
		.widen = 1,
		.stop_ms = VDPA_STOP_MS_DEFAULT,
	};
	uint32_t given = 0;

	for (const char *c = text; *c; c++) {
		if (iscntrl((unsigned char)*c)) /* what is wrong is said in one line */
			return errbuf_set(eb, -EINVAL, "a control character (%#x) among the arguments",
					  (unsigned char)*c);
	}
	while (*text) {
		int err = take_pair(&text, &a, &given, eb);

		if (err)
			return err;
	}
	if (!a.backend[0])
		return errbuf_set(eb, -EINVAL, "backend=URI is missing (such as backend=file:/srv/disk.img)");
	if (qos_limits_check(&a.limits, eb))
		return -EINVAL;
	*ret = a;
	return 0;
}
