/* SPDX-License-Identifier: BSD-3-Clause */
/* Attached disks, block devices of this host, in the configuration: defaults, checks, JSON. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/nvringd/config.h"
#include "vdpa/fusefile.h"
#include "vdpa/ublk.h"

const struct jread_field config_attach_fields[CONFIG_ATTACH_NFIELDS] = {
	JREAD_ROW_TEXT(struct config_attach, disk, "disk", true),
	JREAD_ROW_TEXT(struct config_attach, as, "as", true),
	JREAD_ROW_UINT(struct config_attach, id, "id", 0, UBLK_ID_MAX),
	JREAD_ROW_UINT(struct config_attach, queues, "queues", 1, UBLK_QUEUES_LIMIT),
	JREAD_ROW_UINT(struct config_attach, depth, "depth", 1, UBLK_DEPTH_LIMIT),
	JREAD_ROW_BOOL(struct config_attach, read_only, "read_only"),
	JREAD_ROW_TEXT(struct config_attach, path, "path", false),
};

void config_attach_init(struct config_attach *a)
{
	*a = (struct config_attach){ .id = CONFIG_ATTACH_ANY };
}

static int check_file(const struct config_attach *a, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];

	if (a->queues)
		return errbuf_set(eb, -EINVAL, "%s: a file has one", jread_join(a->where, "queues", full));
	if (a->id != CONFIG_ATTACH_ANY && (a->id > FUSEFILE_ID_MAX || a->path[0]))
		return errbuf_set(eb, -EINVAL, "%s: %s", jread_join(a->where, "id", full),
				  a->path[0] ? "a path and a number are one too many" :
					       "files have numbers from 0 to 1023");
	if (a->path[0] && a->path[0] != '/')
		return errbuf_set(eb, -EINVAL, "%s: must be absolute, not \"%s\"",
				  jread_join(a->where, "path", full), a->path);
	return 0;
}
static_assert(FUSEFILE_ID_MAX == 1023, "it is in a text");

int config_attach_check(const struct config_attach *a, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];

	if (strcmp(a->as, "fuse") == 0)
		return check_file(a, eb);
	if (strcmp(a->as, "ublk") != 0 && strcmp(a->as, "nbd") != 0)
		return errbuf_set(eb, -EINVAL, "%s: a disk is attached as ublk, nbd or fuse, not as \"%s\"",
				  jread_join(a->where, "as", full), a->as);
	if (a->path[0])
		return errbuf_set(eb, -EINVAL, "%s: only a file has one (fuse)", jread_join(a->where, "path", full));
	if (strcmp(a->as, "nbd") == 0 && a->depth)
		return errbuf_set(eb, -EINVAL, "%s: the kernel's NBD client has its own, 128",
				  jread_join(a->where, "depth", full));
	return 0;
}

int config_add_attach(struct config *c, const struct config_attach *a, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct config_attach *attachs;
	int err = config_attach_check(a, eb);

	if (err)
		return err;
	for (unsigned i = 0; i < c->nattachs; i++) {
		if (a->id != CONFIG_ATTACH_ANY && c->attachs[i].id == a->id &&
		    strcmp(c->attachs[i].as, a->as) == 0)
			return errbuf_set(eb, -EINVAL, "%s: another disk has this number",
					  jread_join(a->where, "id", full));
	}
	if (c->nattachs == CONFIG_ATTACHS_MAX)
		return errbuf_set(eb, -EINVAL, "%s: more than %d attached disks", a->where,
				  CONFIG_ATTACHS_MAX);
	attachs = realloc(c->attachs, (c->nattachs + 1) * sizeof(*attachs));
	if (!attachs)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->attachs = attachs;
	c->attachs[c->nattachs++] = *a;
	return 0;
}

int config_attachs_finish(const struct config *c, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];

	for (unsigned i = 0; i < c->nattachs; i++) {
		if (!config_has_disk(c, c->attachs[i].disk))
			return errbuf_set(eb, -EINVAL, "%s: no disk named \"%s\"",
					  jread_join(c->attachs[i].where, "disk", full),
					  c->attachs[i].disk);
	}
	return 0;
}

static struct json_object *build(const struct config_attach *a)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "disk", json_object_new_string(a->disk));
	json_object_object_add(obj, "as", json_object_new_string(a->as));
	if (a->id != CONFIG_ATTACH_ANY)
		json_object_object_add(obj, "id", json_object_new_int((int)a->id));
	if (a->queues)
		json_object_object_add(obj, "queues", json_object_new_int((int)a->queues));
	if (a->depth)
		json_object_object_add(obj, "depth", json_object_new_int((int)a->depth));
	json_object_object_add(obj, "read_only", json_object_new_boolean(a->read_only));
	if (a->path[0])
		json_object_object_add(obj, "path", json_object_new_string(a->path));
	return obj;
}

void config_attachs_build(const struct config *c, struct json_object *top)
{
	struct json_object *arr;

	if (!c->nattachs)
		return;
	arr = json_object_new_array();
	for (unsigned i = 0; i < c->nattachs; i++)
		json_object_array_add(arr, build(&c->attachs[i]));
	json_object_object_add(top, "attach", arr);
}
