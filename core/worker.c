/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread for one blocking piece of work. */
#include "core/worker.h"

#include <assert.h>
#include <signal.h>

static void worker_answer(struct reactor_msg *msg)
{
	struct worker *w = container_of(msg, struct worker, msg);

	/* It has at most its return before it; then nothing of it touches the reactor any more. */
	(void)pthread_join(w->thread, NULL);
	w->done(w, w->result);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	(void)pthread_setname_np(pthread_self(), "worker"); /* cosmetic */
	w->result = w->fn(w);
	reactor_send(w->home, &w->msg, worker_answer);
	return NULL;
}

int worker_start(struct worker *w, worker_fn fn, worker_done_fn done)
{
	sigset_t all, old;
	int err;

	w->home = reactor_self();
	w->fn = fn;
	w->done = done;
	assert(w->home);
	/* Signals are the main thread's. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* the fault of a thread is its own: core/sigbus.h */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, worker_main, w);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}
