/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits and scheduling of disks and groups as JSON knows them, and as the core does. */
#ifndef TOOLS_NVRINGD_CONFIG_QOS_H
#define TOOLS_NVRINGD_CONFIG_QOS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bdev.h"
#include "core/qos.h"
#include "tools/nvringd/jread.h"

struct json_object;

/* Not named: what is in force stays. A number of 0 is none. */
#define CONFIG_QOS_KEEP		   UINT64_MAX
#define CONFIG_QOS_GROUP_NONE	   "none" /* so no group has this name */
#define CONFIG_QOS_DEADLINE_US_MAX UINT64_C(60000000)
#define CONFIG_PATH_TIMEOUT_MS	   (BDEV_PATH_TIMEOUT_NS / MONO_NS_PER_MS)
#define CONFIG_PATH_TIMEOUT_MS_MAX UINT64_C(86400000) /* a day */

/* An initializer: nothing named. */
#define CONFIG_RATE_KEEP { CONFIG_QOS_KEEP, CONFIG_QOS_KEEP }
#define CONFIG_LIMITS_KEEP                                                                         \
	{ .rate = { CONFIG_RATE_KEEP, CONFIG_RATE_KEEP, CONFIG_RATE_KEEP, CONFIG_RATE_KEEP,        \
		    CONFIG_RATE_KEEP, CONFIG_RATE_KEEP },                                          \
	  .min_ios = CONFIG_QOS_KEEP,                                                              \
	  .min_bytes = CONFIG_QOS_KEEP }
#define CONFIG_QOS_KEEP_ALL                                                                        \
	{ .limits = CONFIG_LIMITS_KEEP, .weight = CONFIG_QOS_KEEP, .latency_us = CONFIG_QOS_KEEP,  \
	  .read_deadline_us = CONFIG_QOS_KEEP, .write_deadline_us = CONFIG_QOS_KEEP,               \
	  .path_timeout_ms = CONFIG_QOS_KEEP }

/* An initializer: what holds for a disk of which nothing is said. */
#define CONFIG_QOS_DEFAULT { .path_timeout_ms = CONFIG_PATH_TIMEOUT_MS }

struct config_qos {
	struct qos_limits limits;
	uint64_t weight; /* 0: QOS_WEIGHT_DEFAULT */
	uint64_t latency_us;
	uint64_t read_deadline_us, write_deadline_us;
	uint64_t path_timeout_ms; /* 0: off */
	char group[QOS_GROUP_NAME_MAX]; /* "": not named; CONFIG_QOS_GROUP_NONE: out of it */
};

/* Rows of a table of fields, for a struct qos_limits, a struct config_qos that is member @m of @t. */
#define CONFIG_RATE_ROWS(t, m, kind, name_)                                                        \
	JREAD_ROW_COUNT(t, m.rate[QOS_##kind##_IOS].per_sec, name_ "iops", 1, QOS_IOS_MAX),        \
	JREAD_ROW_COUNT(t, m.rate[QOS_##kind##_IOS].burst, name_ "iops_burst", 1,                  \
			QOS_IOS_MAX * QOS_BURST_SEC_MAX),                                          \
	JREAD_ROW_BYTES(t, m.rate[QOS_##kind##_BYTES].per_sec, name_ "bps", QOS_BYTES_MIN,         \
			QOS_BYTES_MAX),                                                            \
	JREAD_ROW_BYTES(t, m.rate[QOS_##kind##_BYTES].burst, name_ "bps_burst",                    \
			QOS_BURST_BYTES_MIN, QOS_BYTES_MAX * QOS_BURST_SEC_MAX)
#define CONFIG_LIMITS_ROWS(t, m)                                                                   \
	CONFIG_RATE_ROWS(t, m, READ, "read_"), CONFIG_RATE_ROWS(t, m, WRITE, "write_"),            \
	CONFIG_RATE_ROWS(t, m, TOTAL, "")
#define CONFIG_LIMITS_NROWS 12
#define CONFIG_QOS_ROWS(t, m)                                                                      \
	CONFIG_LIMITS_ROWS(t, m.limits),                                                           \
	JREAD_ROW_COUNT(t, m.limits.min_ios, "min_iops", 1, QOS_IOS_MAX),                          \
	JREAD_ROW_BYTES(t, m.limits.min_bytes, "min_bps", QOS_BYTES_MIN, QOS_BYTES_MAX),           \
	JREAD_ROW_COUNT(t, m.weight, "weight", 1, QOS_WEIGHT_MAX),                                 \
	JREAD_ROW_COUNT(t, m.latency_us, "latency_us", QOS_LATENCY_MIN_NS / 1000,                  \
			QOS_LATENCY_MAX_NS / 1000),                                                \
	JREAD_ROW_COUNT(t, m.read_deadline_us, "read_deadline_us", 1, CONFIG_QOS_DEADLINE_US_MAX), \
	JREAD_ROW_COUNT(t, m.write_deadline_us, "write_deadline_us", 1,                            \
			CONFIG_QOS_DEADLINE_US_MAX),                                               \
	JREAD_ROW_COUNT_OR(t, m.path_timeout_ms, "path_timeout_ms", 0, CONFIG_PATH_TIMEOUT_MS_MAX,  \
			   CONFIG_PATH_TIMEOUT_MS),                                                 \
	JREAD_ROW_TEXT_OR_NULL(t, m.group, "group", CONFIG_QOS_GROUP_NONE)
#define CONFIG_QOS_NROWS (CONFIG_LIMITS_NROWS + 8)

/* What @named names into @lim, @q. With a limit its burst goes, unless that is named, too. "" is no group then. */
void config_limits_merge(struct qos_limits *lim, const struct qos_limits *named);
void config_qos_merge(struct config_qos *q, const struct config_qos *named);

/* @group: the one that is named, or NULL. Deadlines are not part of it. */
void config_qos_to_core(const struct config_qos *q, struct qos_group *group, struct qos_conf *ret);
void config_qos_from_core(const struct qos_conf *conf, struct config_qos *ret);

/* Members of @obj under the keys of the rows, but only what is not as it is by default. */
void config_limits_build(const struct qos_limits *lim, struct json_object *obj);
void config_qos_build(const struct config_qos *q, struct json_object *obj);

#endif
