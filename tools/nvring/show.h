/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's answers for people: texts of numbers, and the tables that several commands print. */
#ifndef TOOLS_NVRING_SHOW_H
#define TOOLS_NVRING_SHOW_H

#include <stdint.h>

struct cli;
struct json_object;

#define SHOW_TEXT_MAX 32

/* "-" for 0, else "1.2 us", "3.4 ms"; and a plain number. Return @buf. */
const char *show_ns(uint64_t ns, char buf[SHOW_TEXT_MAX]);
const char *show_count(uint64_t n, char buf[SHOW_TEXT_MAX]);

/* Answers of bdev_get_bdevs, vhost_get_controllers, framework_get_reactors as tables. */
void show_disks(struct json_object *bdevs);
void show_exports(struct json_object *ctrlrs);
void show_reactors(struct json_object *reactors);
/* Of vduse_get_devices, with their nodes here (cmd_vduse.c). */
void show_vduses(struct json_object *devices);

/* Pretty JSON on standard output. */
void show_json(struct json_object *obj);

/* The common road: call, then JSON or @show; @result is put. Returns enum cli_exit. */
int show_call(struct cli *cli, const char *method, struct json_object *params,
	      void (*show)(struct json_object *result));

#endif
