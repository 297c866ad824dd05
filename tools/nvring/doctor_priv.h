/* SPDX-License-Identifier: BSD-3-Clause */
/* What a check of nvring doctor finds. */
#ifndef TOOLS_NVRING_DOCTOR_PRIV_H
#define TOOLS_NVRING_DOCTOR_PRIV_H

#include "core/base/cc.h"

struct cli;

enum verdict {
	PASS,
	INFO, /* as it is; concerns only what this machine does not do */
	WARN, /* works, but slower or with less than one may expect */
	FAIL,
};

struct finding {
	enum verdict verdict;
	char text[512]; /* what was found */
	char mend[512]; /* command; empty: none needed */
};

void doctor_say(struct finding *f, enum verdict v, const char *fmt, ...) cc_printf(3, 4);
void doctor_mend(struct finding *f, const char *fmt, ...) cc_printf(2, 3);

/* Checks of what disks on NVMe controllers need. They fail only where a controller could be used.
 */
void doctor_nvme(struct cli *cli, struct finding *f);
void doctor_iommu(struct cli *cli, struct finding *f);
void doctor_vfio(struct cli *cli, struct finding *f);
void doctor_memlock(struct cli *cli, struct finding *f);

#endif
