/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring-ssd: options, serve, end; or a word to one that runs. */
#include <stdio.h>
#include <string.h>

#include "core/base/mono.h"
#include "core/sigbus.h"
#include "tools/ssd/ssd.h"
#include "tools/ssd/ssd_options.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

enum {
	EXIT_FINE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

static int serve(const struct ssd_opts *o)
{
	struct ssd *s = NULL;
	struct errbuf eb;
	int err = ssd_create(o, &s, &eb);

	if (!err)
		err = ssd_listen(s, &eb);
	if (err) {
		log_error("%s", eb.text);
	} else {
		log_notice("%s: %u namespace%s on %s", NVRING_VERSION, o->nns,
			   o->nns == 1 ? "" : "s", o->socket_path);
		err = ssd_run(s);
	}
	ssd_destroy(s);
	return err ? EXIT_FAILED : EXIT_FINE;
}

static int ctl(int argc, char **argv)
{
	if (argc < 4) {
		fputs("nvring-ssd: usage: nvring-ssd ctl CONTROL-SOCKET COMMAND [ARGUMENT...]\n",
		      stderr);
		return EXIT_USAGE;
	}
	return ssd_ctl_call(argv[2], argc - 3, argv + 3);
}

int main(int argc, char **argv)
{
	struct ssd_opts o;
	struct errbuf eb;

	if (argc > 1 && !strcmp(argv[1], "ctl"))
		return ctl(argc, argv);
	mono_init();
	(void)sigbus_guard_start(); /* a known signal: cannot fail */
	ssd_opts_init(&o);
	switch (ssd_options_parse(argc, argv, &o, &eb)) {
	case SSD_OPTIONS_RUN:
		return serve(&o);
	case SSD_OPTIONS_DONE:
		return EXIT_FINE;
	case SSD_OPTIONS_USAGE:
		return EXIT_USAGE;
	case SSD_OPTIONS_BAD:
		break;
	}
	log_error("%s", eb.text);
	return EXIT_FAILED;
}
