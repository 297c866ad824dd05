/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about the daemon itself: version, reactors, log level, configuration. */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "tools/nvringd/wiring_balance.h"

#define LOG_TAG "rpc"
#include "core/base/log.h"

static void get_version(struct rpc_call *call, const void *params)
{
	struct json_object *obj = json_object_new_object(), *fields = json_object_new_object();
	unsigned major = 0, minor = 0, patch = 0;

	sscanf(NVRING_VERSION, "%u.%u.%u", &major, &minor, &patch);
	json_object_object_add(obj, "version", json_object_new_string("nvring " NVRING_VERSION));
	json_object_object_add(fields, "major", json_object_new_int((int)major));
	json_object_object_add(fields, "minor", json_object_new_int((int)minor));
	json_object_object_add(fields, "patch", json_object_new_int((int)patch));
	json_object_object_add(obj, "fields", fields);
	rpc_answer(call, obj);
}

/*
 * Reactors
 */

static struct json_object *reactor_json(const struct reactor *r)
{
	struct json_object *obj = json_object_new_object();
	struct reactor_idle idle = reactor_get_idle(r);
	struct reactor_stats st;

	reactor_get_stats(r, &st);
	json_object_object_add(obj, "id", json_object_new_int((int)r->id));
	json_object_object_add(obj, "lcore", json_object_new_int(r->cpu));
	json_object_object_add(obj, "name", json_object_new_string(r->name));
	json_object_object_add(
		obj, "mode", json_object_new_string(reactor_mode_name(reactor_get_mode(r))));
	json_object_object_add(obj, "in_interrupt",
			       json_object_new_boolean(reactor_get_mode(r) == REACTOR_INTERRUPT));
	json_object_object_add(obj, "idle_min", rpc_number(idle.min_ns));
	json_object_object_add(obj, "idle_max", rpc_number(idle.max_ns));
	json_object_object_add(obj, "busy", rpc_number(st.busy_ns));
	json_object_object_add(obj, "idle", rpc_number(st.idle_ns));
	json_object_object_add(obj, "sleep", rpc_number(st.sleep_ns));
	json_object_object_add(obj, "turns", rpc_number(st.turns));
	json_object_object_add(obj, "sleeps", rpc_number(st.sleeps));
	json_object_object_add(obj, "messages", rpc_number(st.messages));
	json_object_object_add(obj, "pollers", json_object_new_int((int)st.pollers));
	json_object_object_add(obj, "hot", json_object_new_int((int)st.hot));
	json_object_object_add(obj, "cold", json_object_new_int((int)st.cold));
	json_object_object_add(obj, "armed", json_object_new_int((int)st.armed));
	return obj;
}

static void get_reactors(struct rpc_call *call, const void *params)
{
	struct json_object *obj = json_object_new_object(), *arr = json_object_new_array();
	const struct wiring *w = rpc_wiring(call);

	json_object_object_add(obj, "tick_rate", rpc_number(MONO_NS_PER_SEC));
	json_object_object_add(obj, "pid", json_object_new_int(getpid()));
	for (unsigned i = 0; i < w->nreactors; i++)
		json_object_array_add(arr, reactor_json(w->reactors[i]));
	json_object_object_add(obj, "reactors", arr);
	json_object_object_add(obj, "control", reactor_json(w->control));
	rpc_answer(call, obj);
}

/* Which reactors @id means: [*ret_first, *ret_end), all of them without one. Else it has answered.
 */
static int which_reactors(struct rpc_call *call, struct json_object *id, unsigned *ret_first,
			  unsigned *ret_end)
{
	const struct wiring *w = rpc_wiring(call);
	int64_t n;

	*ret_first = 0;
	*ret_end = w->nreactors;
	if (!id || (json_object_is_type(id, json_type_string) &&
		    strcmp(json_object_get_string(id), "all") == 0))
		return 0;
	n = json_object_get_int64(id);
	if (!json_object_is_type(id, json_type_int) || n < 0 || n >= (int64_t)w->nreactors) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "id: \"all\" or a number from 0 to %u",
			 w->nreactors - 1);
		return -EINVAL;
	}
	*ret_first = (unsigned)n;
	*ret_end = *ret_first + 1;
	return 0;
}

struct mode_params {
	struct json_object *id;
	char mode[16];
};

static const struct jread_field mode_fields[] = {
	JREAD_ROW_VALUE(struct mode_params, id, "id"),
	JREAD_ROW_TEXT(struct mode_params, mode, "mode", true),
};

static void set_mode(struct rpc_call *call, const void *params)
{
	const struct mode_params *p = params;
	struct wiring *w = rpc_wiring(call);
	enum reactor_mode mode;
	unsigned first, end;

	if (reactor_mode_parse(p->mode, &mode)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS,
			 "mode: adaptive, poll or interrupt, not \"%s\"", p->mode);
		return;
	}
	if (which_reactors(call, p->id, &first, &end))
		return;
	for (unsigned i = first; i < end; i++)
		reactor_set_mode(w->reactors[i], mode);
	if (end - first == w->nreactors)
		w->conf.mode = mode; /* what save_config writes */
	rpc_answer(call, json_object_new_boolean(1));
}

struct idle_params {
	struct json_object *id;
	unsigned min_us, max_us;
};

#define IDLE_ROW(m, min_)                                                 \
	{                                                                 \
		.key = #m, .type = JREAD_UINT, .required = true,          \
		.offset = offsetof(struct idle_params, m), .min = (min_), \
		.max = CONFIG_IDLE_US_MAX                                 \
	}

static const struct jread_field idle_fields[] = {
	JREAD_ROW_VALUE(struct idle_params, id, "id"),
	IDLE_ROW(min_us, 0),
	IDLE_ROW(max_us, 1),
};

static void set_idle(struct rpc_call *call, const void *params)
{
	const struct idle_params *p = params;
	struct wiring *w = rpc_wiring(call);
	struct config asked = w->conf;
	struct reactor_idle idle;
	unsigned first, end;
	struct errbuf eb;

	asked.idle_min_us = p->min_us;
	asked.idle_max_us = p->max_us;
	if (config_idle(&asked, &idle, &eb)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "%s", eb.text);
		return;
	}
	if (which_reactors(call, p->id, &first, &end))
		return;
	for (unsigned i = first; i < end; i++)
		(void)reactor_set_idle(w->reactors[i], &idle); /* checked above */
	if (end - first == w->nreactors) {
		w->conf.idle_min_us = p->min_us; /* what save_config writes */
		w->conf.idle_max_us = p->max_us;
	}
	rpc_answer(call, json_object_new_boolean(1));
}

static void get_rebalance(struct rpc_call *call, const void *params)
{
	struct json_object *obj = json_object_new_object();
	const struct wiring *w = rpc_wiring(call);

	json_object_object_add(obj, "enabled", json_object_new_boolean(w->conf.rebalance));
	json_object_object_add(obj, "moves", rpc_number(wiring_balance_moves(w->balance)));
	rpc_answer(call, obj);
}

struct rebalance_params {
	bool enabled;
};

static const struct jread_field rebalance_fields[] = {
	{ .key = "enabled", .type = JREAD_BOOL, .required = true,
	  .offset = offsetof(struct rebalance_params, enabled) },
};

static void set_rebalance(struct rpc_call *call, const void *params)
{
	const struct rebalance_params *p = params;
	struct wiring *w = rpc_wiring(call);

	w->conf.rebalance = p->enabled;
	wiring_balance_update(w->balance);
	rpc_answer(call, json_object_new_boolean(1));
}

/*
 * Log level
 */

struct level_params {
	char level[16];
};

static const struct jread_field level_fields[] = {
	JREAD_ROW_TEXT(struct level_params, level, "level", true),
};

static void set_level(struct rpc_call *call, const void *params)
{
	struct level_params p = *(const struct level_params *)params;
	enum log_level level;

	for (char *s = p.level; *s; s++)
		*s = (char)tolower((unsigned char)*s); /* SPDK writes them large */
	if (strcmp(p.level, "warning") == 0)
		p.level[4] = '\0';
	if (log_level_parse(p.level, &level)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS,
			 "level: error, warn, notice, info or debug, not \"%s\"", p.level);
		return;
	}
	log_set_level(level);
	rpc_answer(call, json_object_new_boolean(1));
}

static void get_level(struct rpc_call *call, const void *params)
{
	rpc_answer(call, json_object_new_string(log_level_name(log_get_level())));
}

/*
 * Configuration
 */

static struct json_object *current_config(struct rpc_call *call)
{
	struct json_object *obj;
	struct config c;

	if (wiring_get_config(rpc_wiring(call), &c)) {
		rpc_fail(call, JSONRPC_INTERNAL, "out of memory");
		return NULL;
	}
	obj = config_build(&c);
	config_fini(&c);
	return obj;
}

static void get_config(struct rpc_call *call, const void *params)
{
	struct json_object *obj = current_config(call);

	if (obj)
		rpc_answer(call, obj);
}

struct save_params {
	char path[1024];
};

static const struct jread_field save_fields[] = {
	JREAD_ROW_TEXT(struct save_params, path, "path", false),
};

static void save_config(struct rpc_call *call, const void *params)
{
	const struct save_params *p = params;
	const char *path = p->path[0] ? p->path : rpc_wiring(call)->conf.path;
	struct json_object *obj, *res;
	struct errbuf eb;
	int err;

	if (!path[0]) {
		rpc_fail(call, JSONRPC_STATE,
			 "nvringd was started without --config: name a file to write");
		return;
	}
	if (p->path[0] && p->path[0] != '/') {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "path: must begin with /");
		return;
	}
	obj = current_config(call);
	if (!obj)
		return;
	err = config_save(path, obj, &eb);
	json_object_put(obj);
	if (err) {
		rpc_fail(call, JSONRPC_STATE, "%s", eb.text);
		return;
	}
	log_notice("configuration written to %s", path);
	res = json_object_new_object();
	json_object_object_add(res, "path", json_object_new_string(path));
	rpc_answer(call, res);
}

static const struct rpc_method methods[] = {
	{ .name = "nvring_get_version", .fn = get_version },
	{ .name = "framework_get_reactors", .fn = get_reactors },
	{ .name = "reactor_set_idle", .fn = set_idle, RPC_PARAMS(struct idle_params, idle_fields) },
	{ .name = "reactor_set_mode", .fn = set_mode, RPC_PARAMS(struct mode_params, mode_fields) },
	{ .name = "reactor_get_rebalance", .fn = get_rebalance },
	{ .name = "reactor_set_rebalance", .fn = set_rebalance,
	  RPC_PARAMS(struct rebalance_params, rebalance_fields) },
	{ .name = "log_set_level", .fn = set_level, RPC_PARAMS(struct level_params, level_fields) },
	{ .name = "log_get_level", .fn = get_level },
	{ .name = "framework_get_config", .fn = get_config },
	{ .name = "save_config", .fn = save_config, RPC_PARAMS(struct save_params, save_fields) },
};

const struct rpc_group rpc_framework_group = { methods, ARRAY_SIZE(methods) };
