/* SPDX-License-Identifier: BSD-3-Clause */
/* What the daemon shall do, as plain data: from the command line, a JSON file, or both; checked before anything starts. */
#ifndef TOOLS_NVRINGD_CONFIG_H
#define TOOLS_NVRINGD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/errbuf.h"
#include "core/base/log.h"
#include "core/bdev.h"
#include "core/reactor.h"
#include "tools/nvringd/config_pool.h"
#include "tools/nvringd/config_qos.h"
#include "tools/nvringd/jread.h"
#include "vhost/vdev.h"

struct json_object;

#define CONFIG_DISKS_MAX      1024
#define CONFIG_EXPORTS_MAX    1024
#define CONFIG_GROUPS_MAX     1024
#define CONFIG_VDUSES_MAX     1024
#define CONFIG_ATTACHS_MAX    1024
#define CONFIG_FILE_BYTES_MAX (4 * 1024 * 1024) /* some hundred bytes for each disk and export */
#define CONFIG_DEPTH_MAX      8		       /* nesting; the format has three levels */
#define CONFIG_SOCKET_MAX     108	       /* sun_path */
#define CONFIG_SERIAL_MAX     21	       /* virtio-blk GET_ID: 20 bytes */
#define CONFIG_CPUS_DEFAULT   4	 /* data reactors when nobody says how many; an idle one costs a sleeping thread */
#define CONFIG_QUEUES_DEFAULT 64 /* offered per export; a queue costs memory only once it is used */
#define CONFIG_VDUSE_QUEUES_DEFAULT 16 /* the kernel makes something of each; its driver uses one per CPU at most */
#define CONFIG_LOCK_WAIT_MS   5000 /* the kernel may still be finishing I/O of a killed predecessor */
#define CONFIG_LOCK_WAIT_MS_MAX 600000
#define CONFIG_IDLE_US_MAX	(REACTOR_IDLE_LIMIT_NS / MONO_NS_PER_US)

struct config_disk {
	char name[BDEV_NAME_MAX];
	char uri[BDEV_URI_MAX];
	bool read_only;
	struct config_qos qos;
	char where[JREAD_WHERE_MAX]; /* who asked for it, for errors */
};

/* Disks that share a limit. */
struct config_group {
	char name[QOS_GROUP_NAME_MAX];
	struct qos_limits limits;
	char where[JREAD_WHERE_MAX];
};

struct config_export {
	char name[BDEV_NAME_MAX]; /* empty: made from the disk's */
	char disk[BDEV_NAME_MAX];
	char type[16];			/* empty or "vhost-user-blk" */
	char socket[CONFIG_SOCKET_MAX]; /* empty: fd */
	int fd;				/* inherited; -1: none */
	bool read_only;
	bool packed;
	bool write_cache;
	unsigned queues;
	unsigned mode; /* of the socket */
	char serial[CONFIG_SERIAL_MAX]; /* empty: the disk's */
	char cpus[256]; /* where its queues may run, "0-3,8"; empty: on all that have a reactor */
	char where[JREAD_WHERE_MAX];
};

/* A disk as a vDPA device of the host's kernel. */
struct config_vduse {
	char name[BDEV_NAME_MAX]; /* of /dev/vduse/NAME; empty: the disk's */
	char disk[BDEV_NAME_MAX];
	bool read_only;
	bool packed;
	bool write_cache;
	unsigned queues;
	char serial[CONFIG_SERIAL_MAX]; /* empty: the disk's */
	char cpus[256]; /* as an export's */
	char where[JREAD_WHERE_MAX];
};

/* A disk as a block device of this host. */
#define CONFIG_ATTACH_ANY UINT32_MAX /* the kernel gives the number */
struct config_attach {
	char disk[BDEV_NAME_MAX];
	char as[8];	 /* "ublk", "nbd" or "fuse" */
	char path[256];	 /* of the file, with fuse; empty: by number */
	unsigned id;	 /* N of the node */
	unsigned queues; /* 0: one per reactor */
	unsigned depth;	 /* 0: the default of its kind */
	bool read_only;
	char where[JREAD_WHERE_MAX];
};

struct config {
	char path[4096]; /* of the file it came from; save-config writes there. Empty: none */
	char cpus[256];	 /* "0-3,8"; empty: the first CONFIG_CPUS_DEFAULT that are allowed */
	enum reactor_mode mode;
	bool rebalance; /* queues move to where there is less to do */
	unsigned idle_min_us, idle_max_us; /* bounds of the windows, core/idle.h */
	enum log_level log_level;
	unsigned lock_wait_ms;
	bool rpc_on;
	char rpc[CONFIG_SOCKET_MAX]; /* empty: the default place */
	struct config_disk *disks;
	struct config_export *exports;
	struct config_group *groups;
	struct config_vduse *vduses;
	struct config_attach *attachs;
	struct config_pool *pools;
	unsigned ndisks, nexports, ngroups, nvduses, nattachs, npools;
};

void config_init(struct config *c);
void config_fini(struct config *c);

void config_disk_init(struct config_disk *d);
void config_export_init(struct config_export *e);

/* Copies @d / @e / @g into @c; name, socket and values are checked, also against those already there. 0, -EINVAL, -ENOMEM. */
int config_add_disk(struct config *c, const struct config_disk *d, struct errbuf *eb);
int config_add_export(struct config *c, const struct config_export *e, struct errbuf *eb);
int config_add_group(struct config *c, const struct config_group *g, struct errbuf *eb);

/* VDUSE devices, config_vduse.c. */
void config_vduse_init(struct config_vduse *v);
int config_vduse_check(const struct config_vduse *v, struct errbuf *eb);
int config_add_vduse(struct config *c, const struct config_vduse *v, struct errbuf *eb);
/* Of config_finish(): there is a disk for each, and a name. */
int config_vduses_finish(struct config *c, struct errbuf *eb);

/* Attached disks, config_attach.c. */
void config_attach_init(struct config_attach *a);
int config_attach_check(const struct config_attach *a, struct errbuf *eb);
int config_add_attach(struct config *c, const struct config_attach *a, struct errbuf *eb);
/* Of config_finish(): there is a disk for each. */
int config_attachs_finish(const struct config *c, struct errbuf *eb);
/* Of config_build(). */
void config_attachs_build(const struct config *c, struct json_object *top);

/* Names appear in file names, log lines and shells: no surprises in them. @key of @where, in errors. */
int config_name_check(const char *where, const char *key, const char *name, struct errbuf *eb);
bool config_has_disk(const struct config *c, const char *name);

/* The text of a file called @name (for errors) into @c. 0, or -EINVAL with "NAME: key: reason". Pure. */
int config_parse(struct config *c, const char *name, const char *text, size_t len,
		 struct errbuf *eb);
/* Reads the file, then config_parse(). */
int config_load(struct config *c, const char *path, struct errbuf *eb);

/* What can be said only when everything is known: exports without a disk, disks without their group; names for those
 * that have none. */
int config_finish(struct config *c, struct errbuf *eb);

/* The bounds that @c says, checked: min <= max. 0, or -EINVAL with eb. */
int config_idle(const struct config *c, struct reactor_idle *ret, struct errbuf *eb);

/* The checks of one item, for those who add while the daemon runs. @where: the key's place in errors. */
int config_disk_check(const struct config_disk *d, struct errbuf *eb);
int config_export_check(const struct config_export *e, struct errbuf *eb);
int config_group_check(const struct config_group *g, struct errbuf *eb);

/* The inverse of config_parse. A new object, the caller's; NULL when memory is out. */
struct json_object *config_build(const struct config *c);

/* Writes @json to @path so that either the old or the new file is there after a crash. 0 or -errno with eb. */
int config_save(const char *path, struct json_object *json, struct errbuf *eb);

/* Fields of a disk, an export and a group as JSON knows them; the control interface takes the same values. */
#define CONFIG_DISK_NFIELDS   (3 + CONFIG_QOS_NROWS)
#define CONFIG_EXPORT_NFIELDS 11
#define CONFIG_GROUP_NFIELDS  (1 + CONFIG_LIMITS_NROWS)
#define CONFIG_VDUSE_NFIELDS  8
#define CONFIG_ATTACH_NFIELDS 7
extern const struct jread_field config_disk_fields[CONFIG_DISK_NFIELDS];
extern const struct jread_field config_export_fields[CONFIG_EXPORT_NFIELDS];
extern const struct jread_field config_group_fields[CONFIG_GROUP_NFIELDS];
extern const struct jread_field config_vduse_fields[CONFIG_VDUSE_NFIELDS];
extern const struct jread_field config_attach_fields[CONFIG_ATTACH_NFIELDS];

#endif
