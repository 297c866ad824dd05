/* SPDX-License-Identifier: BSD-3-Clause */
/* NUMA nodes out of a sysfs of our own: two sockets, an SSD on the second, and what says nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/numa.h"

#define SSD  "/devices/pci0000:80/0000:81:00.0"
#define DISK SSD "/nvme/nvme0/nvme0n1"

static char root[] = "/tmp/nvring-numa-XXXXXX";

static const char *at(const char *path)
{
	static char buf[512];

	snprintf(buf, sizeof(buf), "%s%s", root, path);
	return buf;
}

/* Makes every folder of @path. */
static void folder(const char *path)
{
	char part[256];

	for (size_t i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		(void)mkdir(at(part), 0700);
	}
}

static void file(const char *path, const char *text)
{
	FILE *f = fopen(at(path), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void link_to(const char *target, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, target);
	assert_int_equal(symlink(full, at(path)), 0);
}

static int make_sysfs(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(root));
	folder("/devices/system/cpu/cpu0/node0");
	folder("/devices/system/cpu/cpu1/node1");
	folder("/devices/system/cpu/cpu2/cache");
	folder("/devices/system/cpu/cpu3/nodemask");
	folder(DISK "/nvme0n1p1");
	file(SSD "/numa_node", "1\n");
	folder("/devices/pci0000:80/0000:82:00.0");
	file("/devices/pci0000:80/0000:82:00.0/numa_node", "-1\n");
	folder("/devices/pci0000:80/0000:83:00.0");
	file("/devices/pci0000:80/0000:83:00.0/numa_node", "99999999999999999999\n");
	folder("/devices/pci0000:80/0000:84:00.0");
	file("/devices/pci0000:80/0000:84:00.0/numa_node", "");
	folder("/bus/pci/devices");
	link_to(SSD, "/bus/pci/devices/0000:81:00.0");
	link_to("/devices/pci0000:80/0000:82:00.0", "/bus/pci/devices/0000:82:00.0");
	link_to("/devices/pci0000:80/0000:83:00.0", "/bus/pci/devices/0000:83:00.0");
	link_to("/devices/pci0000:80/0000:84:00.0", "/bus/pci/devices/0000:84:00.0");
	folder("/devices/virtual/block/dm-0");
	folder("/dev/block");
	link_to(DISK, "/dev/block/259:0");
	link_to(DISK "/nvme0n1p1", "/dev/block/259:1");
	link_to("/devices/virtual/block/dm-0", "/dev/block/253:0");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int remove_sysfs(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void cpus(void **state)
{
	static const int nodes[] = { 0, 1, NUMA_NODE_NONE, NUMA_NODE_NONE, NUMA_NODE_NONE };

	(void)state;
	for (int cpu = 0; cpu < (int)ARRAY_SIZE(nodes); cpu++)
		assert_int_equal(numa_node_of_cpu(root, cpu), nodes[cpu]);
	assert_int_equal(numa_node_of_cpu(root, -1), NUMA_NODE_NONE);
}

static void pci_functions(void **state)
{
	static const struct {
		const char *bdf;
		int node;
	} row[] = {
		{ "0000:81:00.0", 1 },
		{ "0000:82:00.0", NUMA_NODE_NONE },
		{ "0000:83:00.0", NUMA_NODE_NONE },
		{ "0000:84:00.0", NUMA_NODE_NONE },
		{ "0000:99:00.0", NUMA_NODE_NONE },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++)
		assert_int_equal(numa_node_of_pci(root, row[i].bdf), row[i].node);
}

static void block_devices(void **state)
{
	(void)state;
	assert_int_equal(numa_node_of_block(root, makedev(259, 0)), 1);
	assert_int_equal(numa_node_of_block(root, makedev(259, 1)), 1);
	assert_int_equal(numa_node_of_block(root, makedev(253, 0)), NUMA_NODE_NONE);
	assert_int_equal(numa_node_of_block(root, makedev(8, 0)), NUMA_NODE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpus),
		cmocka_unit_test(pci_functions),
		cmocka_unit_test(block_devices),
	};

	return cmocka_run_group_tests(tests, make_sysfs, remove_sysfs);
}
