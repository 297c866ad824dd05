/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting, for a bounded time, for what a reactor says once. */
#ifndef VDPA_VDPA_WAIT_H
#define VDPA_VDPA_WAIT_H

#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/mono.h"

/* False: not within @ms; whoever posts may still do it, so that @sem must stay. */
static inline bool vdpa_wait(sem_t *sem, uint64_t ms)
{
	const struct timespec ts = mono_timespec(mono_ns() + ms * MONO_NS_PER_MS);

	while (sem_clockwait(sem, CLOCK_MONOTONIC, &ts)) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

#endif
