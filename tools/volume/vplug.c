/* SPDX-License-Identifier: BSD-3-Clause */
/* The methods of the volume driver. */
#include "tools/volume/vplug.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/rpc/rpcclient.h"
#include "tools/shared/attachrec.h"
#include "tools/shared/jget.h"
#include "tools/volume/vplug_run.h"
#include "tools/volume/vplug_state.h"

#define LOG_TAG "volume"
#include "core/base/log.h"

#define RPC_TIMEOUT_MS 60000

/*
 * nvringd
 */

/* What nvringd says of @name into *ret, the caller's to put; NULL: no such volume. 0 or -errno with eb. */
static int find_volume(struct vplug *v, const char *name, struct json_object **ret, struct errbuf *eb)
{
	struct json_object *all;
	int err = rpcclient_call(v->rpc, RPC_TIMEOUT_MS, "volume_list", NULL, &all, eb);

	if (err)
		return err;
	*ret = NULL;
	for (size_t i = 0; i < jget_count(all, "") && !*ret; i++) {
		struct json_object *one = json_object_array_get_idx(all, i);

		if (strcmp(jget_text(one, "name"), name) == 0)
			*ret = json_object_get(one);
	}
	json_object_put(all);
	return 0;
}

static int create_volume(struct vplug *v, const struct vplug_request *r, struct errbuf *eb)
{
	struct json_object *params = json_object_new_object(), *result = NULL;
	int err;

	json_object_object_add(params, "name", json_object_new_string(r->name));
	json_object_object_add(params, "size", json_object_new_uint64(r->bytes));
	if (r->pool[0])
		json_object_object_add(params, "pool", json_object_new_string(r->pool));
	err = rpcclient_call(v->rpc, RPC_TIMEOUT_MS, "volume_create", params, &result, eb);
	json_object_put(result);
	return err;
}

static int remove_volume(struct vplug *v, const char *name, struct errbuf *eb)
{
	struct json_object *params = json_object_new_object(), *result = NULL;
	int err;

	json_object_object_add(params, "name", json_object_new_string(name));
	err = rpcclient_call(v->rpc, RPC_TIMEOUT_MS, "volume_remove", params, &result, eb);
	json_object_put(result);
	return err;
}

/*
 * Node and file system
 */

static void mountpoint_of(const struct vplug *v, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", v->mount_dir, name);
}

/* The node of @vol. For an answer that says nothing: detached by node_close(), or with the last user of its file system. */
static int node_open(struct vplug *v, struct json_object *vol, struct vplug_state *st, int *ret_fd, struct errbuf *eb)
{
	char node[VPLUG_NODE_MAX];
	int err;

	if (jget(vol, "disk"))
		return errbuf_set(eb, -EBUSY, "%s is served by nvringd as disk %s: end that first (nvring volume unexport)",
				  st->name, jget_text(vol, "disk"));
	if (!jget_text(vol, "path")[0])
		return errbuf_set(eb, -ENOTSUP, "%s is in pool %s, which is no folder: this plugin takes images only",
				  st->name, jget_text(vol, "pool"));
	pthread_mutex_lock(&v->lock);
	err = v->backend->open(v->program, jget_text(vol, "path"), node, ret_fd, eb);
	pthread_mutex_unlock(&v->lock);
	if (err)
		return err;
	memcpy(st->node, node, sizeof(node));
	st->seq = attachrec_seq(node);
	return 0;
}

/* Before anything that would wait for a server that has died. 0 or -errno with eb; -ENODEV: nothing will. */
static int node_revive(struct vplug *v, const struct vplug_state *st, struct errbuf *eb)
{
	int err;

	if (!st->node[0] || !v->backend->revive)
		return 0;
	if (vplug_node_has_gone(st))
		return errbuf_set(eb, -ENODEV, "%s has gone while it was mounted", st->node);
	pthread_mutex_lock(&v->lock);
	err = v->backend->revive(v->program, st->node, eb);
	pthread_mutex_unlock(&v->lock);
	return err;
}

static int node_detach(struct vplug *v, struct vplug_state *st, struct errbuf *eb)
{
	bool is_ours = st->node[0] && v->backend->detach && !vplug_node_has_gone(st);
	int err = 0;

	pthread_mutex_lock(&v->lock);
	if (is_ours)
		err = v->backend->detach(v->program, st->node, eb);
	pthread_mutex_unlock(&v->lock);
	if (!err)
		st->node[0] = '\0';
	return err;
}

/* Used without having been mounted. */
static void node_close(struct vplug *v, struct vplug_state *st, int fd)
{
	struct errbuf eb;

	if (fd >= 0)
		close(fd);
	if (node_detach(v, st, &eb))
		log_warn("%s: %s", st->name, eb.text);
}

static int run_mkfs(const struct vplug_state *st, struct errbuf *eb)
{
	char program[VPLUG_FSTYPE_MAX + 8], node[VPLUG_NODE_MAX], quiet[] = "-q";
	char *argv[] = { program, quiet, node, NULL };

	snprintf(program, sizeof(program), "mkfs.%s", st->fstype);
	memcpy(node, st->node, sizeof(node));
	return vplug_run(argv, NULL, 0, eb);
}

/* Only ever onto a blank device: what an mkfs that was interrupted has finished is taken as it is. */
static int make_fs(struct vplug *v, struct json_object *vol, struct vplug_state *st, struct errbuf *eb)
{
	char found[VPLUG_FSTYPE_MAX];
	int fd, err = node_open(v, vol, st, &fd, eb);

	if (err)
		return err;
	err = vplug_node_probe(st->node, found, eb);
	if (!err && found[0])
		snprintf(st->fstype, sizeof(st->fstype), "%s", found);
	else if (!err)
		err = run_mkfs(st, eb);
	node_close(v, st, fd);
	if (err)
		return err;
	st->is_ready = true;
	return vplug_state_save(v->state_dir, st, eb);
}

/*
 * Create and remove
 */

/* A volume that `nvring volume create` made: its data is not ours to overwrite. */
static int adopt(struct vplug *v, struct json_object *vol, struct vplug_state *st, struct errbuf *eb)
{
	char found[VPLUG_FSTYPE_MAX];
	int fd, err = node_open(v, vol, st, &fd, eb);

	if (err)
		return err;
	err = vplug_node_probe(st->node, found, eb);
	node_close(v, st, fd);
	if (!err && !found[0])
		err = errbuf_set(eb, -EEXIST, "%s is there already, not made by this plugin, and carries no file system: make "
				 "one, or remove it (nvring volume remove)", st->name);
	if (err)
		return err;
	snprintf(st->fstype, sizeof(st->fstype), "%s", found);
	st->is_ready = true;
	return vplug_state_save(v->state_dir, st, eb);
}

static int create_new(struct vplug *v, const struct vplug_request *r, struct vplug_state *st, struct errbuf *eb)
{
	struct json_object *vol = NULL;
	struct errbuf why;
	int err;

	if (!r->bytes)
		return errbuf_set(eb, -EINVAL, "size: missing; give one, such as -o size=10G");
	err = vplug_state_save(v->state_dir, st, eb); /* first: from now on an unfinished volume is ours to finish */
	if (!err)
		err = create_volume(v, r, eb);
	if (err) {
		(void)vplug_state_delete(v->state_dir, st->name, &why); /* a state without a volume is no volume */
		return err;
	}
	err = find_volume(v, st->name, &vol, eb);
	if (!err)
		err = vol ? make_fs(v, vol, st, eb) : errbuf_set(eb, -ENOENT, "%s has just been removed", st->name);
	json_object_put(vol);
	if (!err)
		return 0;
	if (remove_volume(v, st->name, &why) == 0)
		(void)vplug_state_delete(v->state_dir, st->name, &why);
	return err;
}

static int do_create(struct vplug *v, const struct vplug_request *r, struct errbuf *eb)
{
	struct json_object *vol = NULL;
	struct vplug_state st;
	int known = vplug_state_load(v->state_dir, r->name, &st, eb), err;

	if (known && known != -ENOENT)
		return known;
	err = find_volume(v, r->name, &vol, eb);
	if (err)
		return err;
	if (known) {
		st = (struct vplug_state){ .is_ready = false };
		snprintf(st.name, sizeof(st.name), "%s", r->name);
		snprintf(st.fstype, sizeof(st.fstype), "%s", r->fstype);
	}
	if (!vol)
		err = create_new(v, r, &st, eb);
	else if (known)
		err = adopt(v, vol, &st, eb);
	else if (!st.is_ready)
		err = make_fs(v, vol, &st, eb);
	json_object_put(vol);
	return err;
}

static int load(struct vplug *v, const char *name, struct vplug_state *st, struct errbuf *eb)
{
	int err = vplug_state_load(v->state_dir, name, st, eb);

	return err == -ENOENT ? errbuf_set(eb, -ENOENT, "no such volume: %s", name) : err;
}

static int unmount(struct vplug *v, struct vplug_state *st, struct errbuf *eb);

static int do_remove(struct vplug *v, const char *name, struct errbuf *eb)
{
	struct json_object *vol = NULL;
	struct vplug_state st;
	int err = load(v, name, &st, eb);

	if (!err && st.nusers)
		err = errbuf_set(eb, -EBUSY, "%s is mounted for %.100s%s", name, st.users[0], st.nusers > 1 ? " and others" : "");
	if (!err)
		err = unmount(v, &st, eb);
	if (!err)
		err = find_volume(v, name, &vol, eb);
	if (!err && vol)
		err = remove_volume(v, name, eb);
	json_object_put(vol);
	return err ? err : vplug_state_delete(v->state_dir, name, eb);
}

/*
 * Mount and unmount
 */

/* Nothing is mounted, nothing attached, whatever there was. 0 or -errno with eb; -EBUSY: somebody is in it. */
static int unmount(struct vplug *v, struct vplug_state *st, struct errbuf *eb)
{
	char path[PATH_MAX];
	int err = node_revive(v, st, eb);

	if (err && err != -ENODEV)
		return err;
	mountpoint_of(v, st->name, path);
	while (vplug_is_mounted(path)) {
		if (umount2(path, UMOUNT_NOFOLLOW))
			return errbuf_set(eb, -errno, "%s: cannot be unmounted: %s", path, strerror(errno));
	}
	(void)rmdir(path); /* not empty: somebody else's files, and no harm */
	return node_detach(v, st, eb);
}

static int mount_node(struct vplug *v, struct json_object *vol, struct vplug_state *st, const char *path,
		      struct errbuf *eb)
{
	int fd, err = node_open(v, vol, st, &fd, eb);

	if (err)
		return err;
	err = vplug_state_save(v->state_dir, st, eb); /* before the mount: the next life knows what to detach */
	if (err) {
		node_close(v, st, fd);
		return err;
	}
	if ((mkdir(path, 0755) && errno != EEXIST) || mount(st->node, path, st->fstype, MS_NOSUID | MS_NODEV, NULL)) {
		err = errbuf_set(eb, -errno, "%s: cannot be mounted on %s: %s", st->node, path, strerror(errno));
		node_close(v, st, fd);
		(void)rmdir(path);
		return err;
	}
	if (fd >= 0)
		close(fd);
	return 0;
}

static int make_mounted(struct vplug *v, struct vplug_state *st, const char *path, struct errbuf *eb)
{
	struct json_object *vol = NULL;
	int err;

	if (vplug_is_mounted(path))
		return node_revive(v, st, eb);
	err = find_volume(v, st->name, &vol, eb);
	if (!err && !vol)
		err = errbuf_set(eb, -ENOENT, "%s is no longer in any pool of nvringd", st->name);
	if (!err && !st->is_ready)
		err = make_fs(v, vol, st, eb);
	if (!err)
		err = mount_node(v, vol, st, path, eb);
	json_object_put(vol);
	return err;
}

static int do_mount(struct vplug *v, const struct vplug_request *r, struct json_object *answer, struct errbuf *eb)
{
	struct vplug_state st;
	struct errbuf why;
	char path[PATH_MAX];
	bool is_first;
	int err = load(v, r->name, &st, eb);

	if (err)
		return err;
	is_first = st.nusers == 0;
	mountpoint_of(v, r->name, path);
	err = make_mounted(v, &st, path, eb);
	if (!err && vplug_state_add_user(&st, r->id))
		err = errbuf_set(eb, -ENOSPC, "%s is mounted for %d users already", r->name, VPLUG_USERS_MAX);
	if (!err)
		err = vplug_state_save(v->state_dir, &st, eb);
	if (err && is_first) {
		st.nusers = 0;
		if (unmount(v, &st, &why) || vplug_state_save(v->state_dir, &st, &why))
			log_warn("%s: %s", st.name, why.text);
	}
	if (err)
		return err;
	json_object_object_add(answer, "Mountpoint", json_object_new_string(path));
	return 0;
}

static int do_unmount(struct vplug *v, const struct vplug_request *r, struct errbuf *eb)
{
	struct vplug_state st;
	int err = load(v, r->name, &st, eb);

	if (err || !vplug_state_has_user(&st, r->id)) /* twice: it is as it shall be */
		return err;
	vplug_state_drop_user(&st, r->id);
	if (!st.nusers)
		err = unmount(v, &st, eb); /* in vain: the user stays, and may try again */
	return err ? err : vplug_state_save(v->state_dir, &st, eb);
}

/*
 * Look
 */

static struct json_object *volume_json(struct vplug *v, const struct vplug_state *st)
{
	struct json_object *obj = json_object_new_object();
	char path[PATH_MAX];

	mountpoint_of(v, st->name, path);
	json_object_object_add(obj, "Name", json_object_new_string(st->name));
	json_object_object_add(obj, "Mountpoint", json_object_new_string(vplug_is_mounted(path) ? path : ""));
	return obj;
}

static int do_get(struct vplug *v, const char *name, struct json_object *answer, struct errbuf *eb)
{
	struct json_object *vol = NULL, *obj, *status;
	struct vplug_state st;
	int err = load(v, name, &st, eb);

	if (!err)
		err = find_volume(v, name, &vol, eb);
	if (!err && !vol)
		err = errbuf_set(eb, -ENOENT, "no such volume: %s", name);
	if (err)
		return err;
	obj = volume_json(v, &st);
	status = json_object_new_object();
	json_object_object_add(status, "pool", json_object_new_string(jget_text(vol, "pool")));
	json_object_object_add(status, "size", json_object_new_uint64(jget_number(vol, "size_bytes")));
	json_object_object_add(status, "fstype", json_object_new_string(st.fstype));
	json_object_object_add(status, "users", json_object_new_int((int)st.nusers));
	json_object_object_add(obj, "Status", status);
	json_object_object_add(answer, "Volume", obj);
	json_object_put(vol);
	return 0;
}

struct listing {
	struct vplug *v;
	struct json_object *all, *arr;
};

static void list_one(void *arg, const char *name)
{
	struct listing *l = arg;
	struct vplug_state st;
	struct errbuf eb;

	for (size_t i = 0; i < jget_count(l->all, ""); i++) {
		if (strcmp(jget_text(json_object_array_get_idx(l->all, i), "name"), name) != 0)
			continue;
		if (vplug_state_load(l->v->state_dir, name, &st, &eb) == 0)
			json_object_array_add(l->arr, volume_json(l->v, &st));
		return;
	}
}

static int do_list(struct vplug *v, struct json_object *answer, struct errbuf *eb)
{
	struct listing l = { .v = v };
	int err = rpcclient_call(v->rpc, RPC_TIMEOUT_MS, "volume_list", NULL, &l.all, eb);

	if (err)
		return err;
	l.arr = json_object_new_array();
	err = vplug_state_for_each(v->state_dir, list_one, &l, eb);
	json_object_put(l.all);
	json_object_object_add(answer, "Volumes", l.arr);
	return err;
}

static int do_path(struct vplug *v, const char *name, struct json_object *answer, struct errbuf *eb)
{
	struct vplug_state st;
	char path[PATH_MAX];
	int err = load(v, name, &st, eb);

	if (err)
		return err;
	mountpoint_of(v, name, path);
	json_object_object_add(answer, "Mountpoint", json_object_new_string(vplug_is_mounted(path) ? path : ""));
	return 0;
}

static struct json_object *object_of(const char *key, struct json_object *value)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, key, value);
	return obj;
}

static int dispatch(struct vplug *v, const struct vplug_request *r, struct json_object *answer, struct errbuf *eb)
{
	struct json_object *arr;

	switch (r->method) {
	case VPLUG_ACTIVATE:
		arr = json_object_new_array();
		json_object_array_add(arr, json_object_new_string("VolumeDriver"));
		json_object_object_add(answer, "Implements", arr);
		return 0;
	case VPLUG_CAPABILITIES:
		json_object_object_add(answer, "Capabilities", object_of("Scope", json_object_new_string("local")));
		return 0;
	case VPLUG_CREATE:
		return do_create(v, r, eb);
	case VPLUG_REMOVE:
		return do_remove(v, r->name, eb);
	case VPLUG_MOUNT:
		return do_mount(v, r, answer, eb);
	case VPLUG_UNMOUNT:
		return do_unmount(v, r, eb);
	case VPLUG_PATH:
		return do_path(v, r->name, answer, eb);
	case VPLUG_GET:
		return do_get(v, r->name, answer, eb);
	case VPLUG_LIST:
		return do_list(v, answer, eb);
	}
	return -EINVAL;
}

int vplug_do(struct vplug *v, const struct vplug_request *r, struct json_object **ret, struct errbuf *eb)
{
	struct json_object *answer = vplug_answer();
	const uint64_t one = 1;
	int err = dispatch(v, r, answer, eb);

	if (write(v->changed, &one, sizeof(one)) < 0)
		log_debug("it has been told already: %s", strerror(errno));
	if (err) {
		json_object_put(answer);
		return err;
	}
	*ret = answer;
	return 0;
}

/* Mounted without a user: the last life ended between the two steps. With users: it may have taken servers with it. */
static void recover_one(void *arg, const char *name)
{
	struct vplug *v = arg;
	struct vplug_state st;
	char path[PATH_MAX];
	struct errbuf eb;
	int err = vplug_state_load(v->state_dir, name, &st, &eb);

	mountpoint_of(v, name, path);
	if (!err && !st.nusers && (vplug_is_mounted(path) || st.node[0])) {
		log_notice("%s: nobody uses it, unmounted", name);
		err = unmount(v, &st, &eb);
		if (!err)
			err = vplug_state_save(v->state_dir, &st, &eb);
	} else if (!err) {
		err = node_revive(v, &st, &eb);
	}
	if (err)
		log_warn("%s: %s", name, eb.text);
}

int vplug_recover(struct vplug *v, struct errbuf *eb)
{
	return vplug_state_for_each(v->state_dir, recover_one, v, eb);
}
