/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of nvringd, among them QEMU's conventions for back-end programs (vhost-user.rst). */
#include "tools/nvringd/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cpulist.h"
#include "tools/shared/diskuri.h"
#include "tools/shared/commalist.h"
#include "vdpa/ublk.h"

enum {
	OPT_DISK = 0x100,
	OPT_DISK_RO,
	OPT_EXPORT,
	OPT_VDUSE,
	OPT_UBLK,
	OPT_NBD,
	OPT_FUSE,
	OPT_POOL,
	OPT_CONFIG,
	OPT_RPC,
	OPT_NO_RPC,
	OPT_CPUS,
	OPT_MODE,
	OPT_REBALANCE,
	OPT_IDLE_MIN,
	OPT_IDLE_MAX,
	OPT_LOG_LEVEL,
	OPT_LOCK_WAIT,
	OPT_SOCKET_PATH,
	OPT_FD,
	OPT_BLK_FILE,
	OPT_READ_ONLY,
	OPT_CAPABILITIES,
};

static const struct option long_options[] = {
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "disk-ro", required_argument, NULL, OPT_DISK_RO },
	{ "vhost-user-blk", required_argument, NULL, OPT_EXPORT },
	{ "vduse", required_argument, NULL, OPT_VDUSE },
	{ "ublk", required_argument, NULL, OPT_UBLK },
	{ "nbd", required_argument, NULL, OPT_NBD },
	{ "fuse", required_argument, NULL, OPT_FUSE },
	{ "pool", required_argument, NULL, OPT_POOL },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "rpc", required_argument, NULL, OPT_RPC },
	{ "no-rpc", no_argument, NULL, OPT_NO_RPC },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "rebalance", required_argument, NULL, OPT_REBALANCE },
	{ "idle-min", required_argument, NULL, OPT_IDLE_MIN },
	{ "idle-max", required_argument, NULL, OPT_IDLE_MAX },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "lock-wait", required_argument, NULL, OPT_LOCK_WAIT },
	{ "socket-path", required_argument, NULL, OPT_SOCKET_PATH },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "blk-file", required_argument, NULL, OPT_BLK_FILE },
	{ "read-only", no_argument, NULL, OPT_READ_ONLY },
	{ "print-capabilities", no_argument, NULL, OPT_CAPABILITIES },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: nvringd --disk NAME=URI... --vhost-user-blk NAME=SOCKET[,OPTION...]...\n"
	"       nvringd --disk NAME=URI... --vduse NAME[=DEVICE][,OPTION...]...\n"
	"       nvringd --disk NAME=URI... --ublk NAME[=NUMBER][,OPTION...]...\n"
	"       nvringd --config FILE.json\n"
	"       nvringd --blk-file=PATH (--socket-path=SOCKET | --fd=N) [--read-only]\n"
	"\n"
	"Serves virtual disks to QEMU guests and containers over vhost-user. Stays in the\n"
	"foreground; ends on SIGTERM or SIGINT when all I/O is done.\n"
	"\n"
	"Disks and exports\n"
	"  --disk NAME=URI           open a disk; URI: file:PATH, nvme:BDF/NAMESPACE,\n"
	"                            nvme+vfio-user:SOCKET/NAMESPACE,\n"
	"                            virtio-user:SOCKET, ram:SIZE, null:SIZE,\n"
	"                            fault:RULES@URI\n"
	"  --disk-ro NAME=URI        the same, read-only\n"
	"  --vhost-user-blk NAME=SOCKET[,OPTION...]\n"
	"                            export disk NAME on a UNIX socket; options:\n"
	"                              ro           the guest cannot write\n"
	"                              queues=N     queues offered (default 64)\n"
	"                              serial=TEXT  serial number, 20 characters at most\n"
	"                              name=TEXT    name of the export (default: NAME)\n"
	"                              mode=0660    of the socket file (default 0600)\n"
	"                              no-packed    do not offer packed rings\n"
	"                              write-through  start with the write cache off\n"
	"                              cpus=LIST    queues run on these CPUs only, of\n"
	"                                           of --cpus\n"
	"                            a comma in SOCKET, TEXT, LIST is written twice\n"
	"  --vduse NAME[=DEVICE][,OPTION...]\n"
	"                            make disk NAME the vDPA device /dev/vduse/DEVICE of\n"
	"                            this host's kernel (default: NAME), see nvring vduse\n"
	"                            attach; options: ro, queues=N (default 16),\n"
	"                            serial=TEXT, no-packed, write-through, cpus=LIST,\n"
	"                            as above\n"
	"  --ublk NAME[=NUMBER][,OPTION...]\n"
	"                            make disk NAME the block device /dev/ublkbNUMBER of\n"
	"                            this host (default: the next free number); options:\n"
	"                              ro           nobody can write\n"
	"                              queues=N     (default: one per data thread)\n"
	"                              depth=N      I/Os in each queue (default 128)\n"
	"  --nbd NAME[=NUMBER][,OPTION...]\n"
	"                            the same as /dev/nbdNUMBER, for kernels without\n"
	"                            ublk; options: ro, queues=N connections (default 1)\n"
	"  --fuse NAME[=NUMBER][,OPTION...]\n"
	"                            make disk NAME the file /run/nvring/fuse/diskNUMBER,\n"
	"                            for loop devices; options: ro, depth=N, path=PATH\n"
	"                            another file, which must not be there\n"
	"  --pool NAME=dir:PATH      a directory of volumes, see nvring volume; only this\n"
	"                            nvringd may have it\n"
	"  --pool NAME=nvme:ADDRESS/NAMESPACE\n"
	"                            a namespace that is cut into volumes; also with\n"
	"                            nvme+vfio-user:, see nvring pool init\n"
	"  --config FILE             read disks, exports and settings from FILE; see\n"
	"                            nvringd.conf(5). Other options come on top of it\n"
	"\n"
	"Daemon\n"
	"  --cpus LIST               one data thread on each of these CPUs, such as 0-3,8\n"
	"                            (default: the first 4 that the process may use)\n"
	"  --mode MODE               adaptive (default), poll or interrupt\n"
	"  --rebalance on|off        move queues from a busy data thread to one that has\n"
	"                            time (default on)\n"
	"  --idle-min USEC           adaptive: an idle queue is polled so long at least\n"
	"                            before it sleeps (default 10), and\n"
	"  --idle-max USEC           so long at most (default 200); each queue's window\n"
	"                            grows and shrinks between the two\n"
	"  --rpc SOCKET              control socket (default: /run/nvring/nvring.sock\n"
	"                            for root, else $XDG_RUNTIME_DIR/nvring.sock)\n"
	"  --no-rpc                  no control socket\n"
	"  --lock-wait MS            wait so long for the lock of a disk that another\n"
	"                            process still holds (default 5000)\n"
	"  --log-level LEVEL         error, warn, notice (default), info or debug\n"
	"\n"
	"One disk, as QEMU and its management tools start back ends\n"
	"  --blk-file=PATH           the disk: a file, a block device or a URI as above\n"
	"  --socket-path=SOCKET      listen here, or\n"
	"  --fd=N                    use this inherited socket, listening or connected\n"
	"  --read-only               the guest cannot write\n"
	"                            (no control socket here unless --rpc is given)\n"
	"  --print-capabilities      print what this program can do, as JSON\n"
	"\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 ended on request, 1 bad configuration or failure, 2 bad usage.\n"
	"Example:\n"
	"  nvringd --disk vol0=file:disk.img --vhost-user-blk vol0=/tmp/vol0.sock\n";

/* The one-disk form, collected until all options are known. */
struct single {
	const char *blk_file, *socket_path, *fd;
	bool read_only;
};

/* Splits "NAME=REST"; copies NAME. 0 or -EINVAL. */
static int split_name(const char *opt, const char *arg, char name[BDEV_NAME_MAX],
		      const char **ret_rest, struct errbuf *eb)
{
	const char *eq = strchr(arg, '=');

	if (!eq || eq == arg || eq[1] == '\0')
		return errbuf_set(eb, -EINVAL, "%s %.100s: must be NAME=%s", opt, arg,
				  strcmp(opt, "--vhost-user-blk") == 0 ? "SOCKET" :
				  strcmp(opt, "--pool") == 0	       ? "dir:PATH" :
									 "URI");
	if ((size_t)(eq - arg) >= BDEV_NAME_MAX)
		return errbuf_set(eb, -EINVAL, "%s %.100s: NAME is longer than %d characters", opt,
				  arg, BDEV_NAME_MAX - 1);
	memcpy(name, arg, (size_t)(eq - arg));
	name[eq - arg] = '\0';
	*ret_rest = eq + 1;
	return 0;
}

static int copy_text(const char *what, const char *text, char *buf, size_t len, struct errbuf *eb)
{
	size_t n = strlen(text);

	if (n == 0)
		return errbuf_set(eb, -EINVAL, "%s: empty", what);
	if (n >= len)
		return errbuf_set(eb, -EINVAL, "%s: longer than %zu characters", what, len - 1);
	memcpy(buf, text, n + 1);
	return 0;
}

static int parse_number(const char *what, const char *text, unsigned min, unsigned max,
			unsigned *ret, struct errbuf *eb)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || v < min || v > max)
		return errbuf_set(eb, -EINVAL, "%s: must be a number from %u to %u, not \"%.60s\"",
				  what, min, max, text);
	*ret = (unsigned)v;
	return 0;
}

static int add_disk(struct config *c, const char *opt, const char *arg, struct errbuf *eb)
{
	struct config_disk d;
	const char *uri;
	int err;

	config_disk_init(&d);
	snprintf(d.where, sizeof(d.where), "%s %.150s:", opt, arg);
	d.read_only = strcmp(opt, "--disk-ro") == 0;
	err = split_name(opt, arg, d.name, &uri, eb);
	if (!err)
		err = copy_text(d.where, uri, d.uri, sizeof(d.uri), eb);
	return err ? err : config_add_disk(c, &d, eb);
}

static int export_option(struct config_export *e, const char *part, struct errbuf *eb)
{
	const char *value = strchr(part, '=');
	char what[JREAD_WHERE_MAX];

	jread_join(e->where, part, what);
	if (strcmp(part, "ro") == 0) {
		e->read_only = true;
		return 0;
	}
	if (strcmp(part, "no-packed") == 0) {
		e->packed = false;
		return 0;
	}
	if (strcmp(part, "write-through") == 0) {
		e->write_cache = false;
		return 0;
	}
	if (value && strncmp(part, "queues=", 7) == 0)
		return parse_number(what, value + 1, 1, VDEV_QUEUES_MAX, &e->queues, eb);
	if (value && strncmp(part, "serial=", 7) == 0)
		return copy_text(what, value + 1, e->serial, sizeof(e->serial), eb);
	if (value && strncmp(part, "cpus=", 5) == 0)
		return copy_text(what, value + 1, e->cpus, sizeof(e->cpus), eb);
	if (value && strncmp(part, "name=", 5) == 0)
		return copy_text(what, value + 1, e->name, sizeof(e->name), eb);
	if (value && strncmp(part, "mode=", 5) == 0 && jread_mode_parse(value + 1, &e->mode) == 0)
		return 0;
	if (value && strncmp(part, "mode=", 5) == 0)
		return errbuf_set(eb, -EINVAL, "%s: must be octal digits such as 0660", what);
	return errbuf_set(eb, -EINVAL,
			  "%s: unknown option (known: ro, queues=N, serial=TEXT, name=TEXT, "
			  "mode=0660, no-packed, write-through, cpus=LIST)",
			  what);
}

static int add_export(struct config *c, const char *arg, struct errbuf *eb)
{
	struct config_export e;
	char part[512];
	const char *s;
	int err;

	config_export_init(&e);
	snprintf(e.where, sizeof(e.where), "--vhost-user-blk %.150s:", arg);
	err = split_name("--vhost-user-blk", arg, e.disk, &s, eb);
	if (err)
		return err;
	commalist_next(&s, part, sizeof(part));
	err = copy_text(e.where, part, e.socket, sizeof(e.socket), eb);
	while (!err && commalist_next(&s, part, sizeof(part)))
		err = export_option(&e, part, eb);
	return err ? err : config_add_export(c, &e, eb);
}

static int vduse_option(struct config_vduse *v, const char *part, struct errbuf *eb)
{
	const char *value = strchr(part, '=');
	char what[JREAD_WHERE_MAX];

	jread_join(v->where, part, what);
	if (strcmp(part, "ro") == 0) {
		v->read_only = true;
		return 0;
	}
	if (strcmp(part, "no-packed") == 0) {
		v->packed = false;
		return 0;
	}
	if (strcmp(part, "write-through") == 0) {
		v->write_cache = false;
		return 0;
	}
	if (value && strncmp(part, "queues=", 7) == 0)
		return parse_number(what, value + 1, 1, VDEV_QUEUES_MAX, &v->queues, eb);
	if (value && strncmp(part, "serial=", 7) == 0)
		return copy_text(what, value + 1, v->serial, sizeof(v->serial), eb);
	if (value && strncmp(part, "cpus=", 5) == 0)
		return copy_text(what, value + 1, v->cpus, sizeof(v->cpus), eb);
	return errbuf_set(eb, -EINVAL,
			  "%s: unknown option (known: ro, queues=N, serial=TEXT, no-packed, "
			  "write-through, cpus=LIST)",
			  what);
}

static int add_vduse(struct config *c, const char *arg, struct errbuf *eb)
{
	struct config_vduse v;
	char part[512], *eq;
	const char *s = arg;
	int err;

	config_vduse_init(&v);
	snprintf(v.where, sizeof(v.where), "--vduse %.150s:", arg);
	commalist_next(&s, part, sizeof(part));
	eq = strchr(part, '=');
	if (eq)
		*eq = '\0';
	err = copy_text(v.where, part, v.disk, sizeof(v.disk), eb);
	if (!err && eq)
		err = copy_text(v.where, eq + 1, v.name, sizeof(v.name), eb);
	while (!err && commalist_next(&s, part, sizeof(part)))
		err = vduse_option(&v, part, eb);
	return err ? err : config_add_vduse(c, &v, eb);
}

static int attach_option(struct config_attach *a, const char *part, struct errbuf *eb)
{
	char what[JREAD_WHERE_MAX];

	jread_join(a->where, part, what);
	if (strcmp(part, "ro") == 0) {
		a->read_only = true;
		return 0;
	}
	if (strncmp(part, "queues=", 7) == 0)
		return parse_number(what, part + 7, 1, UBLK_QUEUES_LIMIT, &a->queues, eb);
	if (strncmp(part, "depth=", 6) == 0)
		return parse_number(what, part + 6, 1, UBLK_DEPTH_LIMIT, &a->depth, eb);
	if (strncmp(part, "path=", 5) == 0)
		return copy_text(what, part + 5, a->path, sizeof(a->path), eb);
	return errbuf_set(eb, -EINVAL, "%s: unknown option (known: ro, queues=N, depth=N, path=PATH)", what);
}

static int add_attach(struct config *c, const char *as, const char *arg, struct errbuf *eb)
{
	struct config_attach a;
	char part[512], what[JREAD_WHERE_MAX], *eq;
	const char *s = arg;
	int err;

	config_attach_init(&a);
	snprintf(a.as, sizeof(a.as), "%s", as);
	snprintf(a.where, sizeof(a.where), "--%s %.150s:", as, arg);
	commalist_next(&s, part, sizeof(part));
	eq = strchr(part, '=');
	if (eq)
		*eq = '\0';
	err = copy_text(a.where, part, a.disk, sizeof(a.disk), eb);
	if (!err && eq)
		err = parse_number(jread_join(a.where, "number", what), eq + 1, 0, UBLK_ID_MAX, &a.id, eb);
	while (!err && commalist_next(&s, part, sizeof(part)))
		err = attach_option(&a, part, eb);
	return err ? err : config_add_attach(c, &a, eb);
}

static int add_pool(struct config *c, const char *arg, struct errbuf *eb)
{
	struct config_pool p = { "" };
	const char *uri;
	int err;

	snprintf(p.where, sizeof(p.where), "--pool %.150s:", arg);
	err = split_name("--pool", arg, p.name, &uri, eb);
	if (!err)
		err = copy_text(p.where, uri, p.uri, sizeof(p.uri), eb);
	return err ? err : config_add_pool(c, &p, eb);
}

static int add_single(struct config *c, const struct single *one, struct errbuf *eb)
{
	struct config_export e;
	struct config_disk d;
	unsigned fd;
	int err;

	if (!one->blk_file)
		return errbuf_set(eb, -EINVAL, "--socket-path and --fd need --blk-file=PATH");
	if (!one->socket_path == !one->fd)
		return errbuf_set(eb, -EINVAL,
				  "--blk-file needs either --socket-path=SOCKET or --fd=N");
	config_disk_init(&d);
	snprintf(d.name, sizeof(d.name), "blk0");
	snprintf(d.where, sizeof(d.where), "--blk-file=%.150s:", one->blk_file);
	d.read_only = one->read_only;
	if (diskuri_from_text(one->blk_file, d.uri, sizeof(d.uri)))
		return errbuf_set(eb, -EINVAL, "%s path too long", d.where);
	config_export_init(&e);
	memcpy(e.disk, d.name, sizeof(e.disk));
	e.read_only = one->read_only;
	if (one->fd) {
		snprintf(e.where, sizeof(e.where), "--fd=%.100s:", one->fd);
		err = parse_number("--fd", one->fd, 0, 1 << 20, &fd, eb);
		if (!err && fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
			err = errbuf_set(eb, -EINVAL, "--fd=%u: not open", fd);
		e.fd = (int)fd;
	} else {
		snprintf(e.where, sizeof(e.where), "--socket-path=%.150s:", one->socket_path);
		err = copy_text("--socket-path", one->socket_path, e.socket, sizeof(e.socket), eb);
	}
	if (!err)
		err = config_add_disk(c, &d, eb);
	return err ? err : config_add_export(c, &e, eb);
}

static int set_cpus(struct config *c, const char *arg, struct errbuf *eb)
{
	struct errbuf why;
	cpu_set_t set;

	if (cpulist_parse(arg, &set, &why))
		return errbuf_set(eb, -EINVAL, "--cpus: %.300s", why.text);
	return copy_text("--cpus", arg, c->cpus, sizeof(c->cpus), eb);
}

static int set_rebalance(struct config *c, const char *arg, struct errbuf *eb)
{
	if (strcmp(arg, "on") != 0 && strcmp(arg, "off") != 0)
		return errbuf_set(eb, -EINVAL, "--rebalance: on or off, not %.60s", arg);
	c->rebalance = strcmp(arg, "on") == 0;
	return 0;
}

static int take_option(struct config *c, struct single *one, int opt, char *arg, struct errbuf *eb)
{
	switch (opt) {
	case OPT_DISK:
		return add_disk(c, "--disk", arg, eb);
	case OPT_DISK_RO:
		return add_disk(c, "--disk-ro", arg, eb);
	case OPT_EXPORT:
		return add_export(c, arg, eb);
	case OPT_VDUSE:
		return add_vduse(c, arg, eb);
	case OPT_UBLK:
		return add_attach(c, "ublk", arg, eb);
	case OPT_NBD:
		return add_attach(c, "nbd", arg, eb);
	case OPT_FUSE:
		return add_attach(c, "fuse", arg, eb);
	case OPT_POOL:
		return add_pool(c, arg, eb);
	case OPT_RPC:
		c->rpc_on = true;
		return copy_text("--rpc", arg, c->rpc, sizeof(c->rpc), eb);
	case OPT_NO_RPC:
		c->rpc_on = false;
		return 0;
	case OPT_CPUS:
		return set_cpus(c, arg, eb);
	case OPT_MODE:
		if (reactor_mode_parse(arg, &c->mode))
			return errbuf_set(eb, -EINVAL, "--mode: adaptive, poll or interrupt, not %.60s",
					  arg);
		return 0;
	case OPT_REBALANCE:
		return set_rebalance(c, arg, eb);
	case OPT_IDLE_MIN:
		return parse_number("--idle-min", arg, 0, CONFIG_IDLE_US_MAX, &c->idle_min_us, eb);
	case OPT_IDLE_MAX:
		return parse_number("--idle-max", arg, 1, CONFIG_IDLE_US_MAX, &c->idle_max_us, eb);
	case OPT_LOG_LEVEL:
		if (log_level_parse(arg, &c->log_level))
			return errbuf_set(eb, -EINVAL,
					  "--log-level: error, warn, notice, info or debug, not %.60s",
					  arg);
		return 0;
	case OPT_LOCK_WAIT:
		return parse_number("--lock-wait", arg, 0, CONFIG_LOCK_WAIT_MS_MAX,
				    &c->lock_wait_ms, eb);
	case OPT_SOCKET_PATH:
		one->socket_path = arg;
		return 0;
	case OPT_FD:
		one->fd = arg;
		return 0;
	case OPT_BLK_FILE:
		one->blk_file = arg;
		return 0;
	case OPT_READ_ONLY:
		one->read_only = true;
		return 0;
	default:
		return 0; /* OPT_CONFIG: the first pass took it */
	}
}

/* The file comes first, so that options win over it; whatever answers at once ends here. */
static enum options_verdict first_pass(int argc, char **argv, struct config *c, struct errbuf *eb)
{
	int opt;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--print-capabilities") == 0) {
			puts("{\"type\":\"block\",\"features\":[\"read-only\",\"blk-file\"]}");
			return OPTIONS_DONE;
		}
	}
	optind = 1;
	while ((opt = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(help_text, stdout);
			return OPTIONS_DONE;
		case 'V':
			puts("nvringd " NVRING_VERSION);
			return OPTIONS_DONE;
		case '?':
			fputs("Try 'nvringd --help'.\n", stderr);
			return OPTIONS_USAGE;
		case OPT_CONFIG:
			if (c->path[0]) {
				fputs("nvringd: --config may be given once\n", stderr);
				return OPTIONS_USAGE;
			}
			if (copy_text("--config", optarg, c->path, sizeof(c->path), eb) ||
			    config_load(c, c->path, eb))
				return OPTIONS_BAD_CONFIG;
			break;
		default:
			break;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "nvringd: '%s' is not an option\nTry 'nvringd --help'.\n",
			argv[optind]);
		return OPTIONS_USAGE;
	}
	return OPTIONS_RUN;
}

enum options_verdict options_parse(int argc, char **argv, struct config *c, struct errbuf *eb)
{
	enum options_verdict verdict = first_pass(argc, argv, c, eb);
	struct single one = { 0 };
	bool rpc_asked = false;
	int opt;

	if (verdict != OPTIONS_RUN)
		return verdict;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		if (take_option(c, &one, opt, optarg, eb))
			return OPTIONS_BAD_CONFIG;
		rpc_asked |= opt == OPT_RPC;
	}
	if (one.blk_file || one.socket_path || one.fd) {
		if (add_single(c, &one, eb))
			return OPTIONS_BAD_CONFIG;
		if (!rpc_asked && !c->path[0])
			c->rpc_on = false;
	} else if (one.read_only) {
		errbuf_set(eb, -EINVAL, "--read-only belongs to --blk-file");
		return OPTIONS_BAD_CONFIG;
	}
	if (c->ndisks == 0 && c->npools == 0 && !c->path[0] && !rpc_asked) {
		fputs("nvringd: nothing to serve: give --disk and --vhost-user-blk, or --config\n"
		      "Try 'nvringd --help'.\n",
		      stderr);
		return OPTIONS_USAGE;
	}
	return config_finish(c, eb) ? OPTIONS_BAD_CONFIG : OPTIONS_RUN;
}
