/* SPDX-License-Identifier: BSD-3-Clause */
/* PCI functions on a fake sysfs: who they are, who holds them, and that binding moves all of them
 * or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "drivers/pcie/pcie.h"
#include "drivers/pcie/pcie_bind.h"

#define SSD  "0000:01:00.0"
#define SSD2 "0000:02:00.0"
#define NIC  "0000:03:00.0"

/* A machine in a folder, and a kernel that does what is written to it. */
static char root[64];
static char journal[4096]; /* "PATH=TEXT;" for each write */
static const char *broken; /* the function that vfio-pci does not take */
static bool claims;	   /* check that the disk is claimed when it should be */
static struct pcie_sys sys;

static void path_of(char buf[512], const char *fmt, ...) cc_printf(2, 3);
static void put(const char *text, const char *fmt, ...) cc_printf(2, 3);
static void point(const char *to, const char *fmt, ...) cc_printf(2, 3);

#define PATH(buf, fmt)                                                   \
	do {                                                             \
		va_list ap_;                                             \
		int n_ = snprintf(buf, 512, "%s", root);                 \
		va_start(ap_, fmt);                                      \
		(void)vsnprintf((buf) + n_, 512 - (size_t)n_, fmt, ap_); \
		va_end(ap_);                                             \
	} while (0)

static void path_of(char buf[512], const char *fmt, ...)
{
	PATH(buf, fmt);
}

static void make_parents(const char *path)
{
	char part[512];

	for (const char *s = path + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(s - path), path);
		assert_true(mkdir(part, 0755) == 0 || errno == EEXIST);
	}
}

/* A file with @text; its folders are made. A path that ends in / is a folder. */
static void put(const char *text, const char *fmt, ...)
{
	char path[512];
	FILE *f;

	PATH(path, fmt);
	make_parents(path);
	if (path[strlen(path) - 1] == '/')
		return;
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A link to @to, which lies below the root when it begins with '/'. */
static void point(const char *to, const char *fmt, ...)
{
	char path[512], target[600];

	PATH(path, fmt);
	make_parents(path);
	(void)snprintf(target, sizeof(target), "%s%s", to[0] == '/' ? root : "", to);
	(void)unlink(path);
	assert_int_equal(symlink(to[0] == '=' ? to + 1 : target, path), 0);
}

static void add_func(const char *bdf, const char *ids, const char *class, const char *group)
{
	char vendor[16], device[16], to[128];

	assert_int_equal(sscanf(ids, "%15s %15s", vendor, device), 2);
	put(vendor, "/sys/devices/pci0000:00/%s/vendor", bdf);
	put(device, "/sys/devices/pci0000:00/%s/device", bdf);
	put(class, "/sys/devices/pci0000:00/%s/class", bdf);
	put("0\n", "/sys/devices/pci0000:00/%s/numa_node", bdf);
	put("(null)\n", "/sys/devices/pci0000:00/%s/driver_override", bdf);
	(void)snprintf(to, sizeof(to), "/sys/devices/pci0000:00/%s", bdf);
	point(to, "/sys/bus/pci/devices/%s", bdf);
	if (!group)
		return;
	point(to, "/sys/kernel/iommu_groups/%s/devices/%s", group, bdf);
	(void)snprintf(to, sizeof(to), "/sys/kernel/iommu_groups/%s", group);
	point(to, "/sys/devices/pci0000:00/%s/iommu_group", bdf);
}

static void set_driver(const char *bdf, const char *driver)
{
	char to[128];

	(void)snprintf(to, sizeof(to), "/sys/bus/pci/drivers/%s", driver);
	point(to, "/sys/devices/pci0000:00/%s/driver", bdf);
}

/* Disk @name of controller @ctrl of @bdf, with partitions of the numbers in @parts. */
static void add_disk(const char *bdf, const char *ctrl, const char *name, const char *parts)
{
	char dir[128], part[256];

	(void)snprintf(dir, sizeof(dir), "/sys/devices/pci0000:00/%s/nvme/%s/%s", bdf, ctrl, name);
	put(strcmp(bdf, SSD) == 0 ? "259:0\n" : "258:0\n", "%s/dev", dir);
	point(dir, "/sys/block/%s", name);
	point(dir, "/sys/class/block/%s", name);
	put("", "%s/holders/", dir);
	put("", "/dev/%s", name);
	for (unsigned i = 0; parts[i]; i++) {
		char number[16];

		(void)snprintf(part, sizeof(part), "%s/%sp%c", dir, name, parts[i]);
		put("1\n", "%s/partition", part);
		put("", "%s/holders/", part);
		(void)snprintf(number, sizeof(number), "259:%c\n", parts[i]);
		put(number, "%s/dev", part);
		point(part, "/sys/class/block/%sp%c", name, parts[i]);
		put("", "/dev/%sp%c", name, parts[i]);
	}
}

/* Without a driver there are no disks, nor their nodes. */
static void forget_disks(const char *bdf)
{
	const char *name = strcmp(bdf, SSD) == 0 ? "nvme0n1" : "nvme1n1";
	char path[512];

	path_of(path, "/sys/block/%s", name);
	(void)unlink(path);
	path_of(path, "/dev/%s", name);
	(void)unlink(path);
}

/* The kernel: an override, a release and a probe do what they do. */
static void obey(const char *path, const char *text)
{
	char file[512], override[64] = "", driver[512];
	FILE *f;

	if (strstr(path, "/driver_override")) {
		f = fopen(path, "we");
		assert_non_null(f);
		fputs(strcmp(text, "\n") == 0 ? "(null)\n" : text, f);
		fclose(f);
	} else if (strstr(path, "/driver/unbind")) {
		path_of(file, "/sys/devices/pci0000:00/%s/driver", text);
		assert_int_equal(unlink(file), 0);
		forget_disks(text);
	} else if (strstr(path, "/drivers_probe")) {
		path_of(driver, "/sys/devices/pci0000:00/%s/driver", text);
		path_of(file, "/sys/devices/pci0000:00/%s/driver_override", text);
		f = fopen(file, "re");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%63s", override), 1);
		fclose(f);
		if (access(driver, F_OK) == 0)
			return;
		if (strcmp(override, "(null)") == 0)
			set_driver(text, "nvme");
		else if (!broken || strcmp(text, broken) != 0)
			set_driver(text, override);
	} else {
		fail_msg("a write to %s", path);
	}
}

/* How many disks of the fake machine this process has open. */
static unsigned count_open(void)
{
	char path[64], to[512];
	unsigned n = 0;

	for (int fd = 0; fd < 64; fd++) {
		ssize_t len;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, to, sizeof(to) - 1);
		to[len > 0 ? len : 0] = '\0';
		n += strncmp(to, root, strlen(root)) == 0 && strstr(to, "/dev/nvme") != NULL;
	}
	return n;
}

static int take_note(void *arg, const char *path, const char *text)
{
	size_t at = strlen(journal);

	(void)snprintf(journal + at, sizeof(journal) - at, "%s=%.*s;", strrchr(path, '/') + 1,
		       (int)strcspn(text, "\n"), text);
	if (arg)
		return 0;
	/* Claimed while the driver lets go, and not longer. */
	if (claims)
		assert_int_equal(count_open(), strstr(path, "/driver/unbind") != NULL);
	obey(path, text);
	return 0;
}

static int set_up(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	journal[0] = '\0';
	broken = NULL;
	claims = false;
	sys = (struct pcie_sys){ .root = root, .write = take_note };
	put("", "/sys/bus/pci/drivers_probe");
	put("", "/sys/bus/pci/drivers/nvme/unbind");
	put("", "/sys/bus/pci/drivers/vfio-pci/unbind");
	put("", "/sys/bus/pci/drivers/e1000e/unbind");
	put("22 1 0:5 / / rw shared:1 - ext4 /dev/sda1 rw\n", "/proc/self/mountinfo");
	put("Filename Type Size Used Priority\n", "/proc/swaps");
	add_func(SSD, "0x8086 0x0953", "0x010802\n", "11");
	add_func(SSD2, "0x144d 0xa808", "0x010802\n", "12");
	add_func(NIC, "0x8086 0x10d3", "0x020000\n", "13");
	set_driver(SSD, "nvme");
	set_driver(SSD2, "nvme");
	set_driver(NIC, "e1000e");
	add_disk(SSD, "nvme0", "nvme0n1", "12");
	add_disk(SSD2, "nvme1", "nvme1n1", "");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct pcie_list *list_all(void)
{
	struct pcie_list *list = NULL;
	struct errbuf eb = { "" };

	if (pcie_list_create(&sys, &list, &eb))
		fail_msg("%s", eb.text);
	return list;
}

static void expect_driver(const char *bdf, const char *driver)
{
	char path[512], to[512], *name;
	ssize_t n;

	path_of(path, "/sys/devices/pci0000:00/%s/driver", bdf);
	n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	name = strrchr(to, '/');
	assert_string_equal(name ? name + 1 : "", driver);
}

static void expect_override(const char *bdf, const char *want)
{
	char path[512], got[64];
	FILE *f;

	path_of(path, "/sys/devices/pci0000:00/%s/driver_override", bdf);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%63s", got), 1);
	fclose(f);
	assert_string_equal(got, want);
}

/*
 * Who they are
 */

static void addresses(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "0000:01:00.0", "0000:01:00.0" },
		{ "01:00.0", "0000:01:00.0" },
		{ "10000:E1:1f.7", "10000:e1:1f.7" },
		{ "0:1:2.3", "0000:01:02.3" },
		{ "", NULL },
		{ "nvme0", NULL },
		{ "0000:01:00", NULL },
		{ "0000:01:00.8", NULL },
		{ "0000:01:20.0", NULL },
		{ "0000:01:00.0.0", NULL },
		{ "0000:01:00.0 ", NULL },
		{ "-1:01:00.0", NULL },
		{ "0000:101:00.0", NULL },
		{ "../01:00.0", NULL },
		{ "000000001:01:00.0", NULL },
	};
	char got[PCIE_BDF_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = pcie_bdf_parse(rows[i].text, got);

		assert_int_equal(err, rows[i].want ? 0 : -EINVAL);
		if (rows[i].want)
			assert_string_equal(got, rows[i].want);
	}
}

static void functions_and_their_disks(void **state)
{
	struct pcie_list *list;
	struct pcie_func *f;

	/* With multipath the namespace is a hidden path below the controller, the disk is
	 * elsewhere. */
	add_disk(SSD2, "nvme1", "nvme1c1n2", "");
	put("", "/sys/devices/pci0000:00/" SSD "/nvme/nvme0/");
	list = list_all();
	assert_int_equal(list->nfuncs, 3);
	f = pcie_list_find(list, SSD);
	assert_non_null(f);
	assert_int_equal(f->vendor, 0x8086);
	assert_int_equal(f->device, 0x0953);
	assert_true(pcie_func_is_nvme(f));
	assert_int_equal(f->numa_node, 0);
	assert_int_equal(f->iommu_group, 11);
	assert_string_equal(f->driver, "nvme");
	assert_string_equal(f->ctrl, "nvme0");
	assert_int_equal(f->nblocks, 1);
	assert_string_equal(f->blocks[0], "nvme0n1");
	f = pcie_list_find(list, SSD2);
	assert_int_equal(f->nblocks, 2);
	assert_true(strcmp(f->blocks[0], "nvme1n2") == 0 || strcmp(f->blocks[1], "nvme1n2") == 0);
	f = pcie_list_find(list, NIC);
	assert_false(pcie_func_is_nvme(f));
	assert_string_equal(f->driver, "e1000e");
	assert_int_equal(f->nblocks, 0);
	assert_null(pcie_list_find(list, "0000:09:00.0"));
	pcie_list_destroy(list);
}

static void a_machine_without_pci(void **state)
{
	struct pcie_list *list;

	sys.root = "/nonexistent";
	list = list_all();
	assert_int_equal(list->nfuncs, 0);
	pcie_list_destroy(list);
}

/* A function that goes away while it is looked at is left out or empty, and nothing falls over. */
static void a_function_without_files(void **state)
{
	struct pcie_list *list;

	put("", "/sys/bus/pci/devices/0000:04:00.0/");
	list = list_all();
	assert_non_null(pcie_list_find(list, SSD));
	assert_non_null(pcie_list_find(list, NIC));
	pcie_list_destroy(list);
}

/*
 * Binding
 */

static void there_and_back(void **state)
{
	struct pcie_list *list = list_all();
	struct pcie_func *both[] = { pcie_list_find(list, SSD), pcie_list_find(list, SSD2) };
	struct errbuf eb = { "" };

	assert_int_equal(pcie_bind(&sys, both, 2, "vfio-pci", &eb), 0);
	assert_string_equal(journal,
			    "driver_override=vfio-pci;unbind=" SSD ";drivers_probe=" SSD
			    ";driver_override=vfio-pci;unbind=" SSD2 ";drivers_probe=" SSD2 ";");
	expect_driver(SSD, "vfio-pci");
	expect_driver(SSD2, "vfio-pci");
	assert_string_equal(both[0]->driver, "vfio-pci");
	assert_true(pcie_func_is_vfio(both[1]));
	assert_int_equal(both[0]->nblocks,
			 0); /* its disks are gone, so nobody asks about them on the way back */

	journal[0] = '\0'; /* a second time there is nothing to do */
	assert_int_equal(pcie_bind(&sys, both, 2, "vfio-pci", &eb), 0);
	assert_string_equal(journal, "");

	assert_int_equal(pcie_unbind(&sys, both, 2, &eb), 0);
	expect_driver(SSD, "nvme");
	expect_override(SSD, "(null)");
	assert_string_equal(both[1]->driver, "nvme");
	journal[0] = '\0';
	assert_int_equal(pcie_unbind(&sys, both, 2, &eb), 0);
	assert_string_equal(journal, "");
	pcie_list_destroy(list);
}

static void one_fails_and_the_others_are_given_back(void **state)
{
	struct pcie_list *list = list_all();
	struct pcie_func *both[] = { pcie_list_find(list, SSD), pcie_list_find(list, SSD2) };
	struct errbuf eb = { "" };

	broken = SSD2;
	assert_int_equal(pcie_bind(&sys, both, 2, "vfio-pci", &eb), -EIO);
	assert_non_null(strstr(eb.text, SSD2 ": vfio-pci did not take it"));
	expect_driver(SSD, "nvme");
	expect_driver(SSD2, "nvme");
	expect_override(SSD, "(null)");
	expect_override(SSD2, "(null)");
	assert_string_equal(both[0]->driver, "nvme");
	pcie_list_destroy(list);
}

/* What had no driver has none again. */
static void nothing_is_given_to_nobody(void **state)
{
	struct pcie_list *list;
	struct errbuf eb = { "" };
	struct pcie_func *f;
	char path[512];

	path_of(path, "/sys/devices/pci0000:00/%s/driver", SSD);
	assert_int_equal(unlink(path), 0);
	list = list_all();
	f = pcie_list_find(list, SSD);
	broken = SSD;
	assert_int_equal(pcie_bind(&sys, &f, 1, "vfio-pci", &eb), -EIO);
	expect_driver(SSD, "");
	expect_override(SSD, "(null)");
	broken = NULL;
	assert_int_equal(pcie_bind(&sys, &f, 1, "vfio-pci", &eb), 0);
	expect_driver(SSD, "vfio-pci");
	pcie_list_destroy(list);
}

static void a_dry_run(void **state)
{
	struct pcie_list *list = list_all();
	struct pcie_func *f = pcie_list_find(list, SSD);
	struct errbuf eb = { "" };
	int dry = 1;

	sys.dry = true;
	sys.arg = &dry;
	assert_int_equal(pcie_bind(&sys, &f, 1, "vfio-pci", &eb), 0);
	assert_string_equal(journal,
			    "driver_override=vfio-pci;unbind=" SSD ";drivers_probe=" SSD ";");
	expect_driver(SSD, "nvme");
	assert_string_equal(f->driver, "nvme");
	pcie_list_destroy(list);
}

/* Without a hook the files themselves are written. */
static void real_writes(void **state)
{
	struct pcie_list *list = list_all();
	struct pcie_func *f = pcie_list_find(list, SSD);
	struct errbuf eb = { "" };

	sys.write = NULL;
	assert_int_equal(pcie_bind(&sys, &f, 1, "vfio-pci", &eb), -EIO); /* nobody obeys */
	assert_non_null(strstr(eb.text, "did not take it"));
	expect_driver(SSD, "nvme");
	pcie_list_destroy(list);
}

/*
 * Refusals
 */

static void mounted(void)
{
	put("22 1 259:2 / /srv/a\\040b rw,noatime shared:1 master:7 - ext4 /dev/root rw\n",
	    "/proc/self/mountinfo");
}

static void mounted_whole(void)
{
	put("22 1 259:0 / /srv rw - xfs /dev/nvme0n1 rw\n", "/proc/self/mountinfo");
}

static void mounted_as_btrfs(void)
{
	point("/dev/nvme0n1p1", "/dev/disk/by-id/x");
	put("22 1 0:44 /sub /srv rw - btrfs /dev/disk/by-id/x rw\n", "/proc/self/mountinfo");
}

static void second_of_btrfs(void)
{
	put("", "/sys/fs/btrfs/aa-bb/devices/nvme0n1p2");
}

static void swapped_on(void)
{
	put("Filename Type Size Used Priority\n/dev/nvme0n1p2 partition 1 0 -2\n", "/proc/swaps");
}

static void held_by_dm(void)
{
	point("/sys/class/block/dm-0", "/sys/class/block/nvme0n1p1/holders/dm-0");
	put("vg0-root\n", "/sys/class/block/dm-0/dm/name");
}

static void held_by_md(void)
{
	point("/sys/class/block/md0", "/sys/class/block/nvme0n1/holders/md0");
}

static void behind_loop(void)
{
	put("/dev/nvme0n1\n", "/sys/devices/loop3/loop/backing_file");
	point("/sys/devices/loop3", "/sys/block/loop3");
}

static void open_in_a_process(void)
{
	point("=/dev/nvme0n1", "/proc/4711/fd/5");
	put("fio\n", "/proc/4711/comm");
}

static void partition_in_a_process(void)
{
	point("=/dev/nvme0n1p10", "/proc/4712/fd/6"); /* of another disk, were there one */
	put("x\n", "/proc/4712/comm");
	point("=/dev/nvme0n1p1", "/proc/4713/fd/6");
	put("fio\n", "/proc/4713/comm");
}

static void controller_in_a_process(void)
{
	point("=/dev/nvme0", "/proc/4711/fd/5");
	put("nvme\n", "/proc/4711/comm");
}

static void no_node(void)
{
	char path[512];

	path_of(path, "/dev/nvme0n1");
	assert_int_equal(unlink(path), 0);
}

static void no_group(void)
{
	char path[512];

	path_of(path, "/sys/devices/pci0000:00/%s/iommu_group", SSD);
	assert_int_equal(unlink(path), 0);
}

static void shared_group(void)
{
	point("/sys/bus/pci/devices/" NIC, "/sys/kernel/iommu_groups/11/devices/" NIC);
}

static void no_module(void)
{
	char path[512];

	path_of(path, "/sys/bus/pci/drivers/vfio-pci/unbind");
	assert_int_equal(unlink(path), 0);
	path_of(path, "/sys/bus/pci/drivers/vfio-pci");
	assert_int_equal(rmdir(path), 0);
}

static void refusals(void **state)
{
	static const struct {
		void (*prepare)(void);
		int err;
		const char *want;
	} rows[] = {
		{ mounted, -EBUSY, "/dev/nvme0n1p2 is mounted on /srv/a\\040b; mend: umount" },
		{ mounted_whole, -EBUSY, "/dev/nvme0n1 is mounted on /srv" },
		{ mounted_as_btrfs, -EBUSY, "/dev/nvme0n1p1 is mounted on /srv" },
		{ second_of_btrfs, -EBUSY, "/dev/nvme0n1p2 is part of the mounted btrfs aa-bb" },
		{ swapped_on, -EBUSY, "swaps on /dev/nvme0n1p2; mend: swapoff /dev/nvme0n1p2" },
		{ held_by_dm, -EBUSY, "held by dm-0 (vg0-root); mend: dmsetup remove vg0-root" },
		{ held_by_md, -EBUSY, "/dev/nvme0n1 is held by md0; mend: mdadm --stop /dev/md0" },
		{ behind_loop, -EBUSY, "behind /dev/loop3; mend: losetup -d /dev/loop3" },
		{ open_in_a_process, -EBUSY, "/dev/nvme0n1 is open in fio (pid 4711)" },
		{ partition_in_a_process, -EBUSY, "/dev/nvme0n1p1 is open in fio (pid 4713)" },
		{ controller_in_a_process, -EBUSY, "/dev/nvme0 is open in nvme (pid 4711)" },
		{ no_node, -ENOENT, "cannot tell whether /dev/nvme0n1 is in use: No such file" },
		{ no_group, -ENOTSUP, "has no IOMMU group; mend: " },
		{ shared_group, -EBUSY, "shares IOMMU group 11 with " NIC " (e1000e)" },
		{ no_module, -ENOENT, "vfio-pci is not loaded; mend: modprobe vfio-pci" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct errbuf eb = { "" }, eb2 = { "" };
		struct pcie_list *list;
		struct pcie_func *both[2];

		assert_int_equal(tear_down(NULL), 0);
		assert_int_equal(set_up(NULL), 0);
		rows[i].prepare();
		list = list_all();
		/* The other one comes first and is fine: it must not move either. */
		both[0] = pcie_list_find(list, SSD2);
		both[1] = pcie_list_find(list, SSD);
		assert_int_equal(pcie_bind(&sys, both, 2, "vfio-pci", &eb), rows[i].err);
		if (!strstr(eb.text, rows[i].want))
			fail_msg("'%s' says nothing of '%s'", eb.text, rows[i].want);
		assert_null(strchr(eb.text, '\n'));
		assert_int_equal(pcie_bind_check(&sys, both[1], "vfio-pci", &eb2), rows[i].err);
		assert_string_equal(eb.text, eb2.text);
		assert_string_equal(journal, "");
		expect_driver(SSD2, "nvme");
		pcie_list_destroy(list);
	}
}

static void a_group_moves_as_a_whole(void **state)
{
	struct errbuf eb = { "" };
	struct pcie_list *list;
	struct pcie_func *both[2];

	point("/sys/bus/pci/devices/" SSD2, "/sys/kernel/iommu_groups/11/devices/" SSD2);
	point("/sys/kernel/iommu_groups/11", "/sys/devices/pci0000:00/" SSD2 "/iommu_group");
	list = list_all();
	both[0] = pcie_list_find(list, SSD);
	both[1] = pcie_list_find(list, SSD2);
	assert_int_equal(pcie_bind(&sys, both, 1, "vfio-pci", &eb), -EBUSY);
	assert_non_null(strstr(eb.text, SSD2 " (nvme)"));
	assert_int_equal(pcie_bind(&sys, both, 2, "vfio-pci", &eb), 0);
	pcie_list_destroy(list);
}

static void who_has_the_group_open_keeps_it(void **state)
{
	struct errbuf eb = { "" };
	struct pcie_list *list;
	struct pcie_func *f;

	set_driver(SSD, "vfio-pci");
	point("=/dev/vfio/11", "/proc/99/fd/3");
	put("nvringd\n", "/proc/99/comm");
	list = list_all();
	f = pcie_list_find(list, SSD);
	assert_int_equal(pcie_unbind(&sys, &f, 1, &eb), -EBUSY);
	assert_non_null(strstr(eb.text, "/dev/vfio/11 is open in nvringd (pid 99)"));
	assert_string_equal(journal, "");
	pcie_list_destroy(list);
}

/* It looks at every new disk for a moment. */
static void udev_is_no_holder(void **state)
{
	struct errbuf eb = { "" };
	struct pcie_list *list;

	point("=/dev/nvme0n1", "/proc/99/fd/3");
	put("(udev-worker)\n", "/proc/99/comm");
	list = list_all();
	assert_int_equal(pcie_bind_check(&sys, pcie_list_find(list, SSD), "vfio-pci", &eb), 0);
	pcie_list_destroy(list);
}

static void names_that_are_no_drivers(void **state)
{
	static const char *const names[] = { "", "../nvme", "a b", "vfio/pci", "x\n" };
	struct pcie_list *list = list_all();
	struct pcie_func *f = pcie_list_find(list, SSD);
	struct errbuf eb;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(pcie_bind(&sys, &f, 1, names[i], &eb), -EINVAL);
	assert_string_equal(journal, "");
	pcie_list_destroy(list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		TEST(functions_and_their_disks),
		TEST(a_machine_without_pci),
		TEST(a_function_without_files),
		TEST(there_and_back),
		TEST(one_fails_and_the_others_are_given_back),
		TEST(nothing_is_given_to_nobody),
		TEST(a_dry_run),
		TEST(real_writes),
		TEST(refusals),
		TEST(a_group_moves_as_a_whole),
		TEST(who_has_the_group_open_keeps_it),
		TEST(udev_is_no_holder),
		TEST(names_that_are_no_drivers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
