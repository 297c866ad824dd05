/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring top: what a daemon does, second by second. */
#include <assert.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/show.h"
#include "tools/nvring/top_rates.h"
#include "tools/nvring/top_screen.h"
#include "tools/nvring/top_show.h"
#include "tools/nvring/top_take.h"

#define INTERVAL_S_MIN 0.1
#define INTERVAL_S_MAX 3600
#define LIVE_TIMEOUT_S 5 /* the keys do not answer while the daemon does not */

static int parse_interval(const char *text, uint64_t *ret_ns)
{
	char *end;
	double v;

	*ret_ns = MONO_NS_PER_SEC;
	if (!text)
		return CLI_OK;
	v = strtod(text, &end);
	if (end == text || *end || !(v >= INTERVAL_S_MIN && v <= INTERVAL_S_MAX))
		return cli_error(CLI_USAGE, "--interval: seconds from %g to %d, not '%s'", INTERVAL_S_MIN,
				 INTERVAL_S_MAX, text);
	*ret_ns = (uint64_t)(v * (double)MONO_NS_PER_SEC);
	return CLI_OK;
}

/* What the disks show; live, at first. */
static enum top_view first_view(struct cli *cli)
{
	return cli_opt(cli, "latency") ? TOP_VIEW_LATENCY : TOP_VIEW_RATES;
}

/*
 * Once
 */

static int show_once(struct cli *cli, const struct top_snap *now, const struct top_snap *then)
{
	struct json_object *obj;

	if (now->pid != then->pid)
		return cli_error(CLI_FAILED, "nvringd was restarted in the interval: try again");
	if (!cli->json) {
		top_show(stdout, now, then, first_view(cli));
		return CLI_OK;
	}
	obj = top_json(now, then);
	show_json(obj);
	json_object_put(obj);
	return CLI_OK;
}

static int once(struct cli *cli, uint64_t interval_ns)
{
	struct timespec ts = mono_timespec(interval_ns);
	struct top_snap then = { 0 }, now = { 0 };
	struct errbuf eb;
	int rc = top_take(cli, &then, &eb);

	if (!rc) {
		while (nanosleep(&ts, &ts))
			; /* stopped and gone on: the rest of it */
		rc = top_take(cli, &now, &eb);
	}
	rc = rc ? cli_error(rc, "%s", eb.text) : show_once(cli, &now, &then);
	top_snap_fini(&now);
	top_snap_fini(&then);
	return rc;
}

/*
 * Live
 */

/* The caller's to free; NULL: out of memory. */
static char *tables(const struct top_snap *now, const struct top_snap *then, enum top_view view)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	top_show(f, now, then, view);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static_assert((int)TOP_SCREEN_PAGES == (int)TOP_VIEWS, "a page for each view");

static void set_tables(const struct top_snap *now, const struct top_snap *then)
{
	char *pages[TOP_VIEWS];

	for (unsigned i = 0; i < TOP_VIEWS; i++)
		pages[i] = tables(now, then, (enum top_view)i);
	top_screen_set((const char *const *)pages);
	for (unsigned i = 0; i < TOP_VIEWS; i++)
		free(pages[i]);
}

/* On whatever page. */
static void set_text(const char *text)
{
	top_screen_set((const char *const[TOP_SCREEN_PAGES]){ text, text });
}

static void set_line(const char *line)
{
	char text[ERRBUF_BYTES_MAX + 32];

	snprintf(text, sizeof(text), "Trying again: %s\n", line);
	set_text(text);
}

/* A look at the daemon in place of @last, and what has changed on the screen. */
static void look(struct cli *cli, struct top_snap *last)
{
	struct top_snap now = { 0 };
	struct errbuf eb;
	int rc;

	top_screen_let_signals(true);
	rc = top_take(cli, &now, &eb);
	top_screen_let_signals(false);
	if (rc)
		set_line(eb.text);
	else if (last->pid && last->pid != now.pid)
		set_line("nvringd was restarted");
	else if (last->pid)
		set_tables(&now, last);
	top_snap_fini(last);
	*last = now;
}

static int live(struct cli *cli, uint64_t interval_ns)
{
	struct top_snap last = { 0 };
	struct errbuf eb;
	int rc = top_take(cli, &last, &eb);

	if (rc)
		return cli_error(rc, "%s", eb.text);
	if (top_screen_open(first_view(cli), &eb)) {
		top_snap_fini(&last);
		return cli_error(CLI_USAGE, "%s", eb.text);
	}
	if (cli->timeout_s > LIVE_TIMEOUT_S)
		cli->timeout_s = LIVE_TIMEOUT_S;
	set_text("measuring\n");
	while (top_screen_wait(mono_ns() + interval_ns))
		look(cli, &last);
	top_snap_fini(&last);
	top_screen_close();
	return CLI_OK;
}

int cli_top(struct cli *cli)
{
	bool is_once = cli_opt(cli, "once");
	uint64_t interval_ns;
	int rc = parse_interval(cli_opt(cli, "interval"), &interval_ns);

	if (rc)
		return rc;
	if (is_once)
		return once(cli, interval_ns);
	if (cli->json)
		return cli_error(CLI_USAGE, "--json needs --once: a live view is for people");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_error(CLI_USAGE, "the live view needs a terminal: use --once");
	return live(cli, interval_ns);
}
