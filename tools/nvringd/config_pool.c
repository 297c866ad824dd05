/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of volumes: checks, and the way into and out of the configuration. */
#include "tools/nvringd/config_pool.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvringd/config.h"

#define SCHEME "dir:"

const struct jread_field config_pool_fields[CONFIG_POOL_NFIELDS] = {
	JREAD_ROW_TEXT(struct config_pool, name, "name", true),
	JREAD_ROW_TEXT(struct config_pool, uri, "uri", true),
};

const char *config_pool_path(const struct config_pool *p)
{
	return p->uri + strlen(SCHEME);
}

bool config_pool_is_disk(const struct config_pool *p)
{
	return strncmp(p->uri, "nvme:", 5) == 0 || strncmp(p->uri, "nvme+vfio-user:", 15) == 0;
}

static int check(const struct config_pool *p, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct errbuf why;

	if (pool_name_check(p->name, &why))
		return errbuf_set(eb, -EINVAL, "%s: %.200s", jread_join(p->where, "name", full), why.text);
	if (config_pool_is_disk(p)) {
		if (strchr(p->uri, '?'))
			return errbuf_set(eb, -EINVAL, "%s: a pool is a whole namespace, without options: %.200s",
					  jread_join(p->where, "uri", full), p->uri);
		return 0;
	}
	if (strncmp(p->uri, SCHEME, strlen(SCHEME)) != 0 || !config_pool_path(p)[0])
		return errbuf_set(eb, -EINVAL, "%s: \"%.100s\" is no pool, did you mean dir:%.100s?",
				  jread_join(p->where, "uri", full), p->uri, p->uri);
	return 0;
}

int config_add_pool(struct config *c, const struct config_pool *p, struct errbuf *eb)
{
	struct config_pool *pools;
	char full[JREAD_WHERE_MAX];
	int err = check(p, eb);

	if (err)
		return err;
	for (unsigned i = 0; i < c->npools; i++) {
		if (strcmp(c->pools[i].name, p->name) == 0)
			return errbuf_set(eb, -EINVAL, "%s: there is another pool named \"%s\"",
					  jread_join(p->where, "name", full), p->name);
	}
	if (c->npools == CONFIG_POOLS_MAX)
		return errbuf_set(eb, -EINVAL, "%s: more than %d pools", p->where, CONFIG_POOLS_MAX);
	pools = realloc(c->pools, (c->npools + 1) * sizeof(*pools));
	if (!pools)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->pools = pools;
	c->pools[c->npools++] = *p;
	return 0;
}

void config_pools_build(const struct config *c, struct json_object *top)
{
	struct json_object *arr;

	if (!c->npools)
		return;
	arr = json_object_new_array();
	for (unsigned i = 0; i < c->npools; i++) {
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "name", json_object_new_string(c->pools[i].name));
		json_object_object_add(obj, "uri", json_object_new_string(c->pools[i].uri));
		json_object_array_add(arr, obj);
	}
	json_object_object_add(top, "pools", arr);
}
