/* SPDX-License-Identifier: BSD-3-Clause */
/* Block devices for volumes, and what is on them. */
#include "tools/volume/vplug_node.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "tools/shared/attachrec.h"
#include "tools/shared/diskuri.h"
#include "tools/volume/vplug_run.h"

#define LOOP_TRIES 64 /* others take loop devices at the same time */

/*
 * Attach
 */

static const char *attach_lacks(void)
{
	if (access("/dev/ublk-control", R_OK | W_OK) == 0 || access("/dev/nbd0", R_OK | W_OK) == 0)
		return NULL;
	return "neither /dev/ublk-control nor /dev/nbd0 (modprobe ublk_drv, or nbd)";
}

/* The URI that `nvring attach` makes of @image. */
static int uri_of(const char *image, char uri[ATTACHREC_URI_MAX], struct errbuf *eb)
{
	char text[ATTACHREC_URI_MAX];

	if (diskuri_from_path(image, text, sizeof(text)))
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: the path is too long", image);
	diskuri_absolute(text, uri, ATTACHREC_URI_MAX);
	return 0;
}

/* A block device that is there, whether it is served or waits for a server. */
static int is_device_of(void *arg, const struct attachrec *r)
{
	struct attachrec *found = arg;

	if (strcmp(r->uri, found->uri) != 0 || strcmp(r->type, "fuse") == 0 || r->seq != attachrec_seq(r->node))
		return 0;
	*found = *r;
	return 1;
}

/* The way of @type: a device that waits comes back by that alone. NULL: the best of this host. */
static int attach_run(const char *program, const char *uri, const char *type, char node[VPLUG_NODE_MAX],
		      struct errbuf *eb)
{
	char verb[] = "attach", as[] = "--as";
	char *argv[] = { (char *)(uintptr_t)program, verb, (char *)(uintptr_t)uri, type ? as : NULL,
			 (char *)(uintptr_t)type, NULL };
	struct stat st;
	int err = vplug_run(argv, node, VPLUG_NODE_MAX, eb);

	if (err)
		return err;
	if (stat(node, &st) || !S_ISBLK(st.st_mode))
		return errbuf_set(eb, -EIO, "%s attach: \"%s\" is no block device", program, node);
	return 0;
}

/* Whoever was killed between the two steps has attached it, and not written down that it has. */
static int attach_open(const char *program, const char *image, char node[VPLUG_NODE_MAX], int *ret_fd,
		       struct errbuf *eb)
{
	struct attachrec r;
	int err = uri_of(image, r.uri, eb);

	if (err)
		return err;
	if (!attachrec_for_each(is_device_of, &r))
		err = attach_run(program, image, NULL, node, eb);
	else if (attachrec_is_served(&r))
		snprintf(node, VPLUG_NODE_MAX, "%.*s", VPLUG_NODE_MAX - 1, r.node);
	else
		err = attach_run(program, image, r.type, node, eb);
	if (!err)
		*ret_fd = -1;
	return err;
}

static int attach_revive(const char *program, const char *node, struct errbuf *eb)
{
	char now[VPLUG_NODE_MAX];
	struct attachrec r;
	int err;

	if (attachrec_find_node(node, &r) || attachrec_is_served(&r))
		return 0;
	if (r.seq != attachrec_seq(node))
		return errbuf_set(eb, -ENODEV, "%s has gone while it was mounted", node);
	err = attach_run(program, r.uri, r.type, now, eb);
	if (!err && strcmp(now, node) != 0)
		err = errbuf_set(eb, -EIO, "%s: its server was started again, as %s", node, now);
	return err;
}

static int attach_watch(const char *node)
{
	struct attachrec r;

	if (attachrec_find_node(node, &r) || r.seq != attachrec_seq(node))
		return -ENOENT;
	return attachrec_open_server(&r);
}

static int attach_detach(const char *program, const char *node, struct errbuf *eb)
{
	char verb[] = "detach", *argv[] = { (char *)(uintptr_t)program, verb, (char *)(uintptr_t)node, NULL };
	struct attachrec r;

	if (access(node, F_OK) && attachrec_find_node(node, &r))
		return 0; /* detached behind our back */
	return vplug_run(argv, NULL, 0, eb);
}

/*
 * Loop
 */

static const char *loop_lacks(void)
{
	return access("/dev/loop-control", R_OK | W_OK) == 0 ? NULL : "no /dev/loop-control (modprobe loop, as root)";
}

/* One try: a free device, perhaps taken by somebody else meanwhile (-EBUSY). */
static int loop_take(int control, int image_fd, char node[VPLUG_NODE_MAX], int *ret_fd)
{
	struct loop_config conf = {
		.fd = (__u32)image_fd,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO },
	};
	int n = ioctl(control, LOOP_CTL_GET_FREE), fd, err;

	if (n < 0)
		return -errno;
	snprintf(node, VPLUG_NODE_MAX, "/dev/loop%d", n);
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, LOOP_CONFIGURE, &conf)) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int loop_open(const char *program, const char *image, char node[VPLUG_NODE_MAX], int *ret_fd,
		     struct errbuf *eb)
{
	int image_fd = open(image, O_RDWR | O_NOFOLLOW | O_CLOEXEC), control, err = -EBUSY;

	if (image_fd < 0)
		return errbuf_set(eb, -errno, "%s: %s", image, strerror(errno));
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		err = -errno;
	for (unsigned i = 0; control >= 0 && err == -EBUSY && i < LOOP_TRIES; i++)
		err = loop_take(control, image_fd, node, ret_fd);
	if (control >= 0)
		close(control);
	close(image_fd);
	return err ? errbuf_set(eb, err, "cannot make a loop device of %s: %s", image, strerror(-err)) : 0;
}

static const struct vplug_backend backends[] = {
	{ .name = "attach", .lacks = attach_lacks, .open = attach_open, .revive = attach_revive,
	  .watch = attach_watch, .detach = attach_detach },
	{ .name = "loop", .lacks = loop_lacks, .open = loop_open },
};

const struct vplug_backend *vplug_backend_choose(const char *name, struct errbuf *eb)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (strcmp(name, backends[i].name) == 0)
			return &backends[i];
		if (strcmp(name, "auto") == 0 && !backends[i].lacks())
			return &backends[i];
	}
	if (strcmp(name, "auto") == 0)
		errbuf_write(eb, "this host has %s, and %s", attach_lacks(), loop_lacks());
	else
		errbuf_write(eb, "--backend: auto, attach or loop, not \"%.60s\"", name);
	return NULL;
}

/*
 * What is on it
 */

int vplug_node_probe(const char *node, char fstype[VPLUG_FSTYPE_MAX], struct errbuf *eb)
{
	blkid_probe pr = blkid_new_probe_from_filename(node);
	const char *type = NULL;
	int rc;

	fstype[0] = '\0';
	if (!pr)
		return errbuf_set(eb, -EIO, "%s: cannot be read", node);
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
	blkid_probe_enable_partitions(pr, 1);
	rc = blkid_do_safeprobe(pr);
	if (rc == 0 && blkid_probe_lookup_value(pr, "USAGE", &type, NULL) == 0 && strcmp(type, "filesystem") == 0 &&
	    blkid_probe_lookup_value(pr, "TYPE", &type, NULL) == 0 && strlen(type) < VPLUG_FSTYPE_MAX)
		snprintf(fstype, VPLUG_FSTYPE_MAX, "%s", type);
	blkid_free_probe(pr);
	if (rc == 1 || fstype[0])
		return 0;
	if (rc == -1)
		return errbuf_set(eb, -EIO, "%s: cannot be read", node);
	return errbuf_set(eb, -EIO, "it carries something that is no file system");
}

bool vplug_node_has_gone(const struct vplug_state *st)
{
	return st->seq && attachrec_seq(st->node) != st->seq;
}

bool vplug_is_mounted(const char *path)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	char line[PATH_MAX * 2];
	struct mntent entry;
	bool found = false;

	while (table && !found && getmntent_r(table, &entry, line, sizeof(line)))
		found = strcmp(entry.mnt_dir, path) == 0;
	if (table)
		endmntent(table);
	return found;
}
