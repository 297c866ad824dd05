/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring nvme: who is there. list, id-ctrl, id-ns, ns-descs, list-ns, show-regs. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvring/nvv.h"
#include "tools/nvring/table.h"

#define ID_CTRLR_VS 3072 /* vendor specific bytes, and those of a namespace */
#define ID_NS_VS    384

static int vendor_part(const struct nvv *v, const uint8_t *page, unsigned off)
{
	if (!cli_opt(v->cli, "vendor-specific") || v->json || v->raw)
		return CLI_OK;
	puts("vs[]:");
	nvp_hexdump(stdout, page + off, NVME_ID_BYTES - off);
	return CLI_OK;
}

int cli_nvme_id_ctrl(struct cli *cli)
{
	uint8_t page[NVME_ID_BYTES];
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_identify(&v, NVME_CNS_CTRLR, 0, page);
	if (!rc)
		rc = nvv_show_page(&v, &nvp_id_ctrlr, "NVME Identify Controller:", page, sizeof(page));
	if (!rc)
		rc = vendor_part(&v, page, ID_CTRLR_VS);
	nvv_close(&v);
	return rc;
}

int cli_nvme_id_ns(struct cli *cli)
{
	uint8_t page[NVME_ID_BYTES];
	char title[64];
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_need_ns(&v);
	if (!rc)
		rc = nvv_identify(&v, cli_opt(cli, "force") ? NVME_CNS_ALLOC_NS : NVME_CNS_NS, v.nsid, page);
	snprintf(title, sizeof(title), "NVME Identify Namespace %u:", v.nsid);
	if (!rc)
		rc = nvv_show_page(&v, &nvp_id_ns, title, page, sizeof(page));
	if (!rc)
		rc = vendor_part(&v, page, ID_NS_VS);
	nvv_close(&v);
	return rc;
}

int cli_nvme_ns_descs(struct cli *cli)
{
	uint8_t page[NVME_ID_BYTES];
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_need_ns(&v);
	if (!rc)
		rc = nvv_identify(&v, NVME_CNS_NS_DESC_LIST, v.nsid, page);
	if (!rc && v.raw) {
		rc = nvv_show_raw(page, sizeof(page));
	} else if (!rc && v.json) {
		rc = nvv_show_json(nvp_ns_descs_json(page, sizeof(page)));
	} else if (!rc) {
		printf("NVME Namespace Identification Descriptors NS %u:\n", v.nsid);
		nvp_ns_descs_print(stdout, page, sizeof(page));
	}
	nvv_close(&v);
	return rc;
}

int cli_nvme_list_ns(struct cli *cli)
{
	uint32_t cns = cli_opt(cli, "all") ? NVME_CNS_ALLOC_NS_LIST : NVME_CNS_ACTIVE_NS_LIST;
	uint8_t page[NVME_ID_BYTES];
	uint64_t first = 1;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_number(&v, "namespace-id", UINT32_MAX, &first);
	/* the list begins behind the number that is asked with */
	if (!rc)
		rc = nvv_identify(&v, cns, first ? (uint32_t)first - 1 : 0, page);
	if (!rc && v.json)
		rc = nvv_show_json(nvp_ns_list_json(page, sizeof(page)));
	else if (!rc)
		nvp_ns_list_print(stdout, page, sizeof(page));
	nvv_close(&v);
	return rc;
}

/*
 * list
 */

struct listing {
	struct json_object *devices;
	struct table *table;
};

/* "1.07 GB", powers of 1000 as disks are sold. */
static const char *size_text(double bytes, char buf[32])
{
	static const char units[] = " kMGTPE";
	unsigned i = 0;

	for (; bytes >= 1000 && units[i + 1]; i++)
		bytes /= 1000;
	snprintf(buf, 32, "%.2f %cB", bytes, units[i]);
	return buf;
}

static void list_ns(struct listing *l, const char *path, uint32_t nsid,
		    const struct nvme_id_ctrlr *ctrlr, const struct nvme_id_ns *ns)
{
	const struct nvme_lbaf *f = &ns->lbaf[NVME_FLBAS_INDEX(ns->flbas)];
	uint64_t sector = f->lbads >= 9 && f->lbads <= 16 ? 1u << f->lbads : 512;
	uint64_t blocks = le64_get(ns->nsze), used = le64_get(ns->nuse);
	char sn[21], mn[41], fr[9], number[16], usage[72], format[32], a[32], b[32];
	struct json_object *d = json_object_new_object();
	struct {
		char *text;
		size_t len;
	} texts[] = { { sn, sizeof(sn) - 1 }, { mn, sizeof(mn) - 1 }, { fr, sizeof(fr) - 1 } };

	nvp_text(ctrlr->sn, sizeof(ctrlr->sn), sn);
	nvp_text(ctrlr->mn, sizeof(ctrlr->mn), mn);
	nvp_text(ctrlr->fr, sizeof(ctrlr->fr), fr);
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		for (size_t n = strlen(texts[i].text); n && texts[i].text[n - 1] == ' ';)
			texts[i].text[--n] = '\0';
	}
	json_object_object_add(d, "NameSpace", json_object_new_uint64(nsid));
	json_object_object_add(d, "DevicePath", json_object_new_string(path));
	json_object_object_add(d, "Firmware", json_object_new_string(fr));
	json_object_object_add(d, "ModelNumber", json_object_new_string(mn));
	json_object_object_add(d, "SerialNumber", json_object_new_string(sn));
	json_object_object_add(d, "UsedBytes", json_object_new_uint64(used * sector));
	json_object_object_add(d, "MaximumLBA", json_object_new_uint64(blocks));
	json_object_object_add(d, "PhysicalSize", json_object_new_uint64(blocks * sector));
	json_object_object_add(d, "SectorSize", json_object_new_uint64(sector));
	json_object_array_add(l->devices, d);
	snprintf(number, sizeof(number), "%u", nsid);
	snprintf(usage, sizeof(usage), "%s / %s", size_text((double)used * (double)sector, a),
		 size_text((double)blocks * (double)sector, b));
	snprintf(format, sizeof(format), "%" PRIu64 " B + %u B", sector, le16_get(f->ms));
	if (l->table)
		table_row(l->table, path, sn, mn, number, usage, format, fr);
}

/* The namespaces of one controller; @number: of the daemon's; -1: not among them. */
static int list_ctrlr(struct listing *l, struct nvt *t, int number, struct errbuf *eb)
{
	uint32_t list[NVME_NS_LIST_MAX];
	struct nvme_id_ctrlr ctrlr;
	struct nvme_id_ns ns;
	unsigned n = 0;
	int err = nvt_identify(t, NVME_CNS_CTRLR, 0, &ctrlr, eb);

	if (!err)
		err = nvt_ns_list(t, list, &n, eb);
	for (unsigned i = 0; i < n && !err; i++) {
		char path[NVME_ADDRESS_MAX + 16];

		err = nvt_identify(t, NVME_CNS_NS, list[i], &ns, eb);
		if (err)
			break;
		if (number >= 0)
			snprintf(path, sizeof(path), "/dev/nvme%dn%u", number, list[i]);
		else
			snprintf(path, sizeof(path), "%s/%u", nvt_address(t), list[i]);
		list_ns(l, path, list[i], &ctrlr, &ns);
	}
	return err;
}

/* The daemon's, counted as `nvring exec` and the targets count them. */
static int list_held(struct listing *l, struct cli *cli, struct errbuf *eb)
{
	char (*held)[NVME_ADDRESS_MAX] = calloc(NVT_CTRLRS_MAX, sizeof(*held));
	int n = held ? nvt_held(cli, held, eb) : errbuf_set(eb, -ENOMEM, "out of memory"), err = 0;

	/* one that has failed does not hide the others */
	for (int i = 0; i < n; i++) {
		struct nvt *t = NULL;
		struct errbuf why;
		int rc = nvt_open(cli, held[i], &t, &why);

		if (!rc)
			rc = list_ctrlr(l, t, i, &why);
		if (rc && !err)
			err = errbuf_set(eb, rc, "%s", why.text);
		nvt_close(t);
	}
	free(held);
	return n < 0 ? n : err;
}

int cli_nvme_list(struct cli *cli)
{
	struct listing l = { .devices = json_object_new_array() };
	struct json_object *obj;
	struct errbuf eb;
	struct nvv v = { .cli = cli };
	int err;

	if (cli->args[0] && nvv_open(&v, cli)) {
		json_object_put(l.devices);
		return CLI_FAILED;
	}
	v.json = cli->json || (cli_opt(cli, "output-format") &&
			       strcmp(cli_opt(cli, "output-format"), "json") == 0);
	if (!v.json)
		l.table = table_create("Node|SN|Model|Namespace|Usage|Format|FW Rev");
	err = v.t ? list_ctrlr(&l, v.t, -1, &eb) : list_held(&l, cli, &eb);
	nvv_close(&v);
	if (l.table)
		table_print(l.table);
	obj = json_object_new_object();
	json_object_object_add(obj, "Devices", l.devices);
	if (v.json && (!err || json_object_array_length(l.devices)))
		(void)nvv_show_json(obj);
	else
		json_object_put(obj);
	return err ? nvv_fail(&eb) : CLI_OK;
}

/*
 * show-regs
 */

static const struct {
	const char *name;
	uint16_t off;
	uint8_t bytes;
	bool is_optional; /* only with CMB, boot partitions or PMR */
} regs[] = {
	{ "cap", NVME_REG_CAP, 8 },
	{ "vs", NVME_REG_VS, 4 },
	{ "intms", NVME_REG_INTMS, 4 },
	{ "intmc", NVME_REG_INTMC, 4 },
	{ "cc", NVME_REG_CC, 4 },
	{ "csts", NVME_REG_CSTS, 4 },
	{ "nssr", NVME_REG_NSSR, 4 },
	{ "crto", NVME_REG_CRTO, 4 },
	{ "aqa", NVME_REG_AQA, 4 },
	{ "asq", NVME_REG_ASQ, 8 },
	{ "acq", NVME_REG_ACQ, 8 },
	{ "cmbloc", NVME_REG_CMBLOC, 4 },
	{ "cmbsz", NVME_REG_CMBSZ, 4 },
	{ "bpinfo", NVME_REG_BPINFO, 4 },
	{ "bprsel", NVME_REG_BPRSEL, 4 },
	{ "bpmbl", NVME_REG_BPMBL, 8 },
	{ "cmbmsc", NVME_REG_CMBMSC, 8 },
	{ "cmbsts", NVME_REG_CMBSTS, 4 },
	{ "pmrcap", NVME_REG_PMRCAP, 4, true },
	{ "pmrctl", NVME_REG_PMRCAP + 4, 4, true },
	{ "pmrsts", NVME_REG_PMRCAP + 8, 4, true },
	{ "pmrebs", NVME_REG_PMRCAP + 12, 4, true },
	{ "pmrswtp", NVME_REG_PMRCAP + 16, 4, true },
	{ "pmrmscl", NVME_REG_PMRCAP + 20, 4, true },
	{ "pmrmscu", NVME_REG_PMRCAP + 24, 4, true },
};

int cli_nvme_show_regs(struct cli *cli)
{
	struct json_object *obj = json_object_new_object();
	uint64_t cap = 0, value;
	struct errbuf eb;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	for (unsigned i = 0; i < ARRAY_SIZE(regs) && !rc; i++) {
		value = 0;
		if (!regs[i].is_optional || NVME_CAP_PMRS(cap))
			rc = nvt_read_reg(v.t, regs[i].off, regs[i].bytes, &value, &eb) ? nvv_fail(&eb) : 0;
		cap = i ? cap : value;
		if (!v.json && !rc)
			printf("%-7s : %" PRIx64 "\n", regs[i].name, value);
		json_object_object_add(obj, regs[i].name, json_object_new_uint64(value));
	}
	if (v.json && !rc)
		rc = nvv_show_json(json_object_get(obj));
	json_object_put(obj);
	nvv_close(&v);
	return rc;
}
