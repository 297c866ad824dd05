/* SPDX-License-Identifier: BSD-3-Clause */
/* One value of the kernel's files, below the root that struct pcie_sys names. */
#ifndef DRIVERS_PCIE_PCIE_SYSFS_PRIV_H
#define DRIVERS_PCIE_PCIE_SYSFS_PRIV_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/cc.h"

#define PCIE_PATH_MAX 1024

struct pcie_sys;

/* Root and @fmt into @buf, which holds PCIE_PATH_MAX. Returns @buf. A longer path is cut and so not
 * found. */
const char *pcie_sysfs_path(const struct pcie_sys *sys, char *buf, const char *fmt, ...)
	cc_printf(3, 4);

/* First line of a file without its end. 0 or -errno; then @buf is "". */
int pcie_sysfs_text(const struct pcie_sys *sys, char *buf, size_t len, const char *fmt, ...)
	cc_printf(4, 5);

/* Last component of what a link points to. 0 or -errno; then @buf is "". */
int pcie_sysfs_link(const struct pcie_sys *sys, char *buf, size_t len, const char *fmt, ...)
	cc_printf(4, 5);

bool pcie_sysfs_has(const struct pcie_sys *sys, const char *fmt, ...) cc_printf(2, 3);

/* NULL: not there. */
DIR *pcie_sysfs_dir(const struct pcie_sys *sys, const char *fmt, ...) cc_printf(2, 3);
FILE *pcie_sysfs_file(const struct pcie_sys *sys, const char *fmt, ...) cc_printf(2, 3);

/* Next name of @dir but "." and ".."; NULL: that was all. */
const char *pcie_sysfs_next(DIR *dir);

/* 0 or -errno. */
int pcie_sysfs_write(const struct pcie_sys *sys, const char *text, const char *fmt, ...)
	cc_printf(3, 4);

#endif
