/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring doctor: what this machine has and lacks, each line with the command that mends it. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libgen.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/doctor_priv.h"
#include "tools/nvring/program.h"
#include "tools/shared/jget.h"
#include "tools/shared/rundir.h"

#define PROBE_BYTES   4096
#define HELP_BYTES_MAX (1024 * 1024)

static const char *const verdict_names[] = { "PASS", "INFO", "WARN", "FAIL" };

void doctor_say(struct finding *f, enum verdict v, const char *fmt, ...)
{
	va_list ap;

	f->verdict = v;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

void doctor_mend(struct finding *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->mend, sizeof(f->mend), fmt, ap);
	va_end(ap);
}

/* First number in a file of /proc or /sys; -1: none. */
static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long v = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

static void check_daemon(struct cli *cli, struct finding *f)
{
	struct json_object *result = NULL;
	struct errbuf eb;

	if (client_try(cli, "nvring_get_version", NULL, &result, &eb) == CLI_OK) {
		doctor_say(f, PASS, "%s answers", jget_text(result, "version"));
	} else {
		/* Not yet started is no fault, unless it was named. */
		doctor_say(f, cli->socket ? FAIL : WARN, "%s", eb.text);
		doctor_mend(
			f,
			"nvringd --disk vol0=file:disk.img --vhost-user-blk vol0=/tmp/vol0.sock");
	}
	json_object_put(result);
}

static void check_folder(struct cli *cli, struct finding *f)
{
	char path[PATH_MAX], *dir;
	struct errbuf eb;

	if (client_path(cli, path, sizeof(path), &eb)) {
		doctor_say(f, FAIL, "%s", eb.text);
		doctor_mend(f, "export XDG_RUNTIME_DIR=/run/user/$(id -u)");
		return;
	}
	dir = dirname(path);
	if (access(dir, W_OK | X_OK) == 0) {
		doctor_say(f, PASS, "%s is writable", dir);
		return;
	}
	if (errno == ENOENT && strcmp(dir, "/run/nvring") == 0 && geteuid() == 0) {
		doctor_say(f, PASS, "%s is made by nvringd when it starts", dir);
		return;
	}
	doctor_say(f, FAIL, "%s: %s", dir, strerror(errno));
	if (errno == ENOENT)
		doctor_mend(f, "install -d -m 0755 %s", dir);
	else
		doctor_mend(f,
			    "nvringd --rpc $HOME/nvring.sock …, and nvring -s $HOME/nvring.sock …");
}

static void check_uring(struct cli *cli, struct finding *f)
{
	struct io_uring_params p;
	long fd;

	memset(&p, 0, sizeof(p));
	fd = syscall(SYS_io_uring_setup, 4, &p);
	if (fd >= 0) {
		close((int)fd);
		doctor_say(f, PASS, "io_uring can be used");
		return;
	}
	doctor_say(f, FAIL, "io_uring cannot be used: %s", strerror(errno));
	if (errno == ENOSYS)
		doctor_mend(f, "boot a kernel of 5.15 or newer with CONFIG_IO_URING");
	else if (errno == ENOMEM)
		doctor_mend(f, "ulimit -l unlimited");
	else if (read_number("/proc/sys/kernel/io_uring_disabled") > 0)
		doctor_mend(f, "sysctl -w kernel.io_uring_disabled=0");
	else
		doctor_mend(f, "in a container: run it with --security-opt seccomp=unconfined");
}

static void check_direct(struct cli *cli, struct finding *f)
{
	const char *dir = cli_opt(cli, "path") ? cli_opt(cli, "path") : ".";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	void *buf = NULL;

	if (fd < 0) {
		doctor_say(f, WARN, "%s: cannot make a file to try: %s", dir, strerror(errno));
		doctor_mend(f, "nvring doctor --path FOLDER");
		return;
	}
	if (fcntl(fd, F_SETFL, O_DIRECT) || posix_memalign(&buf, PROBE_BYTES, PROBE_BYTES) ||
	    pwrite(fd, memset(buf, 0, PROBE_BYTES), PROBE_BYTES, 0) != PROBE_BYTES) {
		doctor_say(f, WARN,
			   "%s: no O_DIRECT on this file system: the page cache doubles the memory",
			   dir);
		doctor_mend(f, "put the images on ext4 or xfs, or use file:PATH?direct=0");
	} else {
		doctor_say(f, PASS, "%s: O_DIRECT works", dir);
	}
	free(buf);
	close(fd);
}

static void check_memfd(struct cli *cli, struct finding *f)
{
	int fd = memfd_create("nvring-doctor", MFD_CLOEXEC);

	if (fd < 0) {
		doctor_say(f, FAIL, "no memfd: %s; guests cannot share their memory",
			   strerror(errno));
		doctor_mend(f, "boot a kernel with CONFIG_MEMFD_CREATE");
		return;
	}
	close(fd);
	doctor_say(f, PASS, "shared memory (memfd) works");
}

static void check_limits(struct cli *cli, struct finding *f)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < 1024) {
		doctor_say(f, FAIL, "only %llu open files are allowed",
			   (unsigned long long)files.rlim_cur);
		doctor_mend(f, "ulimit -n 4096");
		return;
	}
	doctor_say(f, PASS, "%llu open files", (unsigned long long)files.rlim_cur);
}

static void check_cpus(struct cli *cli, struct finding *f)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	if (n > 1) {
		doctor_say(f, PASS, "%d CPUs", n);
		return;
	}
	doctor_say(f, WARN, "one CPU: the guest and nvringd take turns on it");
	doctor_mend(f, "nvringd --mode interrupt …");
}

static void check_kvm(struct cli *cli, struct finding *f)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		doctor_say(f, PASS, "/dev/kvm can be used");
		return;
	}
	doctor_say(f, WARN, "/dev/kvm: %s; guests run without hardware support, slowly",
		   strerror(errno));
	if (errno == EACCES)
		doctor_mend(f, "usermod -aG kvm $USER   (then log in again)");
	else
		doctor_mend(
			f,
			"modprobe kvm_intel || modprobe kvm_amd   (or enable it in the firmware)");
}

static void check_qemu(struct cli *cli, struct finding *f)
{
	char name[80], *out = malloc(HELP_BYTES_MAX);
	char *argv[] = { name, (char *)"-device", (char *)"help", NULL };
	struct utsname un;
	int rc;

	if (!out) {
		doctor_say(f, FAIL, "out of memory");
		return;
	}
	uname(&un);
	snprintf(name, sizeof(name), "qemu-system-%s", un.machine);
	rc = program_output(argv, out, HELP_BYTES_MAX);
	if (rc != 0) {
		doctor_say(f, WARN, "%s is not installed", name);
		doctor_mend(f, "apt install %s",
			    strcmp(un.machine, "x86_64") == 0 ? "qemu-system-x86" : "qemu-system");
	} else if (!strstr(out, "\"vhost-user-blk-pci\"")) {
		doctor_say(f, FAIL, "%s has no device vhost-user-blk-pci", name);
		doctor_mend(f, "apt install qemu-system-x86");
	} else {
		doctor_say(f, PASS, "%s has vhost-user-blk-pci", name);
	}
	free(out);
}

static void check_hugepages(struct cli *cli, struct finding *f)
{
	long n = read_number("/proc/sys/vm/nr_hugepages");

	doctor_say(f, PASS, "%ld reserved; none are needed", n > 0 ? n : 0);
}

static const struct {
	const char *name;
	void (*fn)(struct cli *cli, struct finding *f);
} checks[] = {
	{ "daemon", check_daemon },	  { "socket folder", check_folder },
	{ "io_uring", check_uring },	  { "direct I/O", check_direct },
	{ "shared memory", check_memfd }, { "limits", check_limits },
	{ "CPUs", check_cpus },		  { "KVM", check_kvm },
	{ "QEMU", check_qemu },		  { "hugepages", check_hugepages },
	{ "NVMe", doctor_nvme },	  { "IOMMU", doctor_iommu },
	{ "VFIO", doctor_vfio },	  { "locked memory", doctor_memlock },
};

static void print_json(const struct finding *findings)
{
	struct json_object *arr = json_object_new_array();

	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "check", json_object_new_string(checks[i].name));
		json_object_object_add(
			o, "result", json_object_new_string(verdict_names[findings[i].verdict]));
		json_object_object_add(o, "found", json_object_new_string(findings[i].text));
		json_object_object_add(o, "mend", json_object_new_string(findings[i].mend));
		json_object_array_add(arr, o);
	}
	puts(json_object_to_json_string_ext(arr, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(arr);
}

int cli_doctor(struct cli *cli)
{
	struct finding findings[ARRAY_SIZE(checks)];
	unsigned count[ARRAY_SIZE(verdict_names)] = { 0 };

	memset(findings, 0, sizeof(findings));
	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding *f = &findings[i];

		checks[i].fn(cli, f);
		count[f->verdict]++;
		if (cli->json)
			continue;
		printf("%s  %-14s %s\n", verdict_names[f->verdict], checks[i].name, f->text);
		if (f->mend[0])
			printf("      %-14s mend: %s\n", "", f->mend);
		fflush(stdout);
	}
	if (cli->json)
		print_json(findings);
	else
		printf("%u passed, %u to improve, %u failed\n", count[PASS], count[WARN],
		       count[FAIL]);
	return count[FAIL] ? CLI_FAILED : CLI_OK;
}
