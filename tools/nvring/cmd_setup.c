/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvring setup bind, unbind. In this order, each step undone when a later one fails:
 *
 *   pcie_bind()      all functions or none
 *   driverctl        with --persist: the same again at the next boot
 *   chown            with --user: of the group's node
 */
#include <errno.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/pcie/pcie.h"
#include "drivers/pcie/pcie_bind.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/setup.h"
#include "tools/nvring/show.h"
#include "tools/nvring/program.h"

#define PATH_BYTES 256
#define OUT_BYTES  256 /* of driverctl, which we do not read */

/* One call. */
struct job {
	struct cli *cli;
	struct pcie_sys sys;
	struct setup_choice choice;
	const char *driver; /* NULL: the kernel's */
	const struct passwd *user;
	char from[SETUP_FUNCS_MAX][PCIE_NAME_MAX]; /* drivers before; parallel to choice.funcs */
	struct json_object *writes;		   /* of a dry run; NULL: people read it */
	struct errbuf eb;
};

/*
 * Dry runs
 */

/* What would be done, as a line for a shell. */
static void tell(struct job *j, const char *line)
{
	if (j->writes)
		json_object_array_add(j->writes, json_object_new_string(line));
	else
		puts(line);
}

static int tell_write(void *arg, const char *path, const char *text)
{
	char line[2 * PATH_BYTES];

	(void)snprintf(line, sizeof(line), "echo %.*s%s> %s", (int)strcspn(text, "\n"), text,
		       text[0] == '\n' ? "" : " ", path);
	tell(arg, line);
	return 0;
}

/*
 * The steps
 */

/* Before anything is done. */
static int check_persist(struct job *j)
{
	if (!cli_opt(j->cli, "persist") || j->sys.dry || program_is_there("driverctl"))
		return 0;
	return errbuf_set(&j->eb, -ENOENT,
			  "--persist needs driverctl; mend: apt install driverctl");
}

/* driverctl keeps its overrides in /etc/driverctl.d. 0 or -errno with eb. */
static int persist(struct job *j, const struct pcie_func *f, const char *driver)
{
	char verb[] = "set-override", unverb[] = "unset-override", name[] = "driverctl";
	char bdf[PCIE_BDF_MAX], to[PCIE_NAME_MAX], out[OUT_BYTES], line[PATH_BYTES];
	char *argv[] = { name, driver ? verb : unverb, bdf, driver ? to : NULL, NULL };
	int rc;

	(void)snprintf(bdf, sizeof(bdf), "%s", f->bdf);
	(void)snprintf(to, sizeof(to), "%s", driver ? driver : "");
	(void)snprintf(line, sizeof(line), "%s %s %s%s%s", name, argv[1], bdf, driver ? " " : "",
		       to);
	if (j->sys.dry) {
		tell(j, line);
		return 0;
	}
	rc = program_output(argv, out, sizeof(out));
	if (rc == 0)
		return 0;
	return errbuf_set(&j->eb, -EIO, "%s: exit status %d", line, rc);
}

static int persist_all(struct job *j)
{
	unsigned i;
	int err = 0;

	for (i = 0; i < j->choice.n && !err; i++)
		err = persist(j, j->choice.funcs[i], j->driver);
	if (err && j->driver) {
		struct errbuf eb = j->eb;

		for (; i > 1; i--) /* the last one failed by itself */
			(void)persist(j, j->choice.funcs[i - 2], NULL);
		j->eb = eb;
	}
	return err;
}

/* udev gives new nodes to root when it gets there: let it be done first. */
static void settle(void)
{
	char name[] = "udevadm", verb[] = "settle", limit[] = "--timeout=10", out[OUT_BYTES];
	char *argv[] = { name, verb, limit, NULL };

	if (access("/run/udev/control", F_OK) == 0)
		(void)program_output(argv, out, sizeof(out));
}

static int chown_all(struct job *j)
{
	char path[PATH_BYTES], line[2 * PATH_BYTES];

	if (!j->sys.dry)
		settle();
	for (unsigned i = 0; i < j->choice.n; i++) {
		(void)snprintf(path, sizeof(path), "%s/dev/vfio/%d", j->sys.root ? j->sys.root : "",
			       j->choice.funcs[i]->iommu_group);
		(void)snprintf(line, sizeof(line), "chown %.64s %s", j->user->pw_name, path);
		if (j->sys.dry)
			tell(j, line);
		else if (chown(path, j->user->pw_uid, j->user->pw_gid))
			return errbuf_set(&j->eb, -errno, "%s: %s", line, strerror(errno));
	}
	return 0;
}

/* Those that were moved go back. */
static void take_back(struct job *j)
{
	struct pcie_func *moved[SETUP_FUNCS_MAX];
	struct errbuf eb = { "" };
	unsigned n = 0;

	for (unsigned i = 0; i < j->choice.n; i++) {
		if (strcmp(j->from[i], j->choice.funcs[i]->driver) != 0)
			moved[n++] = j->choice.funcs[i];
	}
	if (n && pcie_unbind(&j->sys, moved, n, &eb))
		cli_error(0, "%s", eb.text);
}

/* --user, $TARGET_USER. */
static int find_user(struct job *j)
{
	const char *name =
		cli_opt(j->cli, "user") ? cli_opt(j->cli, "user") : getenv("TARGET_USER");

	if (!name || !name[0])
		return 0;
	if (strncmp(j->driver, "vfio", 4) != 0)
		return errbuf_set(&j->eb, -EINVAL, "a user is for vfio-pci, not for %s", j->driver);
	j->user = getpwnam(name);
	return j->user ? 0 : errbuf_set(&j->eb, -ENOENT, "there is no user %s", name);
}

static int bind_all(struct job *j)
{
	struct setup_choice *c = &j->choice;
	int err = find_user(j);

	if (!err)
		err = check_persist(j);
	if (!err)
		err = pcie_bind(&j->sys, c->funcs, c->n, j->driver, &j->eb);
	if (err)
		return err;
	if (cli_opt(j->cli, "persist"))
		err = persist_all(j);
	if (!err && j->user)
		err = chown_all(j);
	if (err && !j->sys.dry)
		take_back(j);
	return err;
}

static int unbind_all(struct job *j)
{
	int err = check_persist(j);

	if (!err)
		err = pcie_unbind(&j->sys, j->choice.funcs, j->choice.n, &j->eb);
	if (!err && cli_opt(j->cli, "persist"))
		err = persist_all(j);
	return err;
}

/*
 * What was done
 */

static const char *or_none(const char *driver)
{
	return driver[0] ? driver : "no driver";
}

static void print_moves(const struct job *j)
{
	for (unsigned i = 0; i < j->choice.n; i++) {
		const struct pcie_func *f = j->choice.funcs[i];

		if (strcmp(j->from[i], f->driver) == 0)
			printf("%s (%04x %04x): Already using the %s driver\n", f->bdf, f->vendor,
			       f->device, or_none(f->driver));
		else
			printf("%s (%04x %04x): %s -> %s\n", f->bdf, f->vendor, f->device,
			       or_none(j->from[i]), or_none(f->driver));
	}
}

static void print_json(struct job *j)
{
	struct json_object *arr = json_object_new_array();

	for (unsigned i = 0; i < j->choice.n; i++) {
		const struct pcie_func *f = j->choice.funcs[i];
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "bdf", json_object_new_string(f->bdf));
		json_object_object_add(o, "from", json_object_new_string(j->from[i]));
		json_object_object_add(o, "driver", json_object_new_string(f->driver));
		json_object_object_add(o, "iommu_group",
				       f->iommu_group < 0 ? NULL
							  : json_object_new_int(f->iommu_group));
		json_object_array_add(arr, o);
	}
	show_json(arr);
	json_object_put(arr);
}

/* What the user should know beside. */
static void print_hints(const struct job *j)
{
	char path[PATH_BYTES];

	for (unsigned i = 0; i < j->choice.n && !j->driver; i++) {
		const struct pcie_func *f = j->choice.funcs[i];

		if (!f->driver[0])
			cli_error(0, "%s: no driver took it; mend: modprobe nvme", f->bdf);
		(void)snprintf(path, sizeof(path), "/etc/driverctl.d/pci-%s", f->bdf);
		if (!cli_opt(j->cli, "persist") && access(path, F_OK) == 0)
			cli_error(
				0,
				"%s: driverctl takes it again at the next boot; mend: nvring setup "
				"unbind --persist %s",
				f->bdf, f->bdf);
	}
}

static int run(struct cli *cli, const char *driver, int (*fn)(struct job *j))
{
	struct job *j = calloc(1, sizeof(*j));
	int rc = CLI_OK;

	if (!j)
		return cli_error(CLI_FAILED, "out of memory");
	j->cli = cli;
	j->driver = driver;
	j->sys.root = setup_root();
	if (cli_opt(cli, "dry-run")) {
		j->sys.dry = true;
		j->sys.write = tell_write;
		j->sys.arg = j;
		j->writes = cli->json ? json_object_new_array() : NULL;
	}
	if (setup_choice_init(&j->choice, cli, &j->sys, &j->eb))
		rc = CLI_FAILED;
	for (unsigned i = 0; i < j->choice.n; i++)
		memcpy(j->from[i], j->choice.funcs[i]->driver, PCIE_NAME_MAX);
	if (rc || fn(j)) {
		rc = cli_error(CLI_FAILED, "%s", j->eb.text);
	} else if (j->sys.dry) {
		if (j->writes)
			show_json(j->writes);
	} else {
		cli->json ? print_json(j) : print_moves(j);
		print_hints(j);
	}
	json_object_put(j->writes);
	setup_choice_fini(&j->choice);
	free(j);
	return rc;
}

int cli_setup_bind(struct cli *cli)
{
	return run(cli, setup_driver(cli), bind_all);
}

int cli_setup_unbind(struct cli *cli)
{
	return run(cli, NULL, unbind_all);
}
