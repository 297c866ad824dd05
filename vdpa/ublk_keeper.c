/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kernel before 6.12.117 or 6.15 does not survive the death of a ublk server under I/O: when the last descriptor of a
 * ring is closed, io_uring cancels the commands in it, also one that ublk has just given an I/O and queued as work of the
 * dying thread. That thread then finds a ring which is freed. It happens if rings are closed before all threads are gone,
 * and the kernel's way to kill a process is that.
 *
 * So the rings have another owner: a process which shares this one's memory, and nothing else, waits for its end and then
 * ends too. A ring's file lives as long as it is mapped. What is unmapped here is so there.
 */
#include "vdpa/ublk_keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES 65536

/* The sanitizers' run-time looks at thread-local data. */
#if __has_attribute(disable_sanitizer_instrumentation)
#define KEEPER_BARE __attribute__((disable_sanitizer_instrumentation))
#else
#define KEEPER_BARE
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_there;

/* It waits for this, a pidfd. Not on its stack: see keep(). */
static struct pollfd server = { .events = POLLIN };

/*
 * The keeper. It has the thread pointer of the thread that made it, which may be gone: nothing here looks at thread-local
 * data, neither errno (no call fails) nor what the compiler guards stacks with.
 */
static int KEEPER_BARE keep(void *arg)
{
	unsigned fd = (unsigned)server.fd;

	(void)arg;
	syscall(SYS_setsid);
	syscall(SYS_prctl, PR_SET_NAME, "nvring-keeper");
	if (fd)
		syscall(SYS_close_range, 0, fd - 1, 0);
	syscall(SYS_close_range, fd + 1, UINT32_MAX, 0);
	syscall(SYS_ppoll, &server, 1, NULL, NULL, 0);
	return 0;
}

static int start(void)
{
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t all, before;
	int pid, err = 0;

	if (stack == MAP_FAILED)
		return -errno;
	server.fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (server.fd < 0) {
		err = -errno;
		goto unmap;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of ours runs there */
	pid = clone(keep, (char *)stack + STACK_BYTES, CLONE_VM, NULL);
	if (pid < 0)
		err = -errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)close(server.fd);
	if (!err)
		return 0;
unmap:
	(void)munmap(stack, STACK_BYTES);
	return err;
}

int ublk_keeper_start(void)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!is_there)
		err = start();
	is_there = is_there || !err;
	pthread_mutex_unlock(&lock);
	return err;
}
