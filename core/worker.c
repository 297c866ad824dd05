/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads, and one for one blocking piece of work. */
#include "core/worker.h"

#include <assert.h>
#include <signal.h>

int worker_thread_create(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(ret, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

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
	w->home = reactor_self();
	w->fn = fn;
	w->done = done;
	assert(w->home);
	return worker_thread_create(&w->thread, worker_main, w);
}
