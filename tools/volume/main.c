/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring-volume: options, start, serve, end. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "tools/shared/rundir.h"
#include "tools/volume/vplug.h"
#include "tools/volume/vplug_http.h"
#include "tools/volume/vplug_watch.h"

#define LOG_TAG "nvring-volume"
#include "core/base/log.h"

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, 'l' },  { "socket", required_argument, NULL, 's' },
	{ "state", required_argument, NULL, 'S' },   { "mounts", required_argument, NULL, 'm' },
	{ "backend", required_argument, NULL, 'b' }, { "program", required_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },	     { "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: nvring-volume [OPTION...]\n"
	"\n"
	"A volume plugin for Docker and Podman: volumes of nvringd's pools, each with a\n"
	"file system, mounted while containers use them. Stays in the foreground.\n"
	"\n"
	"  --listen SOCKET     where Docker or Podman finds it\n"
	"                      (default /run/docker/plugins/nvring.sock)\n"
	"  -s, --socket SOCKET control socket of nvringd (default /run/nvring/nvring.sock)\n"
	"  --state FOLDER      what must survive restarts (default /var/lib/nvring/volumes)\n"
	"  --mounts FOLDER     where volumes are mounted (default\n"
	"                      /var/lib/nvring/mounts)\n"
	"  --backend NAME      how a volume becomes a block device: attach (nvring attach:\n"
	"                      ublk or NBD), loop, or auto (default: attach if it can)\n"
	"  --program PATH      nvring, for attach (default: the one in PATH)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 ended on request, 1 failure, 2 bad usage.\n"
	"Example: podman volume create --driver nvring -o size=10G data\n";

struct options {
	const char *listen, *socket, *state, *mounts, *backend, *program;
};

/* The folder and those above it. 0 or -errno with eb. */
static int make_dirs(const char *path, struct errbuf *eb)
{
	char part[PATH_MAX];

	if ((size_t)snprintf(part, sizeof(part), "%s/", path) >= sizeof(part))
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", path);
	for (char *s = strchr(part + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return errbuf_set(eb, -errno, "%s: cannot be made: %s", part, strerror(errno));
		*s = '/';
	}
	return 0;
}

static int take_folder(const char *path, char *buf, size_t len, struct errbuf *eb)
{
	char real[PATH_MAX];
	int err = make_dirs(path, eb);

	if (err)
		return err;
	if (!realpath(path, real))
		return errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	if (strlen(real) + POOL_NAME_MAX + 16 > len)
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", real);
	snprintf(buf, len, "%.*s", (int)len - 1, real);
	return 0;
}

/* One plugin for a state folder, as long as it lives. */
static int lock_state(const char *dir, struct errbuf *eb)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errbuf_set(eb, -errno, "%s: %s", dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errbuf_set(eb, -EBUSY, "%s: another nvring-volume uses it", dir);
	return 0;
}

static int prepare(const struct options *o, struct vplug *v, struct errbuf *eb)
{
	int err = take_folder(o->state, v->state_dir, sizeof(v->state_dir), eb);

	if (!err)
		err = take_folder(o->mounts, v->mount_dir, sizeof(v->mount_dir), eb);
	if (!err)
		err = lock_state(v->state_dir, eb);
	if (err)
		return err;
	if (o->socket && (size_t)snprintf(v->rpc, sizeof(v->rpc), "%s", o->socket) >= sizeof(v->rpc))
		return errbuf_set(eb, -ENAMETOOLONG, "--socket: the path is too long");
	if (!o->socket && rundir_rpc_path(v->rpc, sizeof(v->rpc)))
		return errbuf_set(eb, -EINVAL, "XDG_RUNTIME_DIR is not set: give --socket PATH");
	snprintf(v->program, sizeof(v->program), "%s", o->program);
	v->backend = vplug_backend_choose(o->backend, eb);
	if (!v->backend)
		return -EINVAL;
	return vplug_recover(v, eb);
}

static int serve(const struct options *o)
{
	static struct vplug v = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct signalfd_siginfo info;
	struct vplug_http *http = NULL;
	struct errbuf eb;
	sigset_t set;
	char dir[PATH_MAX];
	int err, signals;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL); /* before the server's thread is made */
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	v.changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals < 0 || v.changed < 0) {
		log_error("no file descriptors: %s", strerror(errno));
		return 1;
	}
	snprintf(dir, sizeof(dir), "%s", o->listen);
	if (strrchr(dir, '/'))
		*strrchr(dir, '/') = '\0';
	err = strchr(o->listen, '/') && dir[0] ? make_dirs(dir, &eb) : 0;
	if (!err)
		err = prepare(o, &v, &eb);
	if (!err)
		err = vplug_http_start(&v, o->listen, &http, &eb);
	if (err) {
		log_error("%s", eb.text);
		return 1;
	}
	log_notice("%s: plugin on %s, back end %s", NVRING_VERSION, o->listen, v.backend->name);
	vplug_watch_run(&v, signals);
	if (read(signals, &info, sizeof(info)) == sizeof(info))
		log_notice("%s, ending; what is mounted stays", strsignal((int)info.ssi_signo));
	vplug_http_stop(http);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {
		.listen = "/run/docker/plugins/nvring.sock",
		.state = "/var/lib/nvring/volumes",
		.mounts = "/var/lib/nvring/mounts",
		.backend = "auto",
		.program = "nvring",
	};
	int opt;

	mono_init();
	while ((opt = getopt_long(argc, argv, "s:hV", long_options, NULL)) != -1) {
		switch (opt) {
		case 'l': o.listen = optarg; break;
		case 's': o.socket = optarg; break;
		case 'S': o.state = optarg; break;
		case 'm': o.mounts = optarg; break;
		case 'b': o.backend = optarg; break;
		case 'p': o.program = optarg; break;
		case 'h': fputs(help_text, stdout); return 0;
		case 'V': puts("nvring-volume " NVRING_VERSION); return 0;
		default: fputs("Try 'nvring-volume --help'.\n", stderr); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "nvring-volume: '%s' is not an option\nTry 'nvring-volume --help'.\n", argv[optind]);
		return 2;
	}
	return serve(&o);
}
