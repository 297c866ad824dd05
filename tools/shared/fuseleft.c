/* SPDX-License-Identifier: BSD-3-Clause */
/* By the records, and in the folder also what was killed before it had one. */
#include "tools/shared/fuseleft.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/shared/attachrec.h"
#include "vdpa/fusefile_place.h"

struct told {
	void (*fn)(void *arg, const char *path);
	void *arg;
};

int fuseleft_folder(char *buf, size_t len)
{
	char path[ATTACHREC_PATH_MAX], *slash;
	int err = attachrec_folder(path, sizeof(path));

	if (err)
		return err;
	slash = strrchr(path, '/');
	*slash = '\0';
	return (size_t)snprintf(buf, len, "%s/fuse", path) >= len ? -ENAMETOOLONG : 0;
}

static int clear_record(void *arg, const struct attachrec *r)
{
	const struct told *told = arg;

	if (strcmp(r->type, "fuse") != 0 || attachrec_is_served(r))
		return 0;
	if (fusefile_place_clear(r->node))
		told->fn(told->arg, r->node);
	attachrec_remove(r);
	return 0;
}

void fuseleft_clear(void (*told)(void *arg, const char *path), void *arg)
{
	struct told all = { .fn = told, .arg = arg };
	char folder[ATTACHREC_PATH_MAX], path[2 * ATTACHREC_PATH_MAX];
	struct dirent *de;
	DIR *dir;

	(void)attachrec_for_each(clear_record, &all);
	if (fuseleft_folder(folder, sizeof(folder)))
		return;
	dir = opendir(folder);
	while (dir && (de = readdir(dir))) {
		struct attachrec r;

		if (de->d_name[0] == '.' ||
		    (size_t)snprintf(path, sizeof(path), "%s/%.200s", folder, de->d_name) >= sizeof(path))
			continue;
		/* one with a record is served, and need not answer us now */
		if (attachrec_find_node(path, &r) && fusefile_place_clear(path))
			told(arg, path);
	}
	if (dir)
		closedir(dir);
}
