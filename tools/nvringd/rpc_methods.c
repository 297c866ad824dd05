/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding a method, checking its parameters, and the answers that several methods give. */
#include "tools/nvringd/rpc_methods.h"

#include <assert.h>
#include <json-c/json.h>
#include <string.h>

#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"

const struct jread_field rpc_name_fields[1] = {
	JREAD_ROW_TEXT(struct rpc_name, name, "name", true),
};
const struct jread_field rpc_maybe_name_fields[1] = {
	JREAD_ROW_TEXT(struct rpc_name, name, "name", false),
};

static void get_methods(struct rpc_call *call, const void *params);

static const struct rpc_method own_methods[] = {
	{ .name = "rpc_get_methods", .fn = get_methods },
};
static const struct rpc_group own_group = { own_methods, ARRAY_SIZE(own_methods) };

static const struct rpc_group *const groups[] = {
	&own_group,
	&rpc_framework_group,
	&rpc_disk_group,
	&rpc_qos_group,
	&rpc_stats_group,
	&rpc_export_group,
	&rpc_vduse_group,
	&rpc_attach_group,
	&rpc_nvme_group,
	&rpc_where_group,
	&rpc_volume_group,
};

const struct rpc_method *rpc_method_find(const char *name)
{
	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
		for (unsigned i = 0; i < groups[g]->n; i++) {
			if (strcmp(groups[g]->methods[i].name, name) == 0)
				return &groups[g]->methods[i];
		}
	}
	return NULL;
}

int rpc_method_params(const struct rpc_method *m, struct json_object *obj, void *buf,
		      struct errbuf *eb)
{
	struct json_object *none = NULL;
	int err;

	assert(m->params_bytes <= RPC_PARAMS_BYTES_MAX);
	if (m->defaults)
		memcpy(buf, m->defaults, m->params_bytes);
	else
		memset(buf, 0, m->params_bytes);
	if (!obj)
		obj = none = json_object_new_object();
	err = jread_object(obj, "", m->fields, m->nfields, buf, eb);
	json_object_put(none);
	return err;
}

static void get_methods(struct rpc_call *call, const void *params)
{
	struct json_object *arr = json_object_new_array();

	for (unsigned g = 0; g < ARRAY_SIZE(groups); g++) {
		for (unsigned i = 0; i < groups[g]->n; i++)
			json_object_array_add(arr,
					      json_object_new_string(groups[g]->methods[i].name));
	}
	rpc_answer(call, arr);
}

struct wiring_disk *rpc_disk_or_fail(struct rpc_call *call, const char *name)
{
	struct wiring_disk *d = wiring_find_disk(rpc_wiring(call), name);

	if (d && d->bdev)
		return d;
	if (d && d->state == WIRING_DISK_CLOSING)
		rpc_fail(call, JSONRPC_STATE, "%s", wiring_disk_busy(d));
	else
		rpc_fail(call, JSONRPC_STATE, "no disk named \"%s\"", name);
	return NULL;
}

void rpc_done_true(void *arg, int err, const char *why)
{
	struct rpc_call *call = arg;

	if (err)
		rpc_fail(call, JSONRPC_STATE, "%s", why);
	else
		rpc_answer(call, json_object_new_boolean(1));
}

void rpc_done_name(void *arg, int err, const char *why)
{
	struct rpc_call *call = arg;

	if (err)
		rpc_fail(call, JSONRPC_STATE, "%s", why);
	else
		rpc_answer(call, json_object_new_string(rpc_params(call)));
}

struct json_object *rpc_number(unsigned long long v)
{
	return json_object_new_uint64(v);
}
