/* SPDX-License-Identifier: BSD-3-Clause */
/* Attached as a file. */
#include <errno.h>
#include <stdio.h>

#include "tools/nvringd/wiring_attach.h"
#include "tools/shared/fuseleft.h"
#include "vdpa/fusefile.h"

#define LOG_TAG "attach"
#include "core/base/log.h"

static void told(void *arg, const char *path)
{
	(void)arg;
	log_notice("%s, whose server is gone, was cleared away", path);
}

static int create(const struct wiring_attach *a, int adopt, void **ret_door, struct errbuf *eb)
{
	char folder[FUSEFILE_PATH_MAX];
	struct fusefile_opts opts = {
		.name = a->conf.disk,
		.bdev = a->disk->bdev,
		.control = a->w->control,
		.reactor = a->reactors[0],
		.folder = folder,
		.id = a->conf.id == CONFIG_ATTACH_ANY ? -1 : (int)a->conf.id,
		.path = a->conf.path[0] ? a->conf.path : NULL,
		.depth = a->conf.depth,
		.read_only = a->conf.read_only,
	};
	struct fusefile *f;
	int err;

	(void)adopt; /* nothing outlives its server */
	if (fuseleft_folder(folder, sizeof(folder)))
		return errbuf_set(eb, -ENOENT, "XDG_RUNTIME_DIR is not set: there is no place for a file");
	fuseleft_clear(told, NULL);
	err = fusefile_create(&opts, &f, eb);
	if (!err)
		*ret_door = f;
	return err;
}

static void start(void *door, wiring_done_fn done, void *arg)
{
	fusefile_start(door, done, arg);
}

static void stop(void *door, bool leave, wiring_done_fn done, void *arg)
{
	(void)leave;
	fusefile_stop(door, done, arg);
}

static void destroy(void *door)
{
	fusefile_destroy(door);
}

static void get_info(const void *door, struct wiring_attach_info *ret)
{
	struct fusefile_info info;

	fusefile_get_info(door, &info);
	*ret = (struct wiring_attach_info){
		.id = info.id,
		.queues = 1,
		.depth = info.depth,
		.live = info.live,
		.read_only = info.read_only,
		.ios = info.ios,
		.errors = info.errors,
	};
	snprintf(ret->node, sizeof(ret->node), "%s", info.path);
}

static bool is_claimed(const void *door)
{
	return fusefile_is_open(door);
}

static void tell_user(const void *door, char *buf, size_t len)
{
	struct fusefile_info info;

	fusefile_get_info(door, &info);
	fusefile_place_users(info.path, buf, len);
}

const struct wiring_door_ops wiring_door_fuse = {
	.as = "fuse",
	.ends_with_us = true,
	.create = create,
	.start = start,
	.stop = stop,
	.destroy = destroy,
	.get_info = get_info,
	.is_claimed = is_claimed,
	.tell_user = tell_user,
};
