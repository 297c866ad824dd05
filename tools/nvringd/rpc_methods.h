/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of methods of the control interface, and what its files share. */
#ifndef TOOLS_NVRINGD_RPC_METHODS_H
#define TOOLS_NVRINGD_RPC_METHODS_H

#include <stddef.h>

#include "core/qos.h"
#include "tools/nvringd/jread.h"

struct json_object;
struct rpc_call;
struct rpc_method;
struct vu_session_info;
struct wiring_disk;

/* NULL: no such. */
const struct rpc_method *rpc_method_find(const char *name);

/* @obj (NULL: none) checked into @buf of RPC_PARAMS_BYTES_MAX. 0 or -EINVAL with eb. Pure. */
int rpc_method_params(const struct rpc_method *m, struct json_object *obj, void *buf,
		      struct errbuf *eb);

/* Parameters of a method's row: what they are read into, and the table of their fields. */
#define RPC_PARAMS(t, f) .fields = (f), .nfields = ARRAY_SIZE(f), .params_bytes = sizeof(t)

/* Those of a method that wants, or may have, the name of a disk or a group and nothing else. */
struct rpc_name {
	char name[BDEV_NAME_MAX];
};
static_assert(BDEV_NAME_MAX == QOS_GROUP_NAME_MAX, "names of both fit");
extern const struct jread_field rpc_name_fields[1], rpc_maybe_name_fields[1];

/* One group of methods each, by what they are about. */
struct rpc_group {
	const struct rpc_method *methods;
	unsigned n;
};
extern const struct rpc_group rpc_disk_group, rpc_stats_group, rpc_export_group, rpc_nvme_group,
	rpc_qos_group, rpc_where_group, rpc_vduse_group, rpc_attach_group, rpc_volume_group, rpc_framework_group;

/* The disk, or NULL after the call has been answered with an error. */
struct wiring_disk *rpc_disk_or_fail(struct rpc_call *call, const char *name);

/* What is in force for an open disk, and what it did, into its JSON. */
void rpc_qos_add(struct json_object *obj, const struct wiring_disk *d);

/* Features, memory and queues of whoever drives a device. */
struct json_object *rpc_session_json(const struct vu_session_info *s);

/* wiring_done_fn: @arg is the call; the answer is true, or the error as JSONRPC_STATE. */
void rpc_done_true(void *arg, int err, const char *why);

/* The same, and the answer is the name as SPDK gives it: the parameters begin with char name[]. */
void rpc_done_name(void *arg, int err, const char *why);

/* A json_object_new_int64 for counters beyond int. */
struct json_object *rpc_number(unsigned long long v);

#endif
