/* SPDX-License-Identifier: BSD-3-Clause */
/* Walks into JSON values by a path. */
#include "tools/shared/jget.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static struct json_object *step(struct json_object *obj, const char *key)
{
	struct json_object *next = NULL;

	if (json_object_is_type(obj, json_type_array))
		return json_object_array_get_idx(obj, strtoul(key, NULL, 10));
	if (json_object_is_type(obj, json_type_object))
		json_object_object_get_ex(obj, key, &next);
	return next;
}

struct json_object *jget(struct json_object *obj, const char *path)
{
	char key[64];

	while (obj && *path) {
		size_t n = strcspn(path, "/");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		obj = step(obj, key);
		path += n + (path[n] == '/');
	}
	return obj;
}

const char *jget_text(struct json_object *obj, const char *path)
{
	struct json_object *v = jget(obj, path);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

uint64_t jget_number(struct json_object *obj, const char *path)
{
	return json_object_get_uint64(jget(obj, path));
}

bool jget_bool(struct json_object *obj, const char *path)
{
	return json_object_get_boolean(jget(obj, path));
}

size_t jget_count(struct json_object *obj, const char *path)
{
	struct json_object *v = jget(obj, path);

	return json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
}
