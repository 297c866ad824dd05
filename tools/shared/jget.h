/* SPDX-License-Identifier: BSD-3-Clause */
/* Members of the daemon's answers, with a harmless value where one is missing. */
#ifndef TOOLS_SHARED_JGET_H
#define TOOLS_SHARED_JGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* @path: keys joined by '/', numbers for array members: "sessions/0/state". Borrowed; NULL: not there. */
struct json_object *jget(struct json_object *obj, const char *path);

const char *jget_text(struct json_object *obj, const char *path);   /* "" */
uint64_t jget_number(struct json_object *obj, const char *path);    /* 0 */
bool jget_bool(struct json_object *obj, const char *path);	    /* false */
size_t jget_count(struct json_object *obj, const char *path);	    /* members of an array; 0 */

#endif
