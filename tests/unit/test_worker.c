/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers: the work runs elsewhere, the answer comes home. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/worker.h"

#define JOBS 50

struct job {
	struct worker w;
	pthread_t home;
	int no;
	unsigned *ndone, *nwrong;
};

static int job_work(struct worker *w)
{
	struct job *j = container_of(w, struct job, w);

	/* Elsewhere, and on no reactor. */
	return pthread_equal(pthread_self(), j->home) || reactor_self() ? -EXDEV : -j->no;
}

static void job_done(struct worker *w, int result)
{
	struct job *j = container_of(w, struct job, w);

	*j->nwrong += result != -j->no || !pthread_equal(pthread_self(), j->home);
	if (++*j->ndone == JOBS)
		reactor_stop(reactor_self());
}

struct jobs {
	struct reactor_msg msg;
	struct job job[JOBS];
};

static void start_all(struct reactor_msg *msg)
{
	struct jobs *jobs = container_of(msg, struct jobs, msg);

	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(worker_start(&jobs->job[i].w, job_work, job_done), 0);
}

static void answers_come_home(void **state)
{
	struct reactor_opts o = { .name = "control", .cpu = -1, .mode = REACTOR_INTERRUPT };
	static struct jobs jobs;
	struct reactor *r;
	unsigned ndone = 0, nwrong = 0;

	(void)state;
	assert_int_equal(reactor_create(&o, &r), 0);
	for (int i = 0; i < JOBS; i++)
		jobs.job[i] = (struct job){
			.home = pthread_self(), .no = i, .ndone = &ndone, .nwrong = &nwrong
		};
	reactor_send(r, &jobs.msg, start_all);
	reactor_run(r);
	assert_int_equal(ndone, JOBS);
	assert_int_equal(nwrong, 0);
	reactor_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_come_home),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
