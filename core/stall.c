/* SPDX-License-Identifier: BSD-3-Clause */
/* One POSIX timer a thread, set lazily; its signal interrupts a write that waits. */
#include "core/stall.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cc.h"

/* Ignored by default, so that a late one does no harm; nobody else uses it but for out-of-band data. */
#define STALL_SIGNAL SIGURG
/* The first signal may come between the mark and the system call, and is lost: the next ones follow closely. */
#define STALL_AGAIN_NS (1 * MONO_NS_PER_MS)

/* Of this thread and of the handler that runs on it. */
static __thread struct {
	timer_t timer;
	bool is_there;
	volatile sig_atomic_t writing; /* between the mark and the end of the system call */
	volatile sig_atomic_t is_set;  /* the timer will fire */
} guard;

static void timer_set(long ns)
{
	const struct itimerspec at = { .it_value = { .tv_nsec = ns } };

	(void)timer_settime(guard.timer, 0, &at, NULL); /* the arguments are constants: cannot fail */
}

/* Fired while nothing is written: that was all, the next write sets it again. */
static void stall_handle(int signo, siginfo_t *si, void *context)
{
	int err = errno;

	(void)signo;
	(void)context;
	if (!guard.is_there || si->si_code != SI_TIMER)
		return;
	if (guard.writing)
		timer_set(STALL_AGAIN_NS);
	else
		guard.is_set = 0;
	errno = err;
}

/* Without SA_RESTART: to interrupt is all that it is for. */
static int handler_install(void)
{
	struct sigaction sa = { .sa_sigaction = stall_handle, .sa_flags = SA_SIGINFO };
	sigset_t set;

	sigemptyset(&sa.sa_mask);
	if (sigaction(STALL_SIGNAL, &sa, NULL))
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, STALL_SIGNAL);
	return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int stall_guard_start(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = STALL_SIGNAL };
	int err = handler_install();

	if (err || guard.is_there)
		return err;
	ev._sigev_un._tid = gettid(); /* glibc 2.36 has no other name for it */
	if (timer_create(CLOCK_MONOTONIC, &ev, &guard.timer))
		return -errno;
	guard.writing = 0;
	guard.is_set = 0;
	guard.is_there = true;
	return 0;
}

void stall_guard_stop(void)
{
	if (!guard.is_there)
		return;
	(void)timer_delete(guard.timer);
	guard.is_there = false;
}

ssize_t stall_write(int fd, const void *buf, size_t len)
{
	ssize_t n;

	if (cc_unlikely(!guard.is_there))
		return write(fd, buf, len);
	/* The mark comes first: from here on every signal sees to the next one. */
	guard.writing = 1;
	if (!guard.is_set) {
		guard.is_set = 1;
		timer_set(STALL_NS);
	}
	n = write(fd, buf, len);
	guard.writing = 0;
	return n;
}
