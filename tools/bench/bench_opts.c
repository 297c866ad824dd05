/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of the load generator. */
#include "tools/bench/bench_priv.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/mono.h"
#include "drivers/uri.h"

/* clang-format off */
static const char help[] =
"Usage: nvring bench [OPTION]... URI|SOCKET\n"
"       nvring bench [OPTION]... --null-responder\n"
"       nvring bench --pingpong[=CPU,CPU]\n"
"\n"
"Drives a disk as hard as asked and tells what came of it. The target is a bdev URI\n"
"(null:1G, ram:1G, file:disk.img) or the socket of any vhost-user-blk device.\n"
"\n"
"The load\n"
"  --rw KIND           read, write, randread (default), randwrite, rw, randrw\n"
"  --mix PCT           share of reads in rw and randrw (70)\n"
"  --bs SIZE           bytes per I/O (4k), a multiple of 512, at most 4M\n"
"  --depth N           I/Os in flight per queue (32), at most 1024\n"
"  --queues N          queues (1), each on a thread of its own\n"
"  --one-thread        all queues on one thread\n"
"  --offset SIZE, --size SIZE   the range that is touched (all)\n"
"  --flush-every N     a flush after every N writes of a queue\n"
"  --discard PCT, --write-zeroes PCT   share of all I/Os (0)\n"
"  --time TIME         how long to measure (10s): 500ms, 10, 10s, 2m\n"
"  --warmup TIME       not measured, before it (1s; with --ios 0)\n"
"  --ios N             end after N I/Os instead\n"
"  --seed N            of the random numbers (1)\n"
"  --cpu LIST          pin thread i to the i-th CPU of the list: 1,3,5-7\n"
"\n"
"Sockets only\n"
"  --packed            packed rings; an error when the device has none\n"
"  --in-order          ask for IN_ORDER\n"
"  --no-indirect       do not ask for indirect descriptors\n"
"  --no-event-idx      do not ask for EVENT_IDX\n"
"  --ring N            entries of each ring (128 to 1024 by depth; power of two)\n"
"  --minimal           agree on nothing but MQ and CONFIG, as the oldest front-ends do\n"
"  --no-inflight       ask for no inflight region\n"
"  --eventfd           sleep until the device calls; otherwise the ring is polled\n"
"  --connect TIME      wait so long for the socket to appear (0)\n"
"  --reconnect TIME    when the server goes away, wait so long for the next one and go on\n"
"  --null-responder[=CPU]  drive a device of our own that does nothing: the generator's limit\n"
"\n"
"Verification\n"
"  --verify            stamp what is written, check what is read, and all of it at the end\n"
"  --verify-state FILE remember the stamps here (implies --verify): a later run goes on with it\n"
"  --check             only check what FILE says, no load\n"
"\n"
"Output\n"
"  --json              the result as JSON\n"
"  --progress          a line a second on standard error (default on a terminal)\n"
"  --no-progress\n"
"  --pingpong[=A,B]    measure the way of a cache line between two CPUs and back; also\n"
"                      measured for --json. Without a target: only that\n"
"  --help\n"
"\n"
"Exit: 0 all is well; 1 an I/O failed, verification found something, the target was lost; 2 usage.\n"
"\n"
"Examples\n"
"  nvring bench null:1G --depth 128\n"
"  nvring bench /run/nvring/vol0.sock --depth 1 --cpu 1 --json\n"
"  nvring bench vol0.sock --rw randrw --verify --verify-state vol0.state --reconnect 10\n";

enum {
	O_RW = 256, O_MIX, O_BS, O_DEPTH, O_QUEUES, O_ONE_THREAD, O_OFFSET, O_SIZE, O_FLUSH,
	O_DISCARD, O_ZEROES, O_TIME, O_WARMUP, O_IOS, O_SEED, O_CPU, O_PACKED, O_IN_ORDER,
	O_NO_INDIRECT, O_NO_EVENT_IDX, O_RING, O_MINIMAL, O_NO_INFLIGHT, O_EVENTFD, O_CONNECT,
	O_RECONNECT, O_NULL, O_VERIFY, O_VERIFY_STATE, O_CHECK, O_JSON, O_PROGRESS, O_NO_PROGRESS,
	O_PINGPONG, O_HELP,
};
/* clang-format on */

static const struct option options[] = {
	{ "rw", required_argument, NULL, O_RW },
	{ "mix", required_argument, NULL, O_MIX },
	{ "bs", required_argument, NULL, O_BS },
	{ "depth", required_argument, NULL, O_DEPTH },
	{ "queues", required_argument, NULL, O_QUEUES },
	{ "one-thread", no_argument, NULL, O_ONE_THREAD },
	{ "offset", required_argument, NULL, O_OFFSET },
	{ "size", required_argument, NULL, O_SIZE },
	{ "flush-every", required_argument, NULL, O_FLUSH },
	{ "discard", required_argument, NULL, O_DISCARD },
	{ "write-zeroes", required_argument, NULL, O_ZEROES },
	{ "time", required_argument, NULL, O_TIME },
	{ "warmup", required_argument, NULL, O_WARMUP },
	{ "ios", required_argument, NULL, O_IOS },
	{ "seed", required_argument, NULL, O_SEED },
	{ "cpu", required_argument, NULL, O_CPU },
	{ "packed", no_argument, NULL, O_PACKED },
	{ "in-order", no_argument, NULL, O_IN_ORDER },
	{ "no-indirect", no_argument, NULL, O_NO_INDIRECT },
	{ "no-event-idx", no_argument, NULL, O_NO_EVENT_IDX },
	{ "ring", required_argument, NULL, O_RING },
	{ "minimal", no_argument, NULL, O_MINIMAL },
	{ "no-inflight", no_argument, NULL, O_NO_INFLIGHT },
	{ "eventfd", no_argument, NULL, O_EVENTFD },
	{ "connect", required_argument, NULL, O_CONNECT },
	{ "reconnect", required_argument, NULL, O_RECONNECT },
	{ "null-responder", optional_argument, NULL, O_NULL },
	{ "verify", no_argument, NULL, O_VERIFY },
	{ "verify-state", required_argument, NULL, O_VERIFY_STATE },
	{ "check", no_argument, NULL, O_CHECK },
	{ "json", no_argument, NULL, O_JSON },
	{ "progress", no_argument, NULL, O_PROGRESS },
	{ "no-progress", no_argument, NULL, O_NO_PROGRESS },
	{ "pingpong", optional_argument, NULL, O_PINGPONG },
	{ "help", no_argument, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	const char *name;
	bool random, reads, writes;
} kinds[] = {
	{ "read", false, true, false },	    { "write", false, false, true },
	{ "rw", false, true, true },	    { "randread", true, true, false },
	{ "randwrite", true, false, true }, { "randrw", true, true, true },
};

/* Decimal, all of @text, within the limits. */
static bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end;
	uint64_t v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || v < min || v > max)
		return false;
	*ret = v;
	return true;
}

static bool parse_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret)
{
	uint64_t v;

	if (!parse_number(text, min, max, &v))
		return false;
	*ret = (unsigned)v;
	return true;
}

/* "500ms", "10s", "2m", "10": nanoseconds. */
static bool parse_time(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "", MONO_NS_PER_SEC },
		      { "s", MONO_NS_PER_SEC },
		      { "ms", MONO_NS_PER_MS },
		      { "us", MONO_NS_PER_US },
		      { "m", 60 * MONO_NS_PER_SEC } };
	char *end;
	double v = strtod(text, &end);

	if (end == text || !(v >= 0) || v > 1e9)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		*ret_ns = (uint64_t)(v * (double)units[i].ns);
		return true;
	}
	return false;
}

static bool parse_cpus(const char *text, struct bench_opts *o)
{
	char copy[256], *save = NULL;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return false;
	o->ncpus = 0;
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(p, '-');
		unsigned a, b;

		if (dash)
			*dash++ = '\0';
		if (!parse_unsigned(p, 0, 1023, &a))
			return false;
		b = a;
		if (dash && !parse_unsigned(dash, a, 1023, &b))
			return false;
		for (; a <= b; a++) {
			if (o->ncpus == BENCH_CPUS_MAX)
				return false;
			o->cpus[o->ncpus++] = a;
		}
	}
	return o->ncpus != 0;
}

static bool parse_pingpong(const char *text, struct bench_opts *o)
{
	struct bench_opts pair = { 0 };

	o->pingpong = true;
	if (!text)
		return true;
	if (!parse_cpus(text, &pair) || pair.ncpus != 2)
		return false;
	o->pingpong_cpu[0] = pair.cpus[0];
	o->pingpong_cpu[1] = pair.cpus[1];
	o->pingpong_cpus_given = true;
	return true;
}

static bool parse_kind(const char *text, struct bench_opts *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(text, kinds[i].name) == 0) {
			o->rw_name = kinds[i].name;
			return true;
		}
	return false;
}

static bool parse_size(const char *text, uint64_t *ret)
{
	return uri_size_parse(text, ret) == 0;
}

/* What sizes and times say, before they are put where they belong. */
struct raw {
	uint64_t bs, connect_ns, reconnect_ns, warmup_ns;
	bool warmup_given;
	unsigned mix;
	int progress; /* -1: by terminal */
};

static bool parse_load(int opt, const char *arg, struct bench_opts *o, struct raw *r)
{
	switch (opt) {
	case O_RW:
		return parse_kind(arg, o);
	case O_MIX:
		return parse_unsigned(arg, 0, 100, &r->mix);
	case O_BS:
		return parse_size(arg, &r->bs);
	case O_DEPTH:
		return parse_unsigned(arg, 1, BENCH_DEPTH_MAX, &o->depth);
	case O_QUEUES:
		return parse_unsigned(arg, 1, BENCH_QUEUES_MAX, &o->queues);
	case O_ONE_THREAD:
		return o->one_thread = true;
	case O_OFFSET:
		return parse_size(arg, &o->offset);
	case O_SIZE:
		return parse_size(arg, &o->size);
	case O_FLUSH:
		return parse_unsigned(arg, 1, UINT32_MAX, &o->flush_every);
	case O_DISCARD:
		return parse_unsigned(arg, 0, 100, &o->discard_pct);
	case O_ZEROES:
		return parse_unsigned(arg, 0, 100, &o->zeroes_pct);
	case O_TIME:
		return parse_time(arg, &o->time_ns);
	case O_WARMUP:
		return r->warmup_given = parse_time(arg, &r->warmup_ns);
	case O_IOS:
		return parse_number(arg, 1, UINT64_MAX - 1, &o->ios);
	case O_SEED:
		return parse_number(arg, 0, UINT64_MAX, &o->seed);
	case O_CPU:
		return parse_cpus(arg, o);
	default:
		return false;
	}
}

static bool parse_socket(int opt, const char *arg, struct bench_opts *o, struct raw *r)
{
	unsigned cpu;

	switch (opt) {
	case O_PACKED:
		return o->packed = true;
	case O_IN_ORDER:
		return o->in_order = true;
	case O_NO_INDIRECT:
		return o->no_indirect = true;
	case O_NO_EVENT_IDX:
		return o->no_event_idx = true;
	case O_RING:
		return parse_unsigned(arg, 4, 1024, &o->ring) && CC_IS_POW2(o->ring);
	case O_MINIMAL:
		return o->minimal = true;
	case O_NO_INFLIGHT:
		return o->no_inflight = true;
	case O_EVENTFD:
		return o->eventfd = true;
	case O_CONNECT:
		return parse_time(arg, &r->connect_ns);
	case O_RECONNECT:
		return parse_time(arg, &r->reconnect_ns);
	case O_NULL:
		o->null_responder = true;
		if (!arg)
			return true;
		if (!parse_unsigned(arg, 0, 1023, &cpu))
			return false;
		o->null_cpu = (int)cpu;
		return true;
	default:
		return false;
	}
}

static bool parse_rest(int opt, const char *arg, struct bench_opts *o, struct raw *r)
{
	switch (opt) {
	case O_VERIFY:
		return o->verify = true;
	case O_VERIFY_STATE:
		o->verify_state = arg;
		return o->verify = true;
	case O_CHECK:
		return o->check_only = o->verify = true;
	case O_JSON:
		return o->json = true;
	case O_PROGRESS:
		r->progress = 1;
		return true;
	case O_NO_PROGRESS:
		r->progress = 0;
		return true;
	case O_PINGPONG:
		return parse_pingpong(arg, o);
	default:
		return false;
	}
}

static int usage(const char *name, const char *what, const char *arg)
{
	fprintf(stderr, "%s: %s%s%s (--help lists the options)\n", name, what, arg ? ": " : "",
		arg ? arg : "");
	return -EINVAL;
}

static void find_target(struct bench_opts *o, const char *text)
{
	const char virtio_user[] = "virtio-user:";
	struct stat st;

	o->target = text;
	if (strncmp(text, virtio_user, sizeof(virtio_user) - 1) == 0) {
		o->target = text + sizeof(virtio_user) - 1;
		o->is_socket = true;
	} else if (stat(text, &st) == 0) {
		o->is_socket = S_ISSOCK(st.st_mode);
	} else { /* a socket that is still to appear has no scheme */
		o->is_socket = text[0] == '/' || text[0] == '.' || !strchr(text, ':');
	}
}

static void settle_kind(struct bench_opts *o, unsigned mix)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(o->rw_name, kinds[i].name) != 0)
			continue;
		o->random = kinds[i].random;
		o->read_pct = kinds[i].reads && kinds[i].writes ? mix : kinds[i].reads ? 100 : 0;
	}
}

/* What does not go together; and the values that depend on others. */
static int settle(struct bench_opts *o, const struct raw *r, const char *name)
{
	if (r->bs < 512 || r->bs > BENCH_BS_MAX || r->bs % 512)
		return usage(name, "--bs is a multiple of 512, at most 4M", NULL);
	o->bs = (uint32_t)r->bs;
	o->connect_ms = (unsigned)(r->connect_ns / MONO_NS_PER_MS);
	o->reconnect_ms = (unsigned)(r->reconnect_ns / MONO_NS_PER_MS);
	o->warmup_ns = r->warmup_given ? r->warmup_ns : o->ios ? 0 : MONO_NS_PER_SEC;
	if (o->ios)
		o->time_ns = 0;
	else if (o->time_ns == 0 && !o->check_only)
		return usage(name, "--time 0 measures nothing", NULL);
	settle_kind(o, r->mix);
	if (o->offset % 512 || o->size % 512)
		return usage(name, "--offset and --size are multiples of 512", NULL);
	if (o->discard_pct + o->zeroes_pct > 100)
		return usage(name, "--discard and --write-zeroes are more than all", NULL);
	o->only_reads = o->read_pct == 100 && !o->discard_pct && !o->zeroes_pct;
	if (o->check_only && !o->verify_state)
		return usage(name, "--check needs --verify-state", NULL);
	if (o->eventfd && o->one_thread && o->queues > 1)
		return usage(name, "one thread cannot sleep on several queues", NULL);
	if (o->eventfd && !o->is_socket)
		return usage(name, "--eventfd is for sockets", NULL);
	o->progress = r->progress > 0 || (r->progress < 0 && o->is_terminal);
	return 0;
}

int bench_opts_parse(struct bench_opts *o, int argc, char **argv, int *ret_exit)
{
	const char *name = argc > 0 ? argv[0] : "nvring bench";
	struct raw r = { .bs = 4096, .mix = 70, .progress = -1 };
	int opt, at;

	o->depth = 32;
	o->queues = 1;
	o->rw_name = "randread";
	o->time_ns = 10 * MONO_NS_PER_SEC;
	o->seed = 1;
	o->null_cpu = -1;
	o->argc = argc;
	o->argv = argv;
	*ret_exit = 2;
	optind = 0; /* the program may have parsed before us */
	while ((opt = getopt_long(argc, argv, "h", options, &at)) != -1) {
		if (opt == 'h' || opt == O_HELP) {
			fputs(help, stdout);
			*ret_exit = 0;
			return -ECANCELED;
		}
		if (opt == '?')
			return usage(name, "unknown or incomplete option", NULL);
		if (!parse_load(opt, optarg, o, &r) && !parse_socket(opt, optarg, o, &r) &&
		    !parse_rest(opt, optarg, o, &r)) {
			fprintf(stderr, "%s: --%s: not understood: %s (--help lists the options)\n",
				name, options[at].name, optarg ? optarg : "");
			return -EINVAL;
		}
	}
	if (argc - optind > 1)
		return usage(name, "more than one target", argv[optind + 1]);
	if (o->null_responder == (argc > optind)) {
		o->pingpong_only = o->pingpong && !o->null_responder;
		if (!o->pingpong_only)
			return usage(name, "give one target, or --null-responder", NULL);
		return 0;
	}
	if (o->null_responder) {
		o->target = "null-responder";
		o->is_socket = true;
	} else {
		find_target(o, argv[optind]);
	}
	return settle(o, &r, name);
}
