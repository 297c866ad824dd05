/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring doctor: can NVMe controllers be used here? */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "drivers/pcie/pcie.h"
#include "drivers/pcie/pcie_holder.h"
#include "tools/nvring/doctor_priv.h"
#include "tools/nvring/setup.h"

#define MEMLOCK_BYTES_MIN (64ULL << 20) /* queues and buffers without any guest's memory */

/* Controllers of this machine, and how many of them nobody else uses. */
struct count {
	unsigned all, vfio, usable;
};

static struct count count_nvme(void)
{
	struct pcie_sys sys = { .root = setup_root() };
	struct pcie_list *list = NULL;
	struct count c = { 0 };

	if (pcie_list_create(&sys, &list, NULL))
		return c;
	for (unsigned i = 0; i < list->nfuncs; i++) {
		const struct pcie_func *f = &list->funcs[i];

		if (!pcie_func_is_nvme(f))
			continue;
		c.all++;
		c.vfio += pcie_func_is_vfio(f);
		c.usable += pcie_func_is_vfio(f) || pcie_holder_find(&sys, f, NULL) == 0;
	}
	pcie_list_destroy(list);
	return c;
}

void doctor_nvme(struct cli *cli, struct finding *f)
{
	struct count c = count_nvme();

	if (!c.all) {
		doctor_say(f, INFO, "no NVMe controller; nvring-ssd is one in software");
	} else if (!c.usable) {
		doctor_say(f, INFO, "%u controller%s, all in use by the system or out of sight",
			   c.all, c.all == 1 ? "" : "s");
		doctor_mend(f, "%snvring setup status", geteuid() ? "sudo " : "");
	} else if (!c.vfio) {
		doctor_say(f, PASS, "%u controller%s, %u free to be used", c.all,
			   c.all == 1 ? "" : "s", c.usable);
		doctor_mend(f, "nvring setup bind BDF   (see nvring setup status)");
	} else {
		doctor_say(f, PASS, "%u controller%s, %u with vfio-pci", c.all,
			   c.all == 1 ? "" : "s", c.vfio);
	}
}

static const char *below_root(char buf[1024], const char *path)
{
	(void)snprintf(buf, 1024, "%s%s", setup_root() ? setup_root() : "", path);
	return buf;
}

static unsigned count_groups(void)
{
	char path[1024];
	DIR *dir = opendir(below_root(path, "/sys/kernel/iommu_groups"));
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 2 ? n - 2 : 0; /* . and .. */
}

void doctor_iommu(struct cli *cli, struct finding *f)
{
	unsigned n = count_groups();

	if (n > 0) {
		doctor_say(f, PASS, "%u groups", n);
	} else if (!count_nvme().usable) {
		doctor_say(f, INFO, "none; not needed for file disks");
	} else {
		doctor_say(f, FAIL, "none: VFIO cannot use the NVMe controllers");
		doctor_mend(f, "switch it on in the firmware, and boot with intel_iommu=on or "
			       "amd_iommu=on");
	}
}

void doctor_vfio(struct cli *cli, struct finding *f)
{
	char path[1024];

	if (access(below_root(path, "/sys/bus/pci/drivers/vfio-pci"), F_OK) == 0) {
		doctor_say(f, PASS, "vfio-pci is loaded");
	} else if (!count_nvme().usable) {
		doctor_say(f, INFO, "vfio-pci is not loaded; not needed for file disks");
	} else {
		doctor_say(f, FAIL,
			   "vfio-pci is not loaded: NVMe controllers cannot be bound to it");
		doctor_mend(f, "modprobe vfio-pci");
	}
}

void doctor_memlock(struct cli *cli, struct finding *f)
{
	struct rlimit lock = { 0 };

	(void)getrlimit(RLIMIT_MEMLOCK, &lock); /* cannot fail for a limit that exists */
	if (lock.rlim_cur == RLIM_INFINITY) {
		doctor_say(f, PASS, "unlimited");
	} else if (!count_nvme().usable) {
		doctor_say(f, INFO, "%llu MiB, enough for file disks",
			   (unsigned long long)lock.rlim_cur >> 20);
	} else if (geteuid() == 0) {
		doctor_say(f, PASS, "%llu MiB, which does not bind root",
			   (unsigned long long)lock.rlim_cur >> 20);
	} else if (lock.rlim_cur < MEMLOCK_BYTES_MIN) {
		doctor_say(f, FAIL, "%llu MiB: NVMe disks lock the guests' memory",
			   (unsigned long long)lock.rlim_cur >> 20);
		doctor_mend(f, "ulimit -l unlimited   (of a service: LimitMEMLOCK=infinity)");
	} else {
		doctor_say(f, WARN, "%llu MiB; NVMe disks lock all memory of their guests",
			   (unsigned long long)lock.rlim_cur >> 20);
		doctor_mend(f, "ulimit -l unlimited   (of a service: LimitMEMLOCK=infinity)");
	}
}
