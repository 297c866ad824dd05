/* SPDX-License-Identifier: BSD-3-Clause */
/* One log line: level, tag of the file, text; to standard error. Never used on the data path. */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <stdbool.h>

#include "core/base/cc.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE, /* the default */
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Takes a whole line without newline. Called under no lock of ours, by any thread. */
typedef void (*log_sink_fn)(enum log_level level, const char *tag, const char *text);

/* Level from now on. Any thread. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Name ("error", "warn", "notice", "info", "debug") to level: 0, or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret_level);
const char *log_level_name(enum log_level level);

/* NULL restores standard error (with "<N>" prefixes where systemd reads it). Tests look with it. */
void log_set_sink(log_sink_fn sink);

void log_write(enum log_level level, const char *tag, const char *fmt, ...) cc_printf(3, 4);

extern enum log_level log_threshold;

/* Each file that logs defines LOG_TAG before it includes this header. */
#define log_at(lvl, ...)                                                                           \
	do {                                                                                       \
		if ((lvl) <= log_threshold)                                                        \
			log_write((lvl), LOG_TAG, __VA_ARGS__);                                    \
	} while (0)
#define log_error(...)	log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)	log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_notice(...) log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
