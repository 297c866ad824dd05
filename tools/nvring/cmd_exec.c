/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvring exec: another program that finds controllers of nvring where it looks for those of the kernel.
 *
 *   nvme, smartctl ─ libc ─► libnvring-shim.so ─ socket ─► this process ─ nvt ─► nvringd or the driver
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/nvring/cli.h"
#include "tools/nvring/exec_serve.h"
#include "tools/nvring/exec_sysfs.h"
#include "tools/shim/shim_wire.h"

#define SHIM_NAME "libnvring-shim.so"
/* As a shell has it. */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND	127
#define EXIT_SIGNAL	128

struct run {
	struct cli *cli;
	struct exec_devices devs;
	char folder[PATH_MAX]; /* "": none yet */
	char shim[PATH_MAX];
	int listener;
	int signals; /* signalfd: SIGCHLD, and what is to be handed on */
	sigset_t before;
};

/* Beside the program: as built (tools/shim) or as installed (lib/nvring, below lib/TRIPLET, too). */
static int find_shim(char *buf)
{
	static const char *const places[] = { "../shim/" SHIM_NAME, "../" NVRING_LIBDIR "/nvring/" SHIM_NAME,
					      "../lib/nvring/" SHIM_NAME };
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		if (realpath(path, buf))
			return 0;
	}
	return -ENOENT;
}

/* The next number that no device of the kernel has. */
static unsigned free_number(unsigned from)
{
	char path[64];
	struct stat st;

	do
		snprintf(path, sizeof(path), "/dev/nvme%u", from++);
	while (stat(path, &st) == 0);
	return from - 1;
}

static int add_device(struct run *r, const char *target, struct errbuf *eb)
{
	const struct nvmecmd_allow allow = {
		.write = cli_opt(r->cli, "writable"),
		.exported = cli_opt(r->cli, "force-exported"),
	};
	struct exec_devices *devs = &r->devs;
	struct exec_device *dev = &devs->dev[devs->n];
	int err;

	err = nvt_open(r->cli, target, &dev->t, eb);
	if (err)
		return err;
	dev->number = free_number(devs->n ? devs->dev[devs->n - 1].number + 1 : 0);
	devs->n++;
	nvt_allow(dev->t, &allow);
	return 0;
}

/* The one that --controller names, else all that the daemon holds. */
static int open_devices(struct run *r, struct errbuf *eb)
{
	const char *target = cli_opt(r->cli, "controller");
	char (*held)[NVME_ADDRESS_MAX];
	int n, err = 0;

	if (target)
		return add_device(r, target, eb);
	held = calloc(NVT_CTRLRS_MAX, sizeof(*held));
	if (!held)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	n = nvt_held(r->cli, held, eb);
	if (n == 0)
		err = errbuf_set(eb, -ENODEV,
				 "nvringd holds no NVMe controller (--controller ADDRESS names one)");
	for (int i = 0; i < n && !err; i++)
		err = add_device(r, held[i], eb);
	free(held);
	return n < 0 ? n : err;
}

static int make_folder(struct run *r, struct errbuf *eb)
{
	const char *tmp = getenv("TMPDIR");
	char sysfs[PATH_MAX + 8];
	unsigned nfailed = 0;
	int err;

	snprintf(r->folder, sizeof(r->folder), "%s/nvring-exec-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(r->folder)) {
		err = errbuf_set(eb, -errno, "%s: %s", r->folder, strerror(errno));
		r->folder[0] = '\0';
		return err;
	}
	snprintf(sysfs, sizeof(sysfs), "%s/sys", r->folder);
	if (mkdir(sysfs, 0700))
		return errbuf_set(eb, -errno, "%s: %s", sysfs, strerror(errno));
	for (unsigned i = 0; i < r->devs.n; i++) {
		int rc = exec_sysfs_make(sysfs, r->devs.dev[i].number, r->devs.dev[i].t, eb);

		/* one of several that has failed does not hide the others */
		if (rc && r->devs.n > 1)
			cli_error(0, "%s", eb->text);
		nfailed += rc != 0;
	}
	if (nfailed == r->devs.n)
		return -ENODEV;
	return exec_serve_listen(r->folder, &r->listener, eb);
}

/* In the child. Does not come back. */
static void become(struct run *r)
{
	const char *before = getenv("LD_PRELOAD");
	char preload[2 * PATH_MAX];

	snprintf(preload, sizeof(preload), "%s%s%s", r->shim, before && *before ? ":" : "",
		 before ? before : "");
	/* libnvme 1.8 and later look for sysfs below it by themselves */
	if (setenv("LD_PRELOAD", preload, 1) || setenv(SHIM_ENV, r->folder, 1) ||
	    setenv("LIBNVME_SYSFS_PATH", r->folder, 1) || sigprocmask(SIG_SETMASK, &r->before, NULL))
		_exit(EXIT_CANNOT_RUN);
	execvp(r->cli->rest[0], r->cli->rest);
	fprintf(stderr, "nvring: cannot run %s: %s\n", r->cli->rest[0], strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* A signal has come. True: the child has ended with *ret_status. */
static bool handle_signal(const struct run *r, pid_t child, int *ret_status)
{
	struct signalfd_siginfo si;
	int status;

	if (read(r->signals, &si, sizeof(si)) != sizeof(si))
		return false;
	/* SIGINT and SIGQUIT of a terminal reach the child by themselves. */
	if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGHUP)
		(void)kill(child, (int)si.ssi_signo);
	if (si.ssi_signo != SIGCHLD || waitpid(child, &status, WNOHANG) != child)
		return false;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status);
	return true;
}

static int serve_until_end(struct run *r, pid_t child)
{
	struct pollfd fds[2] = {
		{ .fd = r->signals, .events = POLLIN },
		{ .fd = r->listener, .events = POLLIN },
	};

	for (;;) {
		int status;

		if (poll(fds, 2, -1) < 0)
			continue; /* EINTR: signals come by the fd */
		if (fds[1].revents)
			exec_serve_one(r->listener, &r->devs);
		if (fds[0].revents && handle_signal(r, child, &status))
			return status;
	}
}

static int run_child(struct run *r, struct errbuf *eb)
{
	sigset_t set;
	pid_t child;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, &r->before);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC);
	child = r->signals < 0 ? -1 : fork();
	if (child < 0) {
		errbuf_write(eb, "cannot start a program: %s", strerror(errno));
		return -1;
	}
	if (child == 0)
		become(r);
	status = serve_until_end(r, child);
	return status;
}

int cli_exec(struct cli *cli)
{
	struct run r = { .cli = cli, .listener = -1, .signals = -1 };
	struct errbuf eb;
	int rc = CLI_FAILED, status;

	if (!cli->rest || !cli->rest[0])
		return cli_error(CLI_USAGE, "usage: nvring exec [OPTION...] -- COMMAND [ARGUMENT...]");
	if (find_shim(r.shim))
		return cli_error(CLI_FAILED, "%s is not where it was installed", SHIM_NAME);
	if (open_devices(&r, &eb) || make_folder(&r, &eb)) {
		cli_error(0, "%s", eb.text);
	} else {
		status = run_child(&r, &eb);
		rc = status < 0 ? cli_error(CLI_FAILED, "%s", eb.text) : status;
	}
	if (r.listener >= 0)
		close(r.listener);
	if (r.signals >= 0)
		close(r.signals);
	if (r.folder[0])
		exec_sysfs_remove(r.folder);
	for (unsigned i = 0; i < r.devs.n; i++)
		nvt_close(r.devs.dev[i].t);
	return rc;
}
