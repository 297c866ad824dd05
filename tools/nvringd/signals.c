/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals through a signalfd. */
#include "tools/nvringd/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct {
	struct reactor_fd rfd;
	int fd;
	void (*fn)(void *arg, int signo);
	void *arg;
} signals = { .fd = -1 };

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void signals_block(void)
{
	sigset_t set;

	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(struct reactor_fd *rfd, uint32_t events)
{
	struct signalfd_siginfo si;

	if (read(signals.fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		signals.fn(signals.arg, (int)si.ssi_signo);
}

int signals_open(struct reactor *control, void (*fn)(void *arg, int signo), void *arg,
		 struct errbuf *eb)
{
	sigset_t set;
	int err;

	signal_set(&set);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals.fd < 0)
		return errbuf_set(eb, -errno, "signalfd: %s", strerror(errno));
	signals.fn = fn;
	signals.arg = arg;
	err = reactor_fd_attach(control, &signals.rfd, signals.fd, EPOLLIN, on_signal);
	if (err) {
		signals_close();
		return errbuf_set(eb, err, "signalfd: %s", strerror(-err));
	}
	return 0;
}

void signals_close(void)
{
	reactor_fd_detach(&signals.rfd);
	if (signals.fd >= 0)
		close(signals.fd);
	signals.fd = -1;
}
