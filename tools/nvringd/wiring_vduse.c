/* SPDX-License-Identifier: BSD-3-Clause */
/* VDUSE devices of the daemon: a virtio-blk device on a disk, for the kernel's vDPA bus. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/nvringd/wiring.h"
#include "tools/shared/rundir.h"
#include "vdpa/vduse.h"
#include "vhost/blk/vblk.h"

#define LOG_TAG "vduse"
#include "core/base/log.h"

static_assert(BDEV_NAME_MAX <= VDUSE_NAME_BYTES_MAX, "our names are names there");

#define LOG_PATH_MAX (CONFIG_SOCKET_MAX + BDEV_NAME_MAX + 16)

/* Beside the control socket: what ends with the host's uptime, as the kernel's device does. */
static int log_path(const struct wiring *w, const char *name, char path[LOG_PATH_MAX],
		    struct errbuf *eb)
{
	char rpc[CONFIG_SOCKET_MAX];
	const char *dir;

	if (w->conf.rpc_on)
		memcpy(rpc, w->rpc_path, sizeof(rpc));
	else if (rundir_rpc_path(rpc, sizeof(rpc)))
		return errbuf_set(eb, -EINVAL, "no place for the inflight log: XDG_RUNTIME_DIR is not "
					       "set: give --rpc SOCKET");
	dir = dirname(rpc);
	if (!w->conf.rpc_on)
		(void)mkdir(dir, 0755); /* no control socket has made it; open will say what is wrong */
	snprintf(path, LOG_PATH_MAX, "%s/vduse-%s.log", dir, name);
	return 0;
}

static int create_device(struct wiring_vduse *v, struct errbuf *eb)
{
	struct vblk_opts opts = {
		.read_only = v->conf.read_only,
		.nqueues = v->conf.queues,
		.write_through = !v->conf.write_cache,
		.serial = v->conf.serial[0] ? v->conf.serial : NULL,
	};

	return vblk_create(v->disk->bdev, &opts, &v->dev, eb);
}

static int create_door(struct wiring_vduse *v, struct errbuf *eb)
{
	struct reactor *reactors[REACTOR_MAX];
	char path[LOG_PATH_MAX];
	struct vduse_opts opts = {
		.name = v->conf.name,
		.log = path,
		.dev = vblk_vdev(v->dev),
		.control = v->w->control,
		.reactors = reactors,
		.nreactors = wiring_reactors_sort(v->w, &v->may, &v->near, reactors),
		.nnear = place_set_count(&v->near),
		.no_packed = !v->conf.packed,
	};
	int err = log_path(v->w, v->conf.name, path, eb);

	return err ? err : vduse_create(&opts, &v->door, eb);
}

static void vduse_free(struct wiring_vduse *v)
{
	vblk_destroy(v->dev);
	free(v);
}

int wiring_vduse_create(struct wiring *w, const struct config_vduse *conf, struct errbuf *eb)
{
	struct wiring_disk *disk = wiring_find_disk(w, conf->disk);
	char full[JREAD_WHERE_MAX];
	const char *key = "name";
	struct wiring_vduse *v;
	struct errbuf why;
	int err;

	if (!disk || (disk->state != WIRING_DISK_READY && disk->state != WIRING_DISK_RESIZING))
		return errbuf_set(eb, -ENODEV, "%s: no disk named \"%s\"",
				  jread_join(conf->where, "disk", full), conf->disk);
	if (w->nvduses >= CONFIG_VDUSES_MAX)
		return errbuf_set(eb, -ENOSPC, "%s: too many VDUSE devices", conf->where);
	v = calloc(1, sizeof(*v));
	if (!v)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	v->w = w;
	v->conf = *conf;
	v->disk = disk;
	err = wiring_cpus_choose(w, conf->cpus, &v->may, &why);
	if (err)
		key = "cpus";
	v->near = place_near(&v->may, w->nodes, w->nreactors, disk->bdev->numa_node);
	if (!err)
		err = create_device(v, &why);
	if (!err)
		err = create_door(v, &why);
	if (err) {
		vduse_free(v);
		return errbuf_set(eb, err, "%s: %.400s", jread_join(conf->where, key, full),
				  why.text);
	}
	list_add_tail(&w->vduses, &v->link);
	w->nvduses++;
	log_info("%s: disk %s is /dev/vduse/%s", v->conf.name, v->conf.disk, v->conf.name);
	return 0;
}

static void door_gone(void *arg, bool stays)
{
	struct wiring_vduse *v = arg;
	struct wiring *w = v->w;
	wiring_done_fn done = v->done;
	void *done_arg = v->done_arg;

	log_info("%s: ended", v->conf.name);
	list_del(&v->link);
	w->nvduses--;
	bdev_drain_end(v->disk->bdev);
	vduse_free(v);
	if (done && stays)
		done(done_arg, -EBUSY, "somebody has attached it to the vDPA bus meanwhile: "
				       "nvring vduse detach");
	else if (done)
		done(done_arg, 0, "");
	wiring_step(w);
}

static void vduse_end(struct wiring_vduse *v, wiring_done_fn done, void *arg)
{
	v->ending = true;
	v->done = done;
	v->done_arg = arg;
	wiring_disk_force_thaw(v->disk, "a VDUSE device on it ends");
	bdev_drain_begin(v->disk->bdev); /* it ends with its last I/O */
	vduse_destroy(v->door, door_gone, v);
}

void wiring_vduse_delete(struct wiring_vduse *v, wiring_done_fn done, void *arg)
{
	struct errbuf why;

	if (v->ending) {
		done(arg, -EBUSY, "the device is being deleted");
	} else if (vduse_is_attached(v->door)) {
		errbuf_set(&why, -EBUSY,
			   "it is on the vDPA bus: detach it first (nvring vduse detach %s, or vdpa dev "
			   "del %s)",
			   v->conf.name, v->conf.name);
		done(arg, -EBUSY, why.text);
	} else {
		vduse_end(v, done, arg);
	}
}

void wiring_vduses_end(struct wiring *w)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &w->vduses) {
		struct wiring_vduse *v = list_entry(pos, struct wiring_vduse, link);

		if (!v->ending)
			vduse_end(v, NULL, NULL);
	}
}
