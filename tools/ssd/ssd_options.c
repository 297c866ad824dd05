/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of nvring-ssd, each checked by itself, then together. */
#include "tools/ssd/ssd_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/uri.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"
#include "tools/shared/commalist.h"

enum {
	OPT_SOCKET = 0x100,
	OPT_NS,
	OPT_NULL,
	OPT_CTL,
	OPT_SERIAL,
	OPT_MODEL,
	OPT_QUEUES,
	OPT_MQES,
	OPT_MDTS,
	OPT_DBBUF,
	OPT_HMB,
	OPT_SGL,
	OPT_NO_CACHE,
	OPT_NO_MMAP,
	OPT_CAPACITY,
	OPT_POOL,
	OPT_FAULT,
	OPT_SPIN,
	OPT_NAP,
	OPT_READY,
	OPT_SERVICE,
	OPT_LOG_LEVEL,
};

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "ns", required_argument, NULL, OPT_NS },
	{ "null", required_argument, NULL, OPT_NULL },
	{ "ctl", required_argument, NULL, OPT_CTL },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "mqes", required_argument, NULL, OPT_MQES },
	{ "mdts", required_argument, NULL, OPT_MDTS },
	{ "dbbuf", no_argument, NULL, OPT_DBBUF },
	{ "hmb", required_argument, NULL, OPT_HMB },
	{ "sgl", no_argument, NULL, OPT_SGL },
	{ "no-write-cache", no_argument, NULL, OPT_NO_CACHE },
	{ "no-mmap", no_argument, NULL, OPT_NO_MMAP },
	{ "capacity", required_argument, NULL, OPT_CAPACITY },
	{ "pool", required_argument, NULL, OPT_POOL },
	{ "fault", required_argument, NULL, OPT_FAULT },
	{ "spin", required_argument, NULL, OPT_SPIN },
	{ "nap", required_argument, NULL, OPT_NAP },
	{ "ready-delay", required_argument, NULL, OPT_READY },
	{ "service", required_argument, NULL, OPT_SERVICE },
	{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: nvring-ssd --socket SOCKET --ns PATH[,OPTION...]...\n"
	"       nvring-ssd ctl CONTROL-SOCKET COMMAND [ARGUMENT...]\n"
	"\n"
	"A software NVMe SSD: serves files as namespaces of an NVMe controller to one\n"
	"vfio-user client at a time. Stays in the foreground; ends on SIGTERM or SIGINT.\n"
	"\n"
	"Device\n"
	"  --socket SOCKET           listen here for the vfio-user client\n"
	"  --ns [file=]PATH[,OPTION...]\n"
	"                            a namespace: a file or a block device; options:\n"
	"                              size=1G      make the file, or make it larger\n"
	"                              block=4096   bytes of a block: 512 (default) or 4096\n"
	"                              boundary=64K I/O should not cross multiples of it\n"
	"                              ro           read-only\n"
	"                            a comma in PATH is written twice\n"
	"  --null SIZE               a namespace that moves no data, for benchmarks\n"
	"  --serial TEXT, --model TEXT\n"
	"  --queues N                I/O queue pairs offered (1 to 128, default 16)\n"
	"  --mqes N                  entries of a queue at most (2 to 65536, default 1024)\n"
	"  --mdts N                  a command moves 2^N pages of 4 KiB at most (1 to 8,\n"
	"                            default 5)\n"
	"  --no-write-cache          there is no volatile write cache\n"
	"  --sgl                     offer scatter-gather lists\n"
	"  --dbbuf                   offer shadow doorbells\n"
	"  --hmb MIN,PREFERRED       ask for a host memory buffer of these sizes\n"
	"  --capacity SIZE           room for namespaces that the client makes; they last\n"
	"                            as long as the process\n"
	"  --pool FOLDER             keeps those in files there instead of in memory\n"
	"\n"
	"Behaviour\n"
	"  --no-mmap                 doorbells come as messages: they can be counted, and\n"
	"                            the process sleeps while nothing happens\n"
	"  --spin US                 look for work so long without a pause (default 100)\n"
	"  --nap US                  then pause, at most so long at a time (default 1000)\n"
	"  --ready-delay MS          CSTS.RDY comes so long after CC.EN (default 0)\n"
	"  --service US[,CHANNELS]   an I/O command takes so long, CHANNELS (default 8) at a\n"
	"                            time, first come, first served; 0 (default): no time\n"
	"  --fault RULE              lets commands go wrong; see nvring-ssd(1)\n"
	"  --ctl SOCKET              control socket for `nvring-ssd ctl`\n"
	"  --log-level LEVEL         error, warn, notice (default), info or debug\n"
	"  --help, --version\n"
	"\n"
	"Commands of ctl\n"
	"  fault RULE | fault-remove ID|all | faults\n"
	"  resize NSID SIZE          the client is told by an event\n"
	"  smart KEY=NUMBER...       temperature (Celsius), spare, spare-threshold, used,\n"
	"                            media-errors, warning\n"
	"  remove | plug             surprise removal, and back again\n"
	"  unplug-request            asks the client to let go of the device\n"
	"  fatal | hang | disconnect | quit\n"
	"  counters | status\n"
	"\n"
	"Exit status: 0 ended on request, 1 failure, 2 bad usage.\n"
	"Example:\n"
	"  nvring-ssd --socket /tmp/ssd.sock --ns disk.img,size=1G\n";

static int number_parse(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || v < min || v > max)
		return -EINVAL;
	*ret = (unsigned)v;
	return 0;
}

static int number_set(const char *opt, unsigned min, unsigned max, unsigned *ret, struct errbuf *eb)
{
	if (number_parse(optarg, min, max, ret))
		return errbuf_set(eb, -EINVAL, "%s: must be a number from %u to %u, not \"%.60s\"",
				  opt, min, max, optarg);
	return 0;
}

static int text_set(const char *opt, char *buf, size_t bytes, struct errbuf *eb)
{
	size_t n = strlen(optarg);

	if (n == 0 || n >= bytes)
		return errbuf_set(eb, -EINVAL, "%s: must be 1 to %zu characters", opt, bytes - 1);
	for (size_t i = 0; i < n; i++) {
		if (optarg[i] < ' ' || optarg[i] > '~')
			return errbuf_set(eb, -EINVAL, "%s: printable ASCII characters only", opt);
	}
	memcpy(buf, optarg, n + 1);
	return 0;
}

static int path_set(const char *opt, const char **ret, struct errbuf *eb)
{
	if (!optarg[0] || strlen(optarg) >= SSD_PATH_MAX)
		return errbuf_set(eb, -EINVAL, "%s: must be a path of 1 to %d characters", opt,
				  SSD_PATH_MAX - 1);
	*ret = optarg;
	return 0;
}

#define NS_BYTES_MIN 4096u	 /* a block of any format */
#define BOUNDARY_MAX (16u << 20) /* in blocks of 512 bytes it fits 16 bits */

static int ns_option(struct ssd_ns_opts *ns, const char *part, struct errbuf *eb)
{
	uint64_t bytes;

	if (!strcmp(part, "ro")) {
		ns->read_only = true;
		return 0;
	}
	if (!strncmp(part, "size=", 5)) {
		if (!uri_size_parse(part + 5, &ns->bytes) && ns->bytes >= NS_BYTES_MIN)
			return 0;
		return errbuf_set(eb, -EINVAL,
				  "--ns %.200s: \"%.60s\": must be a size of at least 4K, such as size=1G",
				  ns->path, part);
	}
	if (!strcmp(part, "block=512") || !strcmp(part, "block=4096")) {
		ns->block = part[6] == '5' ? 512 : 4096;
		return 0;
	}
	if (!strncmp(part, "boundary=", 9)) {
		if (!uri_size_parse(part + 9, &bytes) && CC_IS_POW2(bytes) && bytes >= 4096 &&
		    bytes <= BOUNDARY_MAX) {
			ns->boundary = (uint32_t)bytes;
			return 0;
		}
		return errbuf_set(eb, -EINVAL,
				  "--ns %.200s: \"%.60s\": must be a power of two from 4K to 16M",
				  ns->path, part);
	}
	return errbuf_set(eb, -EINVAL,
			  "--ns %.200s: unknown option \"%.60s\" (known: size=1G, block=512, "
			  "block=4096, boundary=64K, ro)",
			  ns->path, part);
}

static int ns_add(struct ssd_opts *o, struct errbuf *eb)
{
	struct ssd_ns_opts *ns = &o->ns[o->nns];
	const char *s = optarg;
	char part[128];

	if (o->nns == SSD_NS_MAX)
		return errbuf_set(eb, -EINVAL, "more than %d namespaces", SSD_NS_MAX);
	*ns = (struct ssd_ns_opts){ .block = 512 };
	if (!strncmp(s, "file=", 5))
		s += 5;
	if (strlen(s) >= sizeof(ns->path))
		return errbuf_set(eb, -EINVAL, "--ns: longer than %zu characters",
				  sizeof(ns->path) - 1);
	commalist_next(&s, ns->path, sizeof(ns->path));
	if (!ns->path[0])
		return errbuf_set(eb, -EINVAL, "--ns: must be PATH[,OPTION...]");
	while (commalist_next(&s, part, sizeof(part))) {
		int err = ns_option(ns, part, eb);

		if (err)
			return err;
	}
	o->nns++;
	return 0;
}

static int null_add(struct ssd_opts *o, struct errbuf *eb)
{
	struct ssd_ns_opts *ns = &o->ns[o->nns];

	if (o->nns == SSD_NS_MAX)
		return errbuf_set(eb, -EINVAL, "more than %d namespaces", SSD_NS_MAX);
	*ns = (struct ssd_ns_opts){ .block = 512, .null = true };
	if (uri_size_parse(optarg, &ns->bytes) || ns->bytes < 4096)
		return errbuf_set(eb, -EINVAL, "--null: must be a size such as 1T, not \"%.60s\"",
				  optarg);
	o->nns++;
	return 0;
}

static int hmb_set(struct ssd_opts *o, struct errbuf *eb)
{
	const char *s = optarg;
	char min[32], pref[32];

	if (!commalist_next(&s, min, sizeof(min)) || !commalist_next(&s, pref, sizeof(pref)) || s ||
	    uri_size_parse(min, &o->hmb_min) || uri_size_parse(pref, &o->hmb_pref) ||
	    !o->hmb_pref || o->hmb_min > o->hmb_pref || o->hmb_pref > 1ull << 40 ||
	    o->hmb_min % 4096 || o->hmb_pref % 4096)
		return errbuf_set(eb, -EINVAL,
				  "--hmb: must be two sizes in whole pages, the smaller first, "
				  "such as 4M,16M, not "
				  "\"%.60s\"",
				  optarg);
	return 0;
}

static int service_set(struct ssd_opts *o, struct errbuf *eb)
{
	const char *all = optarg;
	char us[32], channels[32];

	o->nchannels = 8;
	if (!commalist_next(&all, us, sizeof(us)) ||
	    number_parse(us, 0, 1000000, &o->service_us) ||
	    (all && (!commalist_next(&all, channels, sizeof(channels)) || all ||
		     number_parse(channels, 1, SSD_CHANNELS_MAX, &o->nchannels))))
		return errbuf_set(eb, -EINVAL,
				  "--service: must be microseconds (0 to 1000000) and channels (1 to %d), "
				  "such as 200,8, not \"%.60s\"",
				  SSD_CHANNELS_MAX, optarg);
	return 0;
}

static int fault_add(struct ssd_opts *o, struct errbuf *eb)
{
	if (o->nfaults == SSD_FAULTS_MAX)
		return errbuf_set(eb, -EINVAL, "more than %d fault rules", SSD_FAULTS_MAX);
	o->faults[o->nfaults++] = optarg;
	return 0;
}

static int level_set(struct errbuf *eb)
{
	enum log_level level;

	if (log_level_parse(optarg, &level))
		return errbuf_set(eb, -EINVAL,
				  "--log-level: error, warn, notice, info or debug, not %.60s",
				  optarg);
	log_set_level(level);
	return 0;
}

static int take_option(struct ssd_opts *o, int opt, struct errbuf *eb)
{
	switch (opt) {
	case OPT_SOCKET:
		return path_set("--socket", &o->socket_path, eb);
	case OPT_CTL:
		return path_set("--ctl", &o->ctl_path, eb);
	case OPT_POOL:
		return path_set("--pool", &o->pool, eb);
	case OPT_NS:
		return ns_add(o, eb);
	case OPT_NULL:
		return null_add(o, eb);
	case OPT_SERIAL:
		return text_set("--serial", o->serial, sizeof(o->serial), eb);
	case OPT_MODEL:
		return text_set("--model", o->model, sizeof(o->model), eb);
	case OPT_QUEUES:
		return number_set("--queues", 1, SSD_QUEUES_MAX, &o->queues, eb);
	case OPT_MQES:
		return number_set("--mqes", 2, SSD_MQES_MAX, &o->mqes, eb);
	case OPT_MDTS:
		return number_set("--mdts", 1, SSD_MDTS_MAX, &o->mdts, eb);
	case OPT_SPIN:
		return number_set("--spin", 0, 1000000, &o->spin_us, eb);
	case OPT_NAP:
		return number_set("--nap", 1, 1000000, &o->nap_us, eb);
	case OPT_READY:
		return number_set("--ready-delay", 0, 60000, &o->ready_ms, eb);
	case OPT_SERVICE:
		return service_set(o, eb);
	case OPT_HMB:
		return hmb_set(o, eb);
	case OPT_CAPACITY:
		if (uri_size_parse(optarg, &o->capacity) || !o->capacity)
			return errbuf_set(eb, -EINVAL,
					  "--capacity: must be a size such as 4G, not \"%.60s\"",
					  optarg);
		return 0;
	case OPT_FAULT:
		return fault_add(o, eb);
	case OPT_LOG_LEVEL:
		return level_set(eb);
	default:
		o->dbbuf |= opt == OPT_DBBUF;
		o->sgl |= opt == OPT_SGL;
		o->no_cache |= opt == OPT_NO_CACHE;
		o->no_mmap |= opt == OPT_NO_MMAP;
		return 0;
	}
}

static enum ssd_options_verdict check(const struct ssd_opts *o, int argc, char **argv,
				      struct errbuf *eb)
{
	if (optind < argc) {
		fprintf(stderr, "nvring-ssd: '%s' is not an option\nTry 'nvring-ssd --help'.\n",
			argv[optind]);
		return SSD_OPTIONS_USAGE;
	}
	if (!o->socket_path || (!o->nns && !o->capacity)) {
		fputs("nvring-ssd: give --socket SOCKET and --ns PATH\nTry 'nvring-ssd --help'.\n",
		      stderr);
		return SSD_OPTIONS_USAGE;
	}
	if (o->pool && !o->capacity) {
		errbuf_set(eb, -EINVAL, "--pool belongs to --capacity");
		return SSD_OPTIONS_BAD;
	}
	return SSD_OPTIONS_RUN;
}

enum ssd_options_verdict ssd_options_parse(int argc, char **argv, struct ssd_opts *o,
					   struct errbuf *eb)
{
	int opt;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(help_text, stdout);
			return SSD_OPTIONS_DONE;
		case 'V':
			puts("nvring-ssd " NVRING_VERSION);
			return SSD_OPTIONS_DONE;
		case '?':
			fputs("Try 'nvring-ssd --help'.\n", stderr);
			return SSD_OPTIONS_USAGE;
		default:
			if (take_option(o, opt, eb))
				return SSD_OPTIONS_BAD;
			break;
		}
	}
	return check(o, argc, argv, eb);
}
