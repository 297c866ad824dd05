/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and threads of this process, before and after. */
#ifndef TESTS_UNIT_LEAKS_H
#define TESTS_UNIT_LEAKS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

struct leaks {
	unsigned fds, threads;
};

/* Without pipes: those are a sanitizer's, to its symbolizer. */
static inline unsigned leaks_count(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	assert_non_null(d);
	while ((entry = readdir(d))) {
		char to[8] = "";

		if (readlinkat(dirfd(d), entry->d_name, to, sizeof(to) - 1) < 0 || strncmp(to, "pipe:", 5) != 0)
			n++;
	}
	closedir(d);
	return n;
}

static inline struct leaks leaks_now(void)
{
	return (struct leaks){ leaks_count("/proc/self/fd"), leaks_count("/proc/self/task") };
}

/* As many as then. The kernel forgets a joined thread a moment later. */
static inline void assert_no_leaks(struct leaks then)
{
	assert_int_equal(leaks_count("/proc/self/fd"), then.fds);
	for (unsigned i = 0; i < 10000 && leaks_count("/proc/self/task") != then.threads; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(leaks_count("/proc/self/task"), then.threads);
}

#endif
