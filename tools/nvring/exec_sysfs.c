/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders, one-line files and links. What could not be asked of the device is left out. */
#include "tools/nvring/exec_sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/nvring/nvt_ask.h"

#define SYSFS_NAMESPACES_MAX 256

/* Where we are in the making; the first error stops all the rest. */
struct tree {
	int root; /* fd of the folder */
	int err;
};

/* Each folder on the way to @path. */
static void make_folder(struct tree *tr, const char *path)
{
	char part[PATH_MAX];

	for (const char *p = path; p && !tr->err;) {
		p = strchr(p, '/');
		snprintf(part, sizeof(part), "%.*s", (int)(p ? (size_t)(p - path) : strlen(path)), path);
		if (mkdirat(tr->root, part, 0700) && errno != EEXIST)
			tr->err = -errno;
		p = p ? p + 1 : NULL;
	}
}

static cc_printf(4, 5) void make_file(struct tree *tr, const char *folder, const char *name,
				      const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int fd;

	if (tr->err)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = openat(tr->root, path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	va_start(ap, fmt);
	if (fd < 0 || vdprintf(fd, fmt, ap) < 0 || dprintf(fd, "\n") < 0)
		tr->err = -errno;
	va_end(ap);
	if (fd >= 0)
		close(fd);
}

static cc_printf(3, 4) void make_link(struct tree *tr, const char *path, const char *fmt, ...)
{
	char to[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(to, sizeof(to), fmt, ap);
	va_end(ap);
	if (!tr->err && symlinkat(to, tr->root, path) && errno != EEXIST)
		tr->err = -errno;
}

/* A field padded with blanks; nothing but printable characters gets out. */
static const char *text(const char *field, size_t len, char *buf)
{
	while (len && (field[len - 1] == ' ' || field[len - 1] == '\0'))
		len--;
	for (size_t i = 0; i < len; i++)
		buf[i] = field[i] >= 0x20 && field[i] < 0x7f ? field[i] : '?';
	buf[len] = '\0';
	return buf;
}

/* What the controller and its subsystem tell alike. */
static void make_names(struct tree *tr, const char *folder, const struct nvme_id_ctrlr *id)
{
	char buf[257];

	make_file(tr, folder, "model", "%s", text(id->mn, sizeof(id->mn), buf));
	make_file(tr, folder, "serial", "%s", text(id->sn, sizeof(id->sn), buf));
	make_file(tr, folder, "firmware_rev", "%s", text(id->fr, sizeof(id->fr), buf));
	text(id->subnqn, sizeof(id->subnqn), buf);
	if (!buf[0]) /* 4.5.1: before 1.2.1 there was none; the kernel makes one up, too */
		snprintf(buf, sizeof(buf), "nqn.2014.08.org.nvmexpress:%04x%04x%.20s%.40s",
			 le16_get(id->vid), le16_get(id->ssvid), id->sn, id->mn);
	make_file(tr, folder, "subsysnqn", "%s", text(buf, strlen(buf), buf));
}

static void make_ctrlr(struct tree *tr, const char *folder, const struct nvt *t,
		       const struct nvme_id_ctrlr *id)
{
	make_names(tr, folder, id);
	make_file(tr, folder, "transport", "pcie");
	make_file(tr, folder, "address", "%s", nvt_address(t));
	make_file(tr, folder, "state", "live");
	make_file(tr, folder, "cntlid", "%u", le16_get(id->cntlid));
	make_file(tr, folder, "numa_node", "-1");
	make_file(tr, folder, "queue_count", "1");
	make_file(tr, folder, "sqsize", "1023");
	make_file(tr, folder, "cntrltype", "io");
	make_file(tr, folder, "dctype", "none");
	make_file(tr, folder, "kato", "0");
}

static void make_ns(struct tree *tr, const char *folder, uint32_t nsid, const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *f = &id->lbaf[NVME_FLBAS_INDEX(id->flbas)];
	unsigned shift = f->lbads < 9 || f->lbads > 16 ? 9 : f->lbads;
	char queue[PATH_MAX];

	make_folder(tr, folder);
	make_file(tr, folder, "nsid", "%u", nsid);
	make_file(tr, folder, "size", "%" PRIu64, le64_get(id->nsze) << (shift - 9));
	make_file(tr, folder, "nuse", "%" PRIu64, le64_get(id->nuse));
	make_file(tr, folder, "metadata_bytes", "%u", le16_get(f->ms));
	make_file(tr, folder, "csi", "0");
	make_file(tr, folder, "wwid", "nvring.%08x", nsid);
	snprintf(queue, sizeof(queue), "%s/queue", folder);
	make_folder(tr, queue);
	make_file(tr, queue, "logical_block_size", "%u", 1u << shift);
}

static int make_all(struct tree *tr, unsigned n, struct nvt *t, struct errbuf *eb)
{
	char sub[64], ctrlr[64], path[160];
	struct nvme_id_ctrlr id;
	struct nvme_id_ns ns;
	uint32_t list[NVME_NS_LIST_MAX];
	unsigned count = 0;
	int err = nvt_identify(t, NVME_CNS_CTRLR, 0, &id, eb);

	if (!err)
		err = nvt_ns_list(t, list, &count, eb);
	if (err)
		return err;
	make_folder(tr, "bus/pci/slots");
	snprintf(sub, sizeof(sub), "class/nvme-subsystem/nvme-subsys%u", n);
	snprintf(ctrlr, sizeof(ctrlr), "class/nvme/nvme%u", n);
	make_folder(tr, sub);
	make_folder(tr, ctrlr);
	make_folder(tr, "block");
	make_names(tr, sub, &id);
	make_file(tr, sub, "subsystype", "nvm");
	make_ctrlr(tr, ctrlr, t, &id);
	snprintf(path, sizeof(path), "%s/nvme%u", sub, n);
	make_link(tr, path, "../../nvme/nvme%u", n);
	for (unsigned i = 0; i < count && i < SYSFS_NAMESPACES_MAX && !err; i++) {
		err = nvt_identify(t, NVME_CNS_NS, list[i], &ns, eb);
		if (err)
			break;
		/* the controller's own; a second one below the subsystem would be listed twice */
		snprintf(path, sizeof(path), "%s/nvme%un%u", ctrlr, n, list[i]);
		make_ns(tr, path, list[i], &ns);
		snprintf(path, sizeof(path), "block/nvme%un%u", n, list[i]);
		make_link(tr, path, "../class/nvme/nvme%u/nvme%un%u", n, n, list[i]);
	}
	return err;
}

int exec_sysfs_make(const char *folder, unsigned number, struct nvt *t, struct errbuf *eb)
{
	struct tree tr = { .root = open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC) };
	int err;

	if (tr.root < 0)
		return errbuf_set(eb, -errno, "%s: %s", folder, strerror(errno));
	err = make_all(&tr, number, t, eb);
	if (!err && tr.err)
		err = errbuf_set(eb, tr.err, "cannot write below %s: %s", folder, strerror(-tr.err));
	close(tr.root);
	return err;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)remove(path); /* what stays is a file in a folder for temporary files */
	return 0;
}

void exec_sysfs_remove(const char *folder)
{
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
