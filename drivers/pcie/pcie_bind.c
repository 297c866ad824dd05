/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Binding. What is done to one function, and how it is undone:
 *
 *   driver_override = DRIVER            driver_override as it was
 *   driver/unbind = BDF                 driver/unbind = BDF of whoever has it now
 *   drivers_probe = BDF                 drivers_probe = BDF
 *   does DRIVER have it?                does the old one have it?
 *
 * new_id is not used: it would hand the driver every device of that kind, for ever.
 */
#include "drivers/pcie/pcie_bind.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/pcie/pcie_holder.h"
#include "drivers/pcie/pcie_sysfs_priv.h"

#define CLASS_BRIDGE 0x06

/* Where functions shall go together: @driver, or the kernel's choice (NULL). */
struct move {
	const struct pcie_sys *sys;
	struct pcie_func *const *funcs;
	unsigned n;
	const char *driver;
	struct errbuf *eb;
};

/* What is needed to go back. */
struct past {
	char override[PCIE_NAME_MAX], driver[PCIE_NAME_MAX];
};

/*
 * Checks
 */

static bool is_driver_name(const char *name)
{
	return name[0] && strlen(name) < PCIE_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       strlen(name);
}

static bool is_moved(const struct move *m, const char *bdf)
{
	for (unsigned i = 0; i < m->n; i++) {
		if (strcmp(m->funcs[i]->bdf, bdf) == 0)
			return true;
	}
	return false;
}

/* Whether neighbour @bdf keeps its IOMMU group from user space; then @driver is its driver. */
static bool is_in_the_way(const struct move *m, const char *bdf, char driver[PCIE_NAME_MAX])
{
	char class[PCIE_NAME_MAX];

	if (is_moved(m, bdf) ||
	    pcie_sysfs_link(m->sys, driver, PCIE_NAME_MAX, "/sys/bus/pci/devices/%s/driver", bdf))
		return false;
	/* The kernel's own list of drivers that do no DMA for themselves, and bridges. */
	if (strncmp(driver, "vfio", 4) == 0 || strcmp(driver, "pci-stub") == 0 ||
	    strcmp(driver, "pcieport") == 0)
		return false;
	(void)pcie_sysfs_text(m->sys, class, sizeof(class), "/sys/bus/pci/devices/%s/class", bdf);
	return strtoul(class, NULL, 16) >> 16 != CLASS_BRIDGE;
}

static int check_group(const struct move *m, const struct pcie_func *f)
{
	char others[256] = "", driver[PCIE_NAME_MAX];
	const char *bdf;
	size_t at = 0;
	DIR *dir;

	if (f->iommu_group < 0)
		return errbuf_set(
			m->eb, -ENOTSUP,
			"%s has no IOMMU group; mend: switch the IOMMU on in the firmware "
			"and boot with intel_iommu=on or amd_iommu=on",
			f->bdf);
	dir = pcie_sysfs_dir(m->sys, "/sys/bus/pci/devices/%s/iommu_group/devices", f->bdf);
	while (dir && at < sizeof(others) - 1 && (bdf = pcie_sysfs_next(dir))) {
		if (is_in_the_way(m, bdf, driver))
			at += (size_t)snprintf(others + at, sizeof(others) - at, "%s%s (%s)",
					       at ? ", " : "", bdf, driver);
	}
	if (dir)
		closedir(dir);
	if (others[0])
		return errbuf_set(m->eb, -EBUSY,
				  "%s shares IOMMU group %d with %s; mend: bind those too, or use "
				  "another slot",
				  f->bdf, f->iommu_group, others);
	return 0;
}

static int check_driver(const struct move *m)
{
	if (!is_driver_name(m->driver))
		return errbuf_set(m->eb, -EINVAL, "'%s' is no name of a driver", m->driver);
	if (!pcie_sysfs_has(m->sys, "/sys/bus/pci/drivers/%s", m->driver))
		return errbuf_set(m->eb, -ENOENT, "driver %s is not loaded; mend: modprobe %s",
				  m->driver, m->driver);
	return 0;
}

/* Is there nothing to do? */
static bool is_there(const struct move *m, const struct pcie_func *f)
{
	char override[PCIE_NAME_MAX];

	if (m->driver)
		return strcmp(f->driver, m->driver) == 0;
	/* The kernel's own choice is one without an override. */
	(void)pcie_sysfs_text(m->sys, override, sizeof(override),
			      "/sys/bus/pci/devices/%s/driver_override", f->bdf);
	return f->driver[0] && !pcie_func_is_vfio(f) &&
	       (!override[0] || strcmp(override, "(null)") == 0);
}

static int check_one(const struct move *m, const struct pcie_func *f)
{
	int err;

	if (is_there(m, f))
		return 0;
	err = pcie_holder_find(m->sys, f, m->eb);
	if (!err && m->driver && strncmp(m->driver, "vfio", 4) == 0)
		err = check_group(m, f);
	return err;
}

static int check_writable(const struct move *m, const char *path)
{
	if (access(path, W_OK) == 0)
		return 0;
	return errbuf_set(m->eb, -errno, "cannot write %s: %s%s", path, strerror(errno),
			  errno == EACCES ? "; mend: do it as root" : "");
}

static int check_permission(const struct move *m, const struct pcie_func *f)
{
	char path[PCIE_PATH_MAX];
	int err;

	(void)pcie_sysfs_path(m->sys, path, "/sys/bus/pci/devices/%s/driver_override", f->bdf);
	err = check_writable(m, path);
	(void)pcie_sysfs_path(m->sys, path, "/sys/bus/pci/drivers_probe");
	return err ? err : check_writable(m, path);
}

static int check_all(const struct move *m)
{
	int err = m->driver ? check_driver(m) : 0;

	for (unsigned i = 0; i < m->n && !err; i++) {
		if (!m->sys->dry)
			err = check_permission(m, m->funcs[i]);
		if (!err)
			err = check_one(m, m->funcs[i]);
	}
	return err;
}

int pcie_bind_check(const struct pcie_sys *sys, const struct pcie_func *f, const char *driver,
		    struct errbuf *eb)
{
	struct pcie_func *one = (struct pcie_func *)f; /* only looked at */
	struct move m = { .sys = sys, .funcs = &one, .n = 1, .driver = driver, .eb = eb };
	int err = pcie_holder_find(sys, f, eb);

	if (!err && strncmp(driver, "vfio", 4) == 0)
		err = check_group(&m, f);
	return err ? err : check_driver(&m);
}

/*
 * Moving
 */

/* The three writes; those of unbind and probe only where asked for. */
struct steps {
	const char *override;
	bool release, probe;
};

/*
 * Away from the driver. Until it lets go nobody else can claim a disk; the descriptors are closed
 * before the next driver comes, as the kernel keeps the names of disks that are open.
 */
static int release(const struct move *m, struct pcie_func *f)
{
	unsigned n = f->nblocks;
	int *fds = calloc(n ? n : 1, sizeof(*fds));
	int err = fds ? 0 : errbuf_set(m->eb, -ENOMEM, "out of memory");

	if (!err && !m->sys->dry)
		err = pcie_holder_claim(m->sys, f, fds, m->eb);
	if (!err) {
		err = pcie_sysfs_write(m->sys, f->bdf, "/sys/bus/pci/devices/%s/driver/unbind",
				       f->bdf);
		if (err)
			errbuf_write(m->eb, "%s: %s does not let go: %s", f->bdf, f->driver,
				     strerror(-err));
		if (!m->sys->dry)
			pcie_holder_release(fds, n);
	}
	free(fds);
	return err;
}

static int write_all(const struct move *m, struct pcie_func *f, const struct steps *s)
{
	char text[PCIE_NAME_MAX + 1];
	int err;

	(void)snprintf(text, sizeof(text), "%s\n", s->override); /* only a newline clears it */
	err = pcie_sysfs_write(m->sys, text, "/sys/bus/pci/devices/%s/driver_override", f->bdf);
	if (err)
		return errbuf_set(m->eb, err, "%s: driver_override: %s", f->bdf, strerror(-err));
	if (s->release && f->driver[0])
		err = release(m, f);
	if (!err && s->probe) {
		err = pcie_sysfs_write(m->sys, f->bdf, "/sys/bus/pci/drivers_probe");
		if (err)
			errbuf_write(m->eb, "%s: %s did not take it: %s", f->bdf,
				     s->override[0] ? s->override : "the kernel's driver",
				     strerror(-err));
	}
	if (!m->sys->dry)
		(void)pcie_func_look(m->sys,
				     f); /* a disk forgotten is one that nobody asked about */
	return err;
}

/* The way back, after which the reason in eb also says if that failed. */
static void give_back(const struct move *m, struct pcie_func *f, const struct past *past)
{
	struct steps back = { .override = past->override, .probe = past->driver[0] };
	char reason[ERRBUF_BYTES_MAX];

	if (m->sys->dry)
		return;
	if (m->eb)
		memcpy(reason, m->eb->text, sizeof(reason));
	(void)pcie_func_look(m->sys, f); /* the driver is what matters */
	back.release = strcmp(f->driver, past->driver) != 0;
	(void)write_all(m, f, &back); /* what came of it is looked at below */
	if (!m->eb)
		return;
	if (strcmp(f->driver, past->driver) == 0)
		memcpy(m->eb->text, reason, sizeof(reason));
	else
		errbuf_write(m->eb, "%.300s; and %s could not be given back to %s", reason, f->bdf,
			     past->driver[0] ? past->driver : "no driver");
}

static void remember(const struct move *m, const struct pcie_func *f, struct past *past)
{
	(void)pcie_sysfs_text(m->sys, past->override, sizeof(past->override),
			      "/sys/bus/pci/devices/%s/driver_override", f->bdf);
	if (strcmp(past->override, "(null)") == 0)
		past->override[0] = '\0';
	memcpy(past->driver, f->driver, sizeof(past->driver));
}

static int move_one(const struct move *m, struct pcie_func *f)
{
	struct steps s = { .override = m->driver ? m->driver : "", .release = true, .probe = true };
	int err = write_all(m, f, &s);

	if (err)
		return err;
	if (!m->sys->dry && m->driver && strcmp(f->driver, m->driver) != 0)
		return errbuf_set(m->eb, -EIO, "%s: %s did not take it; 'dmesg' may say why",
				  f->bdf, m->driver);
	return 0;
}

static int move_all(const struct move *m)
{
	struct past *past = calloc(m->n ? m->n : 1, sizeof(*past));
	int err = past ? check_all(m) : errbuf_set(m->eb, -ENOMEM, "out of memory");
	unsigned done;

	for (done = 0; done < m->n && !err; done++) {
		remember(m, m->funcs[done], &past[done]);
		if (!is_there(m, m->funcs[done]))
			err = move_one(m, m->funcs[done]);
	}
	while (err && done > 0) {
		struct pcie_func *f = m->funcs[--done];

		if (strcmp(f->driver, past[done].driver) != 0 || !is_there(m, f))
			give_back(m, f, &past[done]);
	}
	free(past);
	return err;
}

int pcie_bind(const struct pcie_sys *sys, struct pcie_func *const *funcs, unsigned n,
	      const char *driver, struct errbuf *eb)
{
	struct move m = { .sys = sys, .funcs = funcs, .n = n, .driver = driver, .eb = eb };

	assert(driver);
	return move_all(&m);
}

int pcie_unbind(const struct pcie_sys *sys, struct pcie_func *const *funcs, unsigned n,
		struct errbuf *eb)
{
	struct move m = { .sys = sys, .funcs = funcs, .n = n, .driver = NULL, .eb = eb };

	return move_all(&m);
}
