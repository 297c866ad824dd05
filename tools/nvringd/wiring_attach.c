/* SPDX-License-Identifier: BSD-3-Clause */
/* Attached disks: a door, a record beside the run-time files, and an end that does not pull a disk from under its users. */
#include "tools/nvringd/wiring_attach.h"

#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "tools/shared/diskuri.h"
#include "tools/shared/fuseleft.h"
#include "vdpa/fusefile.h"
#include "vdpa/nbd.h"
#include "vdpa/ublk.h"

#define LOG_TAG "attach"
#include "core/base/log.h"

#define TURN_NS 500000 /* between two turns while nvringd starts */

static const struct door_ops *const doors[] = { &ublk_door, &nbd_door, &fusefile_door };

static const struct door_ops *door_ops(const char *as)
{
	for (size_t i = 0; i < ARRAY_SIZE(doors); i++) {
		if (strcmp(doors[i]->as, as) == 0)
			return doors[i];
	}
	return NULL; /* config_attach_check() knows the same ones */
}

/* Memory that went with the last server is no disk to go on with. */
static bool forgets(const struct bdev *bdev)
{
	for (; bdev; bdev = bdev->lower) {
		if (strcmp(bdev->ops->name, "ram") == 0)
			return true;
	}
	return false;
}

/* The device that an earlier server of this disk left, or DOOR_ID_NONE. */
static int find_left(const struct wiring_attach *a)
{
	struct attachrec left;

	if (forgets(a->disk->bdev) || attachrec_find_left(a->conf.as, a->rec.uri, &left))
		return DOOR_ID_NONE;
	if (a->conf.id != CONFIG_ATTACH_ANY && a->conf.id != left.id) {
		log_warn("%s: %s still waits for this disk: nvring detach --force %s", a->conf.disk,
			 left.node, left.node);
		return DOOR_ID_NONE;
	}
	return (int)left.id;
}

static void choose_reactors(struct wiring_attach *a)
{
	struct place_set may, near;

	(void)wiring_cpus_choose(a->w, "", &may, NULL);
	near = place_near(&may, a->w->nodes, a->w->nreactors, a->disk->bdev->numa_node);
	a->nreactors = wiring_reactors_sort(a->w, &may, &near, a->reactors);
}

static void record(struct wiring_attach *a)
{
	struct door_info info;
	struct errbuf eb;

	door_get_info(a->door, &info);
	snprintf(a->rec.node, sizeof(a->rec.node), "%s", info.node);
	a->rec.id = info.id;
	a->rec.seq = attachrec_seq(info.node);
	if (attachrec_write(&a->rec, &eb))
		log_warn("%s: after a crash no nvringd will go on with it: %s", a->conf.disk, eb.text);
}

static void attach_free(struct wiring_attach *a)
{
	struct wiring *w = a->w;

	list_del(&a->link);
	w->nattachs--;
	door_destroy(a->door);
	free(a);
}

static void started(void *arg, int err, const char *why)
{
	struct wiring_attach *a = arg;
	struct wiring *w = a->w;
	wiring_done_fn done = a->done;
	void *done_arg = a->done_arg;

	w->busy--;
	if (err) {
		done(done_arg, err, why);
		attach_free(a);
	} else {
		a->live = true;
		record(a);
		log_notice("%s: disk %s%s", a->rec.node, a->conf.disk, a->conf.read_only ? ", read-only" : "");
		done(done_arg, 0, "");
	}
	wiring_step(w);
}

static void told(void *arg, const char *path)
{
	(void)arg;
	log_notice("%s, whose server is gone, was cleared away", path);
}

/* Where files are, without what dead servers have left there. */
static int prepare_folder(char folder[FUSEFILE_PATH_MAX], struct errbuf *eb)
{
	if (fuseleft_folder(folder, FUSEFILE_PATH_MAX))
		return errbuf_set(eb, -ENOENT, "XDG_RUNTIME_DIR is not set: there is no place for a file");
	fuseleft_clear(told, NULL);
	return 0;
}

static void fill_record(struct wiring_attach *a)
{
	snprintf(a->rec.type, sizeof(a->rec.type), "%s", a->conf.as);
	snprintf(a->rec.disk, sizeof(a->rec.disk), "%s", a->conf.disk);
	diskuri_absolute(a->disk->conf.uri, a->rec.uri, sizeof(a->rec.uri));
	snprintf(a->rec.rpc, sizeof(a->rec.rpc), "%s", a->w->rpc_path);
	a->rec.pid = getpid();
	a->rec.start = attachrec_start_of(a->rec.pid);
}

static int create(struct wiring_attach *a, struct errbuf *eb)
{
	const struct door_ops *ops = door_ops(a->conf.as);
	char folder[FUSEFILE_PATH_MAX];
	struct door_opts opts = {
		.name = a->conf.disk,
		.backend = a->rec.uri,
		.bdev = a->disk->bdev,
		.control = a->w->control,
		.reactors = a->reactors,
		.id = a->conf.id == CONFIG_ATTACH_ANY ? DOOR_ID_NONE : (int)a->conf.id,
		.adopt = DOOR_ID_NONE,
		.queues = a->conf.queues,
		.depth = a->conf.depth,
		.folder = folder,
		.path = a->conf.path[0] ? a->conf.path : NULL,
		.read_only = a->conf.read_only,
	};
	int err;

	if (!ops)
		return errbuf_set(eb, -EINVAL, "a disk cannot be attached as \"%s\"", a->conf.as);
	choose_reactors(a);
	opts.nreactors = a->nreactors;
	fill_record(a);
	if (!ops->ends_with_us)
		opts.adopt = find_left(a);
	err = ops == &fusefile_door ? prepare_folder(folder, eb) : 0;
	return err ? err : door_create(ops, &opts, &a->door, eb);
}

void wiring_attach_create(struct wiring *w, const struct config_attach *conf, wiring_done_fn done,
			  void *arg)
{
	struct wiring_disk *disk = wiring_find_disk(w, conf->disk);
	struct wiring_attach *a;
	struct errbuf eb;
	int err;

	if (!disk || (disk->state != WIRING_DISK_READY && disk->state != WIRING_DISK_RESIZING)) {
		done(arg, -ENODEV, "there is no such disk");
		return;
	}
	if (w->nattachs >= CONFIG_ATTACHS_MAX) {
		done(arg, -ENOSPC, "too many attached disks");
		return;
	}
	a = calloc(1, sizeof(*a));
	if (!a) {
		done(arg, -ENOMEM, "out of memory");
		return;
	}
	a->w = w;
	a->conf = *conf;
	a->disk = disk;
	err = create(a, &eb);
	if (err) {
		free(a);
		done(arg, err, eb.text);
		return;
	}
	a->done = done;
	a->done_arg = arg;
	list_add_tail(&w->attachs, &a->link);
	w->nattachs++;
	w->busy++;
	door_start(a->door, started, a);
}

/*
 * While nvringd starts
 */

struct waiting {
	bool is_over;
	int err;
	struct errbuf why;
};

static void waited(void *arg, int err, const char *why)
{
	struct waiting *wait = arg;

	wait->is_over = true;
	wait->err = err;
	errbuf_write(&wait->why, "%s", why);
}

int wiring_attach_all(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	const struct timespec pause = { .tv_nsec = TURN_NS };

	for (unsigned i = 0; i < c->nattachs; i++) {
		struct waiting wait = { .is_over = false };

		wiring_attach_create(w, &c->attachs[i], waited, &wait);
		while (!wait.is_over) {
			if (!reactor_turn(w->control))
				(void)nanosleep(&pause, NULL);
		}
		if (wait.err)
			return errbuf_set(eb, wait.err, "%.150s %.300s", c->attachs[i].where, wait.why.text);
	}
	return 0;
}

/* Copies of mounts on devices that we may take over: nobody would unmount them here, where mounts are not shared. */
static void detach_copies(void)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	char line[PATH_MAX * 2];
	struct mntent entry;

	while (table && getmntent_r(table, &entry, line, sizeof(line))) {
		if (strncmp(entry.mnt_fsname, "/dev/ublkb", 10) == 0 || strncmp(entry.mnt_fsname, "/dev/nbd", 8) == 0)
			(void)umount2(entry.mnt_dir, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	if (table)
		endmntent(table);
}

/*
 * A file system on a disk of ours must not be mounted in a namespace that ends with us: it would write to the disk then,
 * and nobody would serve that. Mounts made and undone elsewhere are seen, so nothing stays mounted here alone. Not for
 * FUSE: others are to see its file.
 */
void wiring_attach_seclude(const struct config *c)
{
	for (unsigned i = 0; i < c->nattachs; i++) {
		if (strcmp(c->attachs[i].as, "fuse") == 0)
			return;
	}
	if (!c->nattachs)
		return;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		log_info("no mount namespace of our own: %s", strerror(errno));
	else
		detach_copies();
}

/*
 * The end
 */

static void stopped(void *arg, int err, const char *why)
{
	struct wiring_attach *a = arg;
	struct wiring *w = a->w;
	wiring_done_fn done = a->done;
	void *done_arg = a->done_arg;

	if (a->leaves)
		log_notice("%s is in use and stays: its I/O waits for the next nvringd with disk %s", a->rec.node,
			   a->conf.disk);
	else
		attachrec_remove(&a->rec);
	if (err)
		log_error("%s: %s", a->conf.disk, why);
	bdev_drain_end(a->disk->bdev);
	if (done)
		done(done_arg, err, why);
	attach_free(a);
	wiring_step(w);
}

static void end(struct wiring_attach *a, bool leave, wiring_done_fn done, void *arg)
{
	a->ending = true;
	a->leaves = leave;
	a->done = done;
	a->done_arg = arg;
	wiring_disk_force_thaw(a->disk, "it is detached");
	bdev_drain_begin(a->disk->bdev);
	door_stop(a->door, leave ? DOOR_END_LEAVE : DOOR_END_REMOVE, stopped, a);
}

static void explain_claim(const struct wiring_attach *a, struct errbuf *why)
{
	char user[64];

	door_tell_user(a->door, user, sizeof(user));
	if (user[0])
		errbuf_write(why, "%s is in use by %s: end that first, or detach it by force", a->rec.node, user);
	else
		errbuf_write(why, "%s is mounted or held otherwise: unmount it first, or detach it by force",
			     a->rec.node);
}

void wiring_attach_delete(struct wiring_attach *a, bool force, wiring_done_fn done, void *arg)
{
	struct errbuf why;

	if (!a->live || a->ending) {
		done(arg, -EBUSY, a->ending ? "it is being detached" : "it is still being attached");
	} else if (!force && door_is_claimed(a->door)) {
		explain_claim(a, &why);
		done(arg, -EBUSY, why.text);
	} else {
		end(a, false, done, arg);
	}
}

void wiring_attachs_end(struct wiring *w)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &w->attachs) {
		struct wiring_attach *a = list_entry(pos, struct wiring_attach, link);

		bool is_claimed;

		if (!a->live || a->ending)
			continue;
		is_claimed = door_is_claimed(a->door);
		if (is_claimed && a->door->ops->ends_with_us)
			log_warn("%s goes while it is in use", a->rec.node);
		end(a, is_claimed && !a->door->ops->ends_with_us, NULL, NULL);
	}
}

struct wiring_attach *wiring_find_attach(struct wiring *w, const char *as, unsigned id)
{
	struct list *pos;

	list_for_each(pos, &w->attachs) {
		struct wiring_attach *a = list_entry(pos, struct wiring_attach, link);

		if (a->live && strcmp(a->conf.as, as) == 0 && a->rec.id == id)
			return a;
	}
	return NULL;
}
