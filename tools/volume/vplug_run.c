/* SPDX-License-Identifier: BSD-3-Clause */
/* posix_spawn() with two pipes and a deadline. */
#include "tools/volume/vplug_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/mono.h"

extern char **environ;

#define TEXT_MAX 512

struct stream {
	int fd;
	char text[TEXT_MAX];
	size_t len;
};

/* Keeps the beginning of what comes; the rest is read and forgotten. */
static void take(struct stream *s)
{
	char buf[TEXT_MAX];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n <= 0) {
		close(s->fd);
		s->fd = -1;
		return;
	}
	if ((size_t)n > TEXT_MAX - 1 - s->len)
		n = (ssize_t)(TEXT_MAX - 1 - s->len);
	memcpy(s->text + s->len, buf, (size_t)n);
	s->len += (size_t)n;
}

static int spawn(char *const argv[], int out, int err, pid_t *ret_pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none); /* ours are blocked */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, err, STDERR_FILENO);
	rc = posix_spawnp(ret_pid, argv[0], &fa, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

/* Until both streams end or the time is over. False: it is. */
static bool listen_to(struct stream s[2])
{
	uint64_t end_ns = mono_ns() + VPLUG_RUN_TIMEOUT_S * UINT64_C(1000000000);

	while (s[0].fd >= 0 || s[1].fd >= 0) {
		struct pollfd p[2] = { { .fd = s[0].fd, .events = POLLIN }, { .fd = s[1].fd, .events = POLLIN } };
		uint64_t now = mono_ns();

		if (now >= end_ns || poll(p, 2, (int)((end_ns - now) / 1000000) + 1) < 0)
			return false;
		for (int i = 0; i < 2; i++) {
			if (p[i].revents)
				take(&s[i]);
		}
	}
	return true;
}

static const char *last_line(struct stream *s)
{
	char *line;

	while (s->len && (s->text[s->len - 1] == '\n' || s->text[s->len - 1] == ' '))
		s->text[--s->len] = '\0';
	line = strrchr(s->text, '\n');
	return line ? line + 1 : s->text;
}

static int verdict(const char *program, int status, struct stream *complaints, struct errbuf *eb)
{
	const char *why = last_line(complaints);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return errbuf_set(eb, -EIO, "%s ended by signal %d", program, WTERMSIG(status));
	return errbuf_set(eb, -EIO, "%s failed%s%.300s", program, why[0] ? ": " : "", why);
}

int vplug_run(char *const argv[], char *out, size_t len, struct errbuf *eb)
{
	struct stream s[2] = { { .fd = -1 }, { .fd = -1 } };
	int o[2], e[2], status, err;
	bool in_time;
	pid_t pid;

	if (pipe2(o, O_CLOEXEC))
		return errbuf_set(eb, -errno, "%s: %s", argv[0], strerror(errno));
	if (pipe2(e, O_CLOEXEC)) {
		err = errbuf_set(eb, -errno, "%s: %s", argv[0], strerror(errno));
		close(o[0]);
		close(o[1]);
		return err;
	}
	err = spawn(argv, o[1], e[1], &pid);
	close(o[1]);
	close(e[1]);
	s[0].fd = o[0];
	s[1].fd = e[0];
	in_time = err || listen_to(s);
	for (int i = 0; i < 2; i++) {
		if (s[i].fd >= 0)
			close(s[i].fd);
	}
	if (err)
		return errbuf_set(eb, err, "cannot run %s: %s", argv[0], strerror(-err));
	if (!in_time)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		return errbuf_set(eb, -ECHILD, "%s: lost", argv[0]);
	if (!in_time)
		return errbuf_set(eb, -ETIMEDOUT, "%s: not done within %d s, stopped", argv[0], VPLUG_RUN_TIMEOUT_S);
	if (out)
		snprintf(out, len, "%.*s", (int)strcspn(s[0].text, "\n"), s[0].text);
	return verdict(argv[0], status, &s[1], eb);
}
