/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   create:  vhost_get_controllers ─ none ─► vhost_create_blk_controller ─► its socket
 *   connect: that socket; nobody listens (the daemon is another one now): create once more
 *   destroy: vhost_delete_controller
 */
#include "vdpa/vdpa_relay.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/cpulist.h"
#include "core/rpc/rpcclient.h"
#include "vhost/client/virtio_user_sock.h"
#include "vhost/user/vu_server.h"

#define LOG_TAG "vdpa"
#include "core/base/log.h"

#define RELAY_SCHEME	"nvringd:"
#define RELAY_PATH_MAX	108 /* of sun_path */
#define RELAY_RPC_MS	10000u
#define RELAY_AGAIN_MS	20 /* the socket is there, or will not be */

struct vdpa_relay {
	struct vdpa_source source;
	struct vdpa_args args;
	unsigned rpc_ms;
	char rpc[RELAY_PATH_MAX], socket[RELAY_PATH_MAX];
	const char *disk; /* in args.backend */
	char name[2 * BDEV_NAME_MAX]; /* of the export */
};

bool vdpa_relay_is_meant(const char *backend)
{
	return strncmp(backend, RELAY_SCHEME, strlen(RELAY_SCHEME)) == 0;
}

static int relay_call(struct vdpa_relay *r, const char *method, struct json_object *params,
		      struct json_object **ret, struct errbuf *eb)
{
	struct errbuf why;
	int err = rpcclient_call(r->rpc, r->rpc_ms, method, params, ret, &why);

	if (!err)
		return 0;
	return errbuf_set(eb, err, "%s%.400s", err == -EREMOTEIO ? "nvringd: " : "", why.text);
}

static int socket_take(struct vdpa_relay *r, struct json_object *text, struct errbuf *eb)
{
	const char *path = json_object_is_type(text, json_type_string) ? json_object_get_string(text) : "";

	if (!path[0] || strlen(path) >= sizeof(r->socket))
		return errbuf_set(eb, -EBADMSG, "%s: the daemon names no socket of export %s", r->rpc, r->name);
	snprintf(r->socket, sizeof(r->socket), "%s", path);
	return 0;
}

static int export_create(struct vdpa_relay *r, struct errbuf *eb)
{
	const struct vdpa_args *a = &r->args;
	struct json_object *p = json_object_new_object(), *answer;
	char cpus[256];
	int err;

	json_object_object_add(p, "ctrlr", json_object_new_string(r->name));
	json_object_object_add(p, "dev_name", json_object_new_string(r->disk));
	json_object_object_add(p, "queues", json_object_new_int((int)a->queues));
	json_object_object_add(p, "readonly", json_object_new_boolean(a->read_only != 0));
	json_object_object_add(p, "packed_ring", json_object_new_boolean(a->packed != 0));
	if (a->serial[0])
		json_object_object_add(p, "serial", json_object_new_string(a->serial));
	if (a->has_cpus)
		json_object_object_add(
			p, "cpus", json_object_new_string(cpulist_format(&a->cpus, cpus, sizeof(cpus))));
	err = relay_call(r, "vhost_create_blk_controller", p, &answer, eb);
	if (err)
		return err;
	err = socket_take(r, answer, eb);
	json_object_put(answer);
	return err;
}

/* The export of a process before: of the same disk, and as it is asked for now? */
static int export_adopt(struct vdpa_relay *r, struct json_object *found, struct errbuf *eb)
{
	struct json_object *v, *block = NULL, *disk, *queues, *read_only;

	if (json_object_object_get_ex(found, "backend_specific", &v))
		json_object_object_get_ex(v, "block", &block);
	if (!json_object_object_get_ex(block, "bdev", &disk) || !json_object_object_get_ex(block, "queues", &queues) ||
	    !json_object_object_get_ex(block, "readonly", &read_only) ||
	    !json_object_object_get_ex(found, "socket", &v))
		return errbuf_set(eb, -EBADMSG, "%s: the daemon's answer makes no sense", r->rpc);
	if (strcmp(json_object_get_string(disk), r->disk) != 0 ||
	    json_object_get_int64(queues) != (int64_t)r->args.queues ||
	    json_object_get_boolean(read_only) != (r->args.read_only != 0))
		return errbuf_set(eb, -EEXIST, "%s: there is another export %s, of other properties: delete it", r->rpc,
				  r->name);
	return socket_take(r, v, eb);
}

static int export_get(struct vdpa_relay *r, struct errbuf *eb)
{
	struct json_object *p = json_object_new_object(), *answer;
	int err;

	json_object_object_add(p, "name", json_object_new_string(r->name));
	err = relay_call(r, "vhost_get_controllers", p, &answer, eb);
	if (err == -EREMOTEIO) /* no such export */
		return export_create(r, eb);
	if (err)
		return err;
	if (json_object_is_type(answer, json_type_array) && json_object_array_length(answer) == 1)
		err = export_adopt(r, json_object_array_get_idx(answer, 0), eb);
	else
		err = export_create(r, eb);
	json_object_put(answer);
	return err;
}

static struct vdpa_relay *relay_of(struct vdpa_source *s)
{
	return container_of(s, struct vdpa_relay, source);
}

static int relay_connect(struct vdpa_source *s, int *ret_sock, struct errbuf *eb)
{
	struct vdpa_relay *r = relay_of(s);
	int err = virtio_user_sock_connect(r->socket, RELAY_AGAIN_MS, ret_sock, eb);

	if (err != -ENOENT && err != -ECONNREFUSED)
		return err;
	err = export_get(r, eb);
	return err ? err : virtio_user_sock_connect(r->socket, (unsigned)r->args.stop_ms, ret_sock, eb);
}

/* The daemon has the next front-end wait until the one before has drained. */
static bool relay_wait_end(struct vdpa_source *s)
{
	(void)s;
	return true;
}

static int relay_get_info(struct vdpa_source *s, struct vu_session_info *ret)
{
	(void)s;
	(void)ret;
	return -ENOTSUP; /* the daemon counts: nvring top, vhost_get_controllers */
}

static void relay_destroy(struct vdpa_source *s)
{
	struct vdpa_relay *r = relay_of(s);
	struct json_object *p = json_object_new_object(), *answer = NULL;
	struct errbuf eb;

	json_object_object_add(p, "ctrlr", json_object_new_string(r->name));
	if (relay_call(r, "vhost_delete_controller", p, &answer, &eb))
		log_warn("%s: the export stays: %s", r->name, eb.text);
	json_object_put(answer);
	free(r);
}

static const struct vdpa_source_ops relay_ops = {
	.connect = relay_connect,
	.wait_end = relay_wait_end,
	.get_info = relay_get_info,
	.destroy = relay_destroy,
};

/* nvringd:/run/nvring/rpc.sock/vol0: the last component is the disk. */
static int backend_split(struct vdpa_relay *r, const char *device, struct errbuf *eb)
{
	const char *path = r->args.backend + strlen(RELAY_SCHEME), *slash = strrchr(path, '/');

	if (!slash || slash == path || !slash[1] || strlen(slash + 1) >= BDEV_NAME_MAX)
		return errbuf_set(eb, -EINVAL, "backend=%.100s is no %sCONTROL-SOCKET/DISK", r->args.backend,
				  RELAY_SCHEME);
	if ((size_t)(slash - path) >= sizeof(r->rpc))
		return errbuf_set(eb, -ENAMETOOLONG, "backend=%.100s…: longer than a socket's name can be",
				  r->args.backend);
	memcpy(r->rpc, path, (size_t)(slash - path));
	r->disk = slash + 1;
	snprintf(r->name, sizeof(r->name), "%.63s.%s", device, r->disk);
	if (strlen(r->name) >= BDEV_NAME_MAX)
		return errbuf_set(eb, -ENAMETOOLONG, "%s: longer than the name of an export can be", r->name);
	return 0;
}

/* What the daemon decides. */
static int args_check(const struct vdpa_args *a, struct errbuf *eb)
{
	static const struct qos_limits none;

	if (a->disk[0])
		return errbuf_set(eb, -EINVAL, "disk=%s: nvringd's disks have their names there", a->disk);
	if (a->resize_s)
		return errbuf_set(eb, -EINVAL, "resize_s: nvringd's disks are resized there (nvring disk resize)");
	if (memcmp(&a->limits, &none, sizeof(none)) != 0)
		return errbuf_set(eb, -EINVAL, "limits of nvringd's disks are set there (nvring disk limit)");
	return 0;
}

int vdpa_relay_create(const char *name, const struct vdpa_args *a, struct vdpa_source **ret_s, struct errbuf *eb)
{
	struct vdpa_relay *r;
	int err = args_check(a, eb);

	if (err)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	r->source.ops = &relay_ops;
	r->args = *a;
	r->rpc_ms = RELAY_RPC_MS;
	err = backend_split(r, name, eb);
	if (!err)
		err = export_get(r, eb);
	if (err) {
		free(r);
		return err;
	}
	r->rpc_ms = CC_MIN(RELAY_RPC_MS, (unsigned)a->stop_ms); /* from now on somebody may wait for us */
	*ret_s = &r->source;
	return 0;
}
