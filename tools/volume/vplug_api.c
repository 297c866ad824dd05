/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to the plugin. Members that we do not know are left alone: those who send them are older or newer than we. */
#include "tools/volume/vplug_api.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cc.h"
#include "drivers/uri.h"

static const struct path {
	const char *path;
	enum vplug_method method;
	bool has_name, has_id;
} paths[] = {
	{ "/Plugin.Activate", VPLUG_ACTIVATE },
	{ "/VolumeDriver.Capabilities", VPLUG_CAPABILITIES },
	{ "/VolumeDriver.Create", VPLUG_CREATE, true },
	{ "/VolumeDriver.Remove", VPLUG_REMOVE, true },
	{ "/VolumeDriver.Mount", VPLUG_MOUNT, true, true },
	{ "/VolumeDriver.Unmount", VPLUG_UNMOUNT, true, true },
	{ "/VolumeDriver.Path", VPLUG_PATH, true },
	{ "/VolumeDriver.Get", VPLUG_GET, true },
	{ "/VolumeDriver.List", VPLUG_LIST },
};

static const struct path *find_path(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (strcmp(paths[i].path, path) == 0)
			return &paths[i];
	}
	return NULL;
}

/* A text member, within @max with its end, of nothing but what prints. */
static int read_text(struct json_object *v, const char *key, char *buf, size_t max, struct errbuf *eb)
{
	const char *s = json_object_get_string(v);
	size_t len;

	if (!json_object_is_type(v, json_type_string))
		return errbuf_set(eb, -EINVAL, "%.60s: must be a text", key);
	len = (size_t)json_object_get_string_len(v);
	if (len == 0 || len >= max)
		return errbuf_set(eb, -EINVAL, "%.60s: must have 1 to %zu characters", key, max - 1);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
			return errbuf_set(eb, -EINVAL, "%.60s: has a character that it may not have", key);
	}
	memcpy(buf, s, len + 1);
	return 0;
}

static int read_member(struct json_object *obj, const char *key, char *buf, size_t max, struct errbuf *eb)
{
	struct json_object *v;

	if (!json_object_object_get_ex(obj, key, &v))
		return errbuf_set(eb, -EINVAL, "%s: missing", key);
	return read_text(v, key, buf, max, eb);
}

static int read_name(const char *key, const char *name, struct errbuf *eb)
{
	struct errbuf why;

	return pool_name_check(name, &why) ? errbuf_set(eb, -EINVAL, "%s: %s", key, why.text) : 0;
}

static int read_size(const char *text, uint64_t *ret, struct errbuf *eb)
{
	struct errbuf why;

	if (uri_size_parse(text, ret))
		return errbuf_set(eb, -EINVAL, "size: \"%.60s\" is no size such as 10G", text);
	return pool_size_check(*ret, &why) ? errbuf_set(eb, -EINVAL, "size: %s", why.text) : 0;
}

/* It becomes a part of a program's name. */
static int check_fstype(const char *fstype, struct errbuf *eb)
{
	for (const char *s = fstype; *s; s++) {
		if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s))
			return errbuf_set(eb, -EINVAL, "fstype: \"%s\" is no file system such as ext4", fstype);
	}
	return 0;
}

static int read_option(struct vplug_request *r, const char *key, struct json_object *v, struct errbuf *eb)
{
	char text[64];
	int err;

	if (strcmp(key, "size") == 0) {
		err = read_text(v, key, text, sizeof(text), eb);
		return err ? err : read_size(text, &r->bytes, eb);
	}
	if (strcmp(key, "pool") == 0) {
		err = read_text(v, key, r->pool, sizeof(r->pool), eb);
		return err ? err : read_name("pool", r->pool, eb);
	}
	if (strcmp(key, "fstype") == 0) {
		err = read_text(v, key, r->fstype, sizeof(r->fstype), eb);
		return err ? err : check_fstype(r->fstype, eb);
	}
	return errbuf_set(eb, -EINVAL, "%.60s: unknown option (known: size=10G, pool=NAME, fstype=ext4)", key);
}

static int read_options(struct vplug_request *r, struct json_object *obj, struct errbuf *eb)
{
	struct json_object *opts;
	int err = 0;

	if (!json_object_object_get_ex(obj, "Opts", &opts) || !opts)
		return 0;
	if (!json_object_is_type(opts, json_type_object))
		return errbuf_set(eb, -EINVAL, "Opts: must be an object");
	json_object_object_foreach(opts, key, value) {
		if (!err)
			err = read_option(r, key, value, eb);
	}
	return err;
}

static int read_request(const struct path *p, struct json_object *obj, struct vplug_request *r, struct errbuf *eb)
{
	int err = 0;

	if (!json_object_is_type(obj, json_type_object))
		return errbuf_set(eb, -EINVAL, "the request must be a JSON object");
	if (p->has_name)
		err = read_member(obj, "Name", r->name, sizeof(r->name), eb);
	if (!err && p->has_name)
		err = read_name("Name", r->name, eb);
	if (!err && p->has_id)
		err = read_member(obj, "ID", r->id, sizeof(r->id), eb);
	if (!err && p->method == VPLUG_CREATE)
		err = read_options(r, obj, eb);
	return err;
}

int vplug_request_parse(const char *path, const char *body, size_t len, struct vplug_request *ret,
			struct errbuf *eb)
{
	const struct path *p = find_path(path);
	struct vplug_request r = { .fstype = VPLUG_FSTYPE_DEFAULT };
	struct json_tokener *tok;
	struct json_object *obj;
	int err;

	if (!p)
		return errbuf_set(eb, -ENOENT, "no such path: %.100s", path);
	if (len > VPLUG_BODY_BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "the request has more than %d bytes", VPLUG_BODY_BYTES_MAX);
	r.method = p->method;
	if (!p->has_name) { /* nobody sends anything with it that matters */
		*ret = r;
		return 0;
	}
	tok = json_tokener_new_ex(VPLUG_DEPTH_MAX);
	if (!tok)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	obj = json_tokener_parse_ex(tok, body, (int)len);
	if (json_tokener_get_error(tok) != json_tokener_success)
		err = errbuf_set(eb, -EINVAL, "the request is not JSON: %s",
				 json_tokener_error_desc(json_tokener_get_error(tok)));
	else
		err = read_request(p, obj, &r, eb);
	json_object_put(obj);
	json_tokener_free(tok);
	if (!err)
		*ret = r;
	return err;
}

struct json_object *vplug_answer(void)
{
	return vplug_error("");
}

struct json_object *vplug_error(const char *why)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "Err", json_object_new_string(why));
	return obj;
}
