/* SPDX-License-Identifier: BSD-3-Clause */
/* Which functions and which driver: the command line first, then the environment. */
#include "tools/nvring/setup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/pcie/pcie_bind.h"
#include "tools/nvring/cli.h"

#define WORD_MAX 64

const char *setup_root(void)
{
	return getenv("NVRING_ROOT");
}

const char *setup_driver(const struct cli *cli)
{
	const char *option = cli_opt(cli, "driver"), *env = getenv("DRIVER_OVERRIDE");

	if (option)
		return option;
	return env && env[0] ? env : "vfio-pci";
}

/* The next word of a list by blanks or commas; NULL: no more. One that is too long comes out cut,
 * so it fits nothing. */
static const char *next_word(const char **list, char word[WORD_MAX])
{
	const char *s = *list + strspn(*list, " ,\t\n");
	size_t n = strcspn(s, " ,\t\n");

	*list = s + n;
	if (n == 0)
		return NULL;
	n = n < WORD_MAX ? n : WORD_MAX - 1;
	memcpy(word, s, n);
	word[n] = '\0';
	return word;
}

/* Is @bdf in the list of environment variable @name? False also without it. */
static bool is_listed(const char *name, const char *bdf)
{
	const char *list = getenv(name);
	char word[WORD_MAX], norm[PCIE_BDF_MAX];

	while (list && next_word(&list, word)) {
		if (pcie_bdf_parse(word, norm) == 0 && strcmp(norm, bdf) == 0)
			return true;
	}
	return false;
}

/* "none" allows nothing, as no address is called that. */
static int check_lists(const char *bdf, struct errbuf *eb)
{
	const char *allowed = getenv("PCI_ALLOWED");

	if (is_listed("PCI_BLOCKED", bdf))
		return errbuf_set(eb, -EPERM, "%s is in PCI_BLOCKED", bdf);
	if (allowed && allowed[0] && !is_listed("PCI_ALLOWED", bdf))
		return errbuf_set(eb, -EPERM, "%s is not in PCI_ALLOWED", bdf);
	return 0;
}

int setup_check(const struct cli *cli, const struct pcie_sys *sys, const struct pcie_func *f,
		struct errbuf *eb)
{
	int err = check_lists(f->bdf, eb);

	return err ? err : pcie_bind_check(sys, f, setup_driver(cli), eb);
}

static int add(struct setup_choice *c, const struct cli *cli, const char *word, struct errbuf *eb)
{
	struct pcie_func *f;
	char bdf[PCIE_BDF_MAX];
	int err;

	if (pcie_bdf_parse(word, bdf))
		return errbuf_set(eb, -EINVAL, "'%s' is no PCI address such as 0000:01:00.0", word);
	err = check_lists(bdf, eb);
	if (err)
		return err;
	f = pcie_list_find(c->list, bdf);
	if (!f)
		return errbuf_set(eb, -ENODEV, "%s: no such PCI device (see nvring setup status)",
				  bdf);
	/* One that VFIO has was given to it on purpose; it may go back without questions. */
	if (!pcie_func_is_nvme(f) && !pcie_func_is_vfio(f) && !cli_opt(cli, "force"))
		return errbuf_set(eb, -EINVAL,
				  "%s (%04x %04x, class %06x) is no NVMe controller; --force takes "
				  "it all the same",
				  bdf, f->vendor, f->device, f->class);
	for (unsigned i = 0; i < c->n; i++) {
		if (c->funcs[i] == f)
			return 0;
	}
	if (c->n == SETUP_FUNCS_MAX)
		return errbuf_set(eb, -E2BIG, "more than %d devices in one call", SETUP_FUNCS_MAX);
	c->funcs[c->n++] = f;
	return 0;
}

int setup_choice_init(struct setup_choice *c, const struct cli *cli, const struct pcie_sys *sys,
		      struct errbuf *eb)
{
	const char *list = getenv("PCI_ALLOWED");
	char word[WORD_MAX];
	int err;

	*c = (struct setup_choice){ NULL };
	err = pcie_list_create(sys, &c->list, eb);
	for (unsigned i = 0; i < CLI_ARGS_MAX && cli->args[i] && !err; i++)
		err = add(c, cli, cli->args[i], eb);
	while (!err && !cli->args[0] && list && next_word(&list, word))
		err = add(c, cli, word, eb);
	if (!err && !c->n)
		err = errbuf_set(eb, -EINVAL,
				 "which? Give addresses, or PCI_ALLOWED in the environment");
	if (err)
		setup_choice_fini(c);
	return err;
}

void setup_choice_fini(struct setup_choice *c)
{
	pcie_list_destroy(c->list);
	*c = (struct setup_choice){ NULL };
}
