/* SPDX-License-Identifier: BSD-3-Clause */
/* VDUSE devices in the configuration: defaults and checks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/nvringd/config.h"
#include "core/base/cpulist.h"

const struct jread_field config_vduse_fields[CONFIG_VDUSE_NFIELDS] = {
	JREAD_ROW_TEXT(struct config_vduse, disk, "disk", true),
	JREAD_ROW_TEXT(struct config_vduse, name, "name", false),
	JREAD_ROW_BOOL(struct config_vduse, read_only, "read_only"),
	JREAD_ROW_UINT(struct config_vduse, queues, "queues", 1, VDEV_QUEUES_MAX),
	JREAD_ROW_BOOL(struct config_vduse, packed, "packed"),
	JREAD_ROW_BOOL(struct config_vduse, write_cache, "write_cache"),
	JREAD_ROW_TEXT(struct config_vduse, serial, "serial", false),
	JREAD_ROW_TEXT(struct config_vduse, cpus, "cpus", false),
};

void config_vduse_init(struct config_vduse *v)
{
	*v = (struct config_vduse){
		.queues = CONFIG_VDUSE_QUEUES_DEFAULT,
		.packed = true,
		.write_cache = true,
	};
}

int config_vduse_check(const struct config_vduse *v, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct errbuf why;
	cpu_set_t set;

	if (v->cpus[0] && cpulist_parse(v->cpus, &set, &why))
		return errbuf_set(eb, -EINVAL, "%s: %.200s", jread_join(v->where, "cpus", full),
				  why.text);
	if (strcmp(v->name, "control") == 0)
		return errbuf_set(eb, -EINVAL,
				  "%s: /dev/vduse/control is the kernel's own, name it otherwise",
				  jread_join(v->where, "name", full));
	return v->name[0] ? config_name_check(v->where, "name", v->name, eb) : 0;
}

static const char *name_of(const struct config_vduse *v)
{
	return v->name[0] ? v->name : v->disk;
}

int config_add_vduse(struct config *c, const struct config_vduse *v, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct config_vduse *vduses;
	int err = config_vduse_check(v, eb);

	if (err)
		return err;
	for (unsigned i = 0; i < c->nvduses; i++) {
		if (strcmp(name_of(&c->vduses[i]), name_of(v)) == 0)
			return errbuf_set(eb, -EINVAL, "%s: there is another VDUSE device named \"%s\"",
					  jread_join(v->where, "name", full), name_of(v));
	}
	if (c->nvduses == CONFIG_VDUSES_MAX)
		return errbuf_set(eb, -EINVAL, "%s: more than %d VDUSE devices", v->where,
				  CONFIG_VDUSES_MAX);
	vduses = realloc(c->vduses, (c->nvduses + 1) * sizeof(*vduses));
	if (!vduses)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->vduses = vduses;
	c->vduses[c->nvduses++] = *v;
	return 0;
}

int config_vduses_finish(struct config *c, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];

	for (unsigned i = 0; i < c->nvduses; i++) {
		struct config_vduse *v = &c->vduses[i];

		if (!config_has_disk(c, v->disk))
			return errbuf_set(eb, -EINVAL, "%s: no disk named \"%s\"",
					  jread_join(v->where, "disk", full), v->disk);
		if (!v->name[0])
			memcpy(v->name, v->disk, sizeof(v->name));
		if (config_vduse_check(v, eb))
			return -EINVAL;
	}
	return 0;
}
