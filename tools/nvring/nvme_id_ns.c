/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify Namespace, NVM 4.1.5.1, figure 97. */
#include "core/base/cc.h"
#include "tools/nvring/nvp.h"

#define NSFEAT	       24
#define NSFEAT_OPTPERF 4 /* a bit: NPWG and its like are there */
#define LBAF_MAX       64

static const struct nvp_field fields[] = {
	NVP_FIELD("nsze", 0, 8, NVP_HEX),
	NVP_FIELD("ncap", 8, 8, NVP_HEX),
	NVP_FIELD("nuse", 16, 8, NVP_HEX),
	NVP_FIELD("nsfeat", NSFEAT, 1, NVP_HEX),
	NVP_FIELD("nlbaf", 25, 1, NVP_DEC),
	NVP_FIELD("flbas", 26, 1, NVP_HEX),
	NVP_FIELD("mc", 27, 1, NVP_HEX),
	NVP_FIELD("dpc", 28, 1, NVP_HEX),
	NVP_FIELD("dps", 29, 1, NVP_HEX),
	NVP_FIELD("nmic", 30, 1, NVP_HEX),
	NVP_FIELD("rescap", 31, 1, NVP_HEX),
	NVP_FIELD("fpi", 32, 1, NVP_HEX),
	NVP_FIELD("dlfeat", 33, 1, NVP_DEC),
	NVP_FIELD("nawun", 34, 2, NVP_DEC),
	NVP_FIELD("nawupf", 36, 2, NVP_DEC),
	NVP_FIELD("nacwu", 38, 2, NVP_DEC),
	NVP_FIELD("nabsn", 40, 2, NVP_DEC),
	NVP_FIELD("nabo", 42, 2, NVP_DEC),
	NVP_FIELD("nabspf", 44, 2, NVP_DEC),
	NVP_FIELD("noiob", 46, 2, NVP_DEC),
	NVP_FIELD("nvmcap", 48, 16, NVP_DEC),
	NVP_FIELD("nsattr", 99, 1, NVP_DEC),
	NVP_FIELD("nvmsetid", 100, 2, NVP_DEC),
	NVP_WHEN("npwg", 64, 2, NVP_DEC, NSFEAT, NSFEAT_OPTPERF),
	NVP_WHEN("npwa", 66, 2, NVP_DEC, NSFEAT, NSFEAT_OPTPERF),
	NVP_WHEN("npdg", 68, 2, NVP_DEC, NSFEAT, NSFEAT_OPTPERF),
	NVP_WHEN("npda", 70, 2, NVP_DEC, NSFEAT, NSFEAT_OPTPERF),
	NVP_WHEN("nows", 72, 2, NVP_DEC, NSFEAT, NSFEAT_OPTPERF),
	NVP_FIELD("mssrl", 74, 2, NVP_DEC),
	NVP_FIELD("mcl", 76, 4, NVP_DEC),
	NVP_FIELD("msrc", 80, 1, NVP_DEC),
	NVP_FIELD("nulbaf", 82, 1, NVP_DEC),
	NVP_FIELD("anagrpid", 92, 4, NVP_DEC),
	NVP_FIELD("endgid", 102, 2, NVP_DEC),
	NVP_FIELD("eui64", 120, 8, NVP_BYTES),
	NVP_FIELD("nguid", 104, 16, NVP_BYTES),
};

static const struct nvp_field format_fields[] = {
	NVP_FIELD("ms", 0, 2, NVP_DEC),
	NVP_LABEL("ds", 2, 1, NVP_DEC, "lbads"),
	NVP_FIELD("rp", 3, 1, NVP_HEX),
};

/* NLBAF is 0's based. */
static unsigned formats(const uint8_t *page, size_t len)
{
	unsigned n = len > 25 ? page[25] + 1u : 0;

	return CC_MIN(n, (unsigned)LBAF_MAX);
}

static const struct nvp_group groups[] = {
	{ .key = "lbafs", .title = "lbaf", .off = 128, .stride = 4, .fields = format_fields,
	  .nfields = ARRAY_SIZE(format_fields), .in_line = true, .count = formats },
};

const struct nvp_page nvp_id_ns = {
	.fields = fields,
	.nfields = ARRAY_SIZE(fields),
	.groups = groups,
	.ngroups = ARRAY_SIZE(groups),
	.label_width = 8,
};
