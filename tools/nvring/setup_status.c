/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring setup status: the controllers, in the columns that users of SPDK's setup.sh know, and
 * whether they can be bound. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/pcie/pcie.h"
#include "drivers/pcie/pcie_bind.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/setup.h"
#include "tools/nvring/show.h"
#include "tools/nvring/table.h"

#define BLOCKS_TEXT_MAX 96

/* "nvme0n1 nvme0n2 …" */
static const char *blocks_text(const struct pcie_func *f, char buf[BLOCKS_TEXT_MAX])
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < f->nblocks; i++) {
		if (at + strlen(f->blocks[i]) + 6 > BLOCKS_TEXT_MAX) {
			(void)snprintf(buf + at, BLOCKS_TEXT_MAX - at, " …");
			break;
		}
		at += (size_t)snprintf(buf + at, BLOCKS_TEXT_MAX - at, "%s%s", i ? " " : "",
				       f->blocks[i]);
	}
	return buf;
}

/* The reason without the address that stands in the same row. */
static const char *short_reason(const struct pcie_func *f, const struct errbuf *eb)
{
	size_t n = strlen(f->bdf);

	if (strncmp(eb->text, f->bdf, n) != 0)
		return eb->text;
	return eb->text + n + strspn(eb->text + n, ": ");
}

static const char *bind_text(const struct pcie_func *f, int err, const struct errbuf *eb, char *buf,
			     size_t len)
{
	if (pcie_func_is_vfio(f))
		return err ? short_reason(f, eb) : "bound";
	if (!err)
		return "yes";
	(void)snprintf(buf, len, "no: %s", short_reason(f, eb));
	return buf;
}

static void add_row(struct table *t, const struct pcie_func *f, int err, const struct errbuf *eb)
{
	char vendor[8], device[8], numa[16], group[16], blocks[BLOCKS_TEXT_MAX];
	char bind[ERRBUF_BYTES_MAX + 8];

	(void)snprintf(vendor, sizeof(vendor), "%04x", f->vendor);
	(void)snprintf(device, sizeof(device), "%04x", f->device);
	(void)snprintf(numa, sizeof(numa), f->numa_node < 0 ? "-" : "%d", f->numa_node);
	(void)snprintf(group, sizeof(group), f->iommu_group < 0 ? "-" : "%d", f->iommu_group);
	table_row(t, pcie_func_is_nvme(f) ? "NVMe" : "other", f->bdf, vendor, device, numa,
		  f->driver, f->ctrl, blocks_text(f, blocks), group,
		  bind_text(f, err, eb, bind, sizeof(bind)));
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text[0] ? json_object_new_string(text) : NULL);
}

static struct json_object *build_json(const struct pcie_func *f, int err, const struct errbuf *eb)
{
	struct json_object *o = json_object_new_object(), *blocks = json_object_new_array();
	char hex[8];

	add_text(o, "type", pcie_func_is_nvme(f) ? "NVMe" : "other");
	add_text(o, "bdf", f->bdf);
	(void)snprintf(hex, sizeof(hex), "%04x", f->vendor);
	add_text(o, "vendor", hex);
	(void)snprintf(hex, sizeof(hex), "%04x", f->device);
	add_text(o, "device", hex);
	add_text(o, "vendor_name", f->vendor_name);
	add_text(o, "device_name", f->device_name);
	json_object_object_add(o, "numa",
			       f->numa_node < 0 ? NULL : json_object_new_int(f->numa_node));
	add_text(o, "driver", f->driver);
	add_text(o, "controller", f->ctrl);
	for (unsigned i = 0; i < f->nblocks; i++)
		json_object_array_add(blocks, json_object_new_string(f->blocks[i]));
	json_object_object_add(o, "block_devices", blocks);
	json_object_object_add(o, "iommu_group",
			       f->iommu_group < 0 ? NULL : json_object_new_int(f->iommu_group));
	json_object_object_add(o, "bound", json_object_new_boolean(pcie_func_is_vfio(f)));
	json_object_object_add(o, "bindable", json_object_new_boolean(!err));
	add_text(o, "reason", err ? eb->text : "");
	return o;
}

int cli_setup_status(struct cli *cli)
{
	struct pcie_sys sys = { .root = setup_root() };
	struct json_object *arr = cli->json ? json_object_new_array() : NULL;
	struct table *t = NULL;
	struct pcie_list *list;
	struct errbuf eb = { "" };
	unsigned n = 0;

	if (pcie_list_create(&sys, &list, &eb)) {
		json_object_put(arr);
		return cli_error(CLI_FAILED, "%s", eb.text);
	}
	for (unsigned i = 0; i < list->nfuncs; i++) {
		const struct pcie_func *f = &list->funcs[i];
		int err;

		if (!pcie_func_is_nvme(f) && !pcie_func_is_vfio(f))
			continue;
		err = setup_check(cli, &sys, f, &eb);
		if (!cli->json && !n++)
			t = table_create(
				"Type|BDF|Vendor|Device|>NUMA|Driver|Device|Block devices|>"
				"IOMMU group|Can be bound");
		if (cli->json)
			json_object_array_add(arr, build_json(f, err, &eb));
		else
			add_row(t, f, err, &eb);
	}
	if (cli->json)
		show_json(arr);
	else if (!n)
		puts("no NVMe controller on this machine");
	table_print(t);
	json_object_put(arr);
	pcie_list_destroy(list);
	return CLI_OK;
}
