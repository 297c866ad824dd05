/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines to standard error: plain for people, with "<N>" priorities where systemd reads them. */
#include "core/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_BYTES_MAX 1024

enum log_level log_threshold = LOG_LEVEL_NOTICE;
static log_sink_fn log_sink;

static const struct {
	const char *name;
	int priority; /* of sd-daemon(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 }, [LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_NOTICE] = { "notice", 5 }, [LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_threshold, level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return __atomic_load_n(&log_threshold, __ATOMIC_RELAXED);
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i].name, name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < ARRAY_SIZE(levels) ? levels[level].name : "?";
}

void log_set_sink(log_sink_fn sink)
{
	__atomic_store_n(&log_sink, sink, __ATOMIC_RELEASE);
}

/* A peer may have a say in the text: nothing but printable characters reaches the terminal. */
static void make_printable(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

/* The journal wants to know the level. Whoever asks first, on whatever thread, gets the same answer. */
static bool is_under_systemd(void)
{
	static int known = -1; /* atomic */
	int is = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (is < 0) {
		is = getenv("JOURNAL_STREAM") != NULL;
		__atomic_store_n(&known, is, __ATOMIC_RELAXED);
	}
	return is;
}

void log_write(enum log_level level, const char *tag, const char *fmt, ...)
{
	log_sink_fn sink = __atomic_load_n(&log_sink, __ATOMIC_ACQUIRE);
	char text[LOG_LINE_BYTES_MAX], line[LOG_LINE_BYTES_MAX + 64];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_printable(text);
	if (sink) {
		sink(level, tag, text);
		return;
	}
	if (is_under_systemd())
		n = snprintf(line, sizeof(line), "<%d>%s: %s\n", levels[level].priority, tag, text);
	else
		n = snprintf(line, sizeof(line), "nvring: %s: %s: %s\n", levels[level].name, tag, text);
	/* One write: lines of several threads do not mix. Nobody to tell when it fails. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}
