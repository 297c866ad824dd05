/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads: any that takes no signals, and short-lived ones for blocking set-up work, answered on a reactor. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "core/reactor.h"

struct worker;

/* A thread on which no signal lands, for those are the main thread's, but its own SIGBUS (core/sigbus.h). Any thread. 0 or
 * -errno; the caller joins it. */
int worker_thread_create(pthread_t *ret, void *(*fn)(void *arg), void *arg);

/* Blocking part, on the worker's thread. Returns 0 or -errno, handed to done. */
typedef int (*worker_fn)(struct worker *w);
/* On the reactor that started the work. */
typedef void (*worker_done_fn)(struct worker *w, int result);

/* Embedded in the caller's request; stays until done. */
struct worker {
	struct reactor_msg msg;
	struct reactor *home;
	pthread_t thread;
	worker_fn fn;
	worker_done_fn done;
	int result;
};

/* On a reactor. 0, or -errno when no thread can be made (done is not called then). */
int worker_start(struct worker *w, worker_fn fn, worker_done_fn done);

#endif
