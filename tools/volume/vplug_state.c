/* SPDX-License-Identifier: BSD-3-Clause */
/* State files: JSON, written beside and renamed. */
#include "tools/volume/vplug_state.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/shared/jget.h"
#include "tools/shared/jsonfile.h"

#define SUFFIX ".json"
#define BOOT_MAX 64

static void boot_id(char buf[BOOT_MAX])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(buf, BOOT_MAX, f))
		snprintf(buf, BOOT_MAX, "unknown");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
}

static int state_path(const char *dir, const char *name, char path[PATH_MAX], struct errbuf *eb)
{
	if ((size_t)snprintf(path, PATH_MAX, "%s/%s" SUFFIX, dir, name) >= PATH_MAX)
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", dir);
	return 0;
}

static int read_state(struct json_object *obj, const char *name, struct vplug_state *st)
{
	struct json_object *users = jget(obj, "users");
	char boot[BOOT_MAX];

	memset(st, 0, sizeof(*st));
	if (strcmp(jget_text(obj, "name"), name) != 0 || !jget_text(obj, "fstype")[0] ||
	    strlen(jget_text(obj, "fstype")) >= sizeof(st->fstype) || strlen(jget_text(obj, "node")) >= sizeof(st->node) ||
	    jget_count(users, "") > VPLUG_USERS_MAX)
		return -EINVAL;
	snprintf(st->name, sizeof(st->name), "%s", name);
	snprintf(st->fstype, sizeof(st->fstype), "%s", jget_text(obj, "fstype"));
	st->is_ready = jget_bool(obj, "ready");
	boot_id(boot);
	if (strcmp(boot, jget_text(obj, "boot")) != 0)
		return 0;
	snprintf(st->node, sizeof(st->node), "%s", jget_text(obj, "node"));
	st->seq = jget_number(obj, "seq");
	for (size_t i = 0; i < jget_count(users, ""); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(users, i));

		if (!id || strlen(id) >= VPLUG_ID_MAX)
			return -EINVAL;
		snprintf(st->users[st->nusers++], VPLUG_ID_MAX, "%s", id);
	}
	return 0;
}

int vplug_state_load(const char *dir, const char *name, struct vplug_state *ret, struct errbuf *eb)
{
	struct json_object *obj;
	char path[PATH_MAX];
	int err = state_path(dir, name, path, eb);

	if (err)
		return err;
	if (access(path, F_OK))
		return errno == ENOENT ? -ENOENT : errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	obj = json_object_from_file(path);
	err = obj ? read_state(obj, name, ret) : -EINVAL;
	json_object_put(obj);
	return err ? errbuf_set(eb, err, "%s: makes no sense; mend it or remove it", path) : 0;
}

static struct json_object *state_json(const struct vplug_state *st)
{
	struct json_object *obj = json_object_new_object(), *users = json_object_new_array();
	char boot[BOOT_MAX];

	boot_id(boot);
	for (unsigned i = 0; i < st->nusers; i++)
		json_object_array_add(users, json_object_new_string(st->users[i]));
	json_object_object_add(obj, "name", json_object_new_string(st->name));
	json_object_object_add(obj, "fstype", json_object_new_string(st->fstype));
	json_object_object_add(obj, "ready", json_object_new_boolean(st->is_ready));
	json_object_object_add(obj, "node", json_object_new_string(st->node));
	json_object_object_add(obj, "seq", json_object_new_uint64(st->seq));
	json_object_object_add(obj, "boot", json_object_new_string(boot));
	json_object_object_add(obj, "users", users);
	return obj;
}

int vplug_state_save(const char *dir, const struct vplug_state *st, struct errbuf *eb)
{
	struct json_object *obj = state_json(st);
	char path[PATH_MAX];
	int err = state_path(dir, st->name, path, eb);

	if (!err)
		err = jsonfile_save(path, obj, 0600, eb);
	json_object_put(obj);
	return err;
}

int vplug_state_delete(const char *dir, const char *name, struct errbuf *eb)
{
	char path[PATH_MAX];
	int err = state_path(dir, name, path, eb);

	if (!err)
		err = jsonfile_remove(path, eb);
	return err == -ENOENT ? 0 : err;
}

int vplug_state_for_each(const char *dir, void (*fn)(void *arg, const char *name), void *arg, struct errbuf *eb)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return errbuf_set(eb, -errno, "%s: %s", dir, strerror(errno));
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name);
		char name[POOL_NAME_MAX];

		if (n <= strlen(SUFFIX) || n - strlen(SUFFIX) >= sizeof(name) ||
		    strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(n - strlen(SUFFIX)), e->d_name);
		if (pool_name_check(name, NULL) == 0)
			fn(arg, name);
	}
	closedir(d);
	return 0;
}

bool vplug_state_has_user(const struct vplug_state *st, const char *id)
{
	for (unsigned i = 0; i < st->nusers; i++) {
		if (strcmp(st->users[i], id) == 0)
			return true;
	}
	return false;
}

int vplug_state_add_user(struct vplug_state *st, const char *id)
{
	if (vplug_state_has_user(st, id))
		return 0;
	if (st->nusers == VPLUG_USERS_MAX)
		return -ENOSPC;
	snprintf(st->users[st->nusers++], VPLUG_ID_MAX, "%s", id);
	return 0;
}

void vplug_state_drop_user(struct vplug_state *st, const char *id)
{
	for (unsigned i = 0; i < st->nusers; i++) {
		if (strcmp(st->users[i], id) != 0)
			continue;
		memmove(st->users[i], st->users[--st->nusers], VPLUG_ID_MAX);
		return;
	}
}
