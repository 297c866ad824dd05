/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits and scheduling: merged, and to and from JSON and the core. */
#include "tools/nvringd/config_qos.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cc.h"

struct all {
	struct config_qos qos;
};

/* The first CONFIG_LIMITS_NROWS are those of the limits. */
static const struct jread_field rows[] = { CONFIG_QOS_ROWS(struct all, qos) };
static_assert(ARRAY_SIZE(rows) == CONFIG_QOS_NROWS, "as many as other tables make room for");

static void merge_number(uint64_t *to, uint64_t named)
{
	if (named != CONFIG_QOS_KEEP)
		*to = named;
}

void config_limits_merge(struct qos_limits *lim, const struct qos_limits *named)
{
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		merge_number(&lim->rate[id].per_sec, named->rate[id].per_sec);
		if (named->rate[id].per_sec == 0)
			lim->rate[id].burst = 0;
		merge_number(&lim->rate[id].burst, named->rate[id].burst);
	}
	merge_number(&lim->min_ios, named->min_ios);
	merge_number(&lim->min_bytes, named->min_bytes);
}

void config_qos_merge(struct config_qos *q, const struct config_qos *named)
{
	config_limits_merge(&q->limits, &named->limits);
	merge_number(&q->weight, named->weight);
	merge_number(&q->latency_us, named->latency_us);
	merge_number(&q->read_deadline_us, named->read_deadline_us);
	merge_number(&q->write_deadline_us, named->write_deadline_us);
	merge_number(&q->path_timeout_ms, named->path_timeout_ms);
	if (!named->group[0])
		return;
	if (strcmp(named->group, CONFIG_QOS_GROUP_NONE) == 0)
		q->group[0] = '\0';
	else
		snprintf(q->group, sizeof(q->group), "%s", named->group);
}

void config_qos_to_core(const struct config_qos *q, struct qos_group *group, struct qos_conf *ret)
{
	*ret = (struct qos_conf){
		.limits = q->limits,
		.group = group,
		.latency_ns = q->latency_us * 1000,
		.weight = (uint16_t)q->weight,
	};
}

void config_qos_from_core(const struct qos_conf *conf, struct config_qos *ret)
{
	*ret = (struct config_qos){
		.limits = conf->limits,
		.weight = conf->weight == QOS_WEIGHT_DEFAULT ? 0 : conf->weight,
		.latency_us = conf->latency_ns / 1000,
	};
	if (conf->group)
		snprintf(ret->group, sizeof(ret->group), "%s", qos_group_name(conf->group));
}

static void build_rows(const struct all *from, unsigned nrows, struct json_object *obj)
{
	for (unsigned i = 0; i < nrows; i++) {
		const char *member = (const char *)from + rows[i].offset;
		uint64_t n;

		if (rows[i].type == JREAD_TEXT_OR_NULL) {
			if (member[0])
				json_object_object_add(obj, rows[i].key,
						       json_object_new_string(member));
			continue;
		}
		memcpy(&n, member, sizeof(n));
		if (n != rows[i].null_value)
			json_object_object_add(obj, rows[i].key, json_object_new_uint64(n));
	}
}

void config_limits_build(const struct qos_limits *lim, struct json_object *obj)
{
	struct all from = { .qos.limits = *lim };

	build_rows(&from, CONFIG_LIMITS_NROWS, obj);
}

void config_qos_build(const struct config_qos *q, struct json_object *obj)
{
	struct all from = { .qos = *q };

	build_rows(&from, ARRAY_SIZE(rows), obj);
}
