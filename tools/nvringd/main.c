/* SPDX-License-Identifier: BSD-3-Clause */
/* nvringd: options, start, serve, end. What happens in between stands in wiring.c. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "core/sigbus.h"
#include "tools/nvringd/notify.h"
#include "tools/nvringd/options.h"
#include "tools/nvringd/signals.h"
#include "tools/nvringd/wiring.h"

#define LOG_TAG "nvringd"
#include "core/base/log.h"

enum {
	EXIT_FINE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

static void on_signal(void *arg, int signo)
{
	struct wiring *w = arg;

	if (w->stopping) {
		log_error("%s again: ending with I/O under way", strsignal(signo));
		_exit(EXIT_FAILED);
	}
	log_notice("%s, ending", strsignal(signo));
	wiring_stop(w);
}

static void say_ready(const struct wiring *w)
{
	char lines[256];

	snprintf(lines, sizeof(lines), "READY=1\nSTATUS=serving %u disks on %u sockets", w->ndisks,
		 w->nexports);
	notify_send(lines);
	log_notice("%s: %u disk%s, %u export%s, %u reactor%s%s%s", NVRING_VERSION, w->ndisks,
		   w->ndisks == 1 ? "" : "s", w->nexports, w->nexports == 1 ? "" : "s",
		   w->nreactors, w->nreactors == 1 ? "" : "s", w->rpc ? ", control socket " : "",
		   w->rpc ? w->rpc_path : "");
}

static int serve(const struct config *c)
{
	struct wiring w;
	struct errbuf eb;
	int err;

	log_set_level(c->log_level);
	err = wiring_start(&w, c, &eb);
	if (!err)
		err = signals_open(w.control, on_signal, &w, &eb);
	if (err) {
		log_error("%s", eb.text);
		wiring_stop(&w);
	} else {
		say_ready(&w);
	}
	/* Also after a failed start: what was made is taken apart by the same road. */
	wiring_run(&w);
	signals_close();
	wiring_fini(&w);
	return err ? EXIT_FAILED : EXIT_FINE;
}

int main(int argc, char **argv)
{
	enum options_verdict verdict;
	struct config c;
	struct errbuf eb;
	int rc = EXIT_FINE;

	mono_init();
	(void)sigbus_guard_start(); /* a known signal: cannot fail */
	config_init(&c);
	verdict = options_parse(argc, argv, &c, &eb);
	switch (verdict) {
	case OPTIONS_RUN:
		rc = serve(&c);
		break;
	case OPTIONS_DONE:
		break;
	case OPTIONS_USAGE:
		rc = EXIT_USAGE;
		break;
	case OPTIONS_BAD_CONFIG:
		log_error("%s", eb.text);
		rc = EXIT_FAILED;
		break;
	}
	config_fini(&c);
	return rc;
}
