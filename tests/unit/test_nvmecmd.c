/* SPDX-License-Identifier: BSD-3-Clause */
/* Which admin commands pass, whom they may hurt, and how they travel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tools/shared/b64.h"
#include "tools/shared/nvmecmd.h"

static void each_command_has_its_class(void **state)
{
	static const struct {
		struct nvme_passthru cmd;
		enum nvmecmd_class class;
	} rows[] = {
		{ { .opc = NVME_ADM_IDENTIFY }, NVMECMD_READ },
		{ { .opc = NVME_ADM_GET_LOG_PAGE }, NVMECMD_READ },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_NUM_QUEUES }, NVMECMD_READ },
		{ { .opc = NVME_ADM_SET_FEATURES, .cdw10 = NVME_FEAT_TEMP_THRESH }, NVMECMD_WRITE },
		{ { .opc = NVME_ADM_SET_FEATURES, .cdw10 = NVME_FEAT_SAVE | NVME_FEAT_NUM_QUEUES }, NVMECMD_DENIED },
		{ { .opc = NVME_ADM_SET_FEATURES, .cdw10 = NVME_FEAT_HMB }, NVMECMD_DENIED },
		{ { .opc = NVME_ADM_SET_FEATURES, .cdw10 = NVME_FEAT_WRITE_PROTECT }, NVMECMD_DESTROY },
		{ { .opc = NVME_ADM_CREATE_SQ }, NVMECMD_DENIED },
		{ { .opc = NVME_ADM_DELETE_CQ }, NVMECMD_DENIED },
		{ { .opc = NVME_ADM_ASYNC_EVENT }, NVMECMD_DENIED },
		{ { .opc = NVME_ADM_DBBUF_CONFIG }, NVMECMD_DENIED },
		{ { .opc = NVME_ADM_FORMAT }, NVMECMD_DESTROY },
		{ { .opc = NVME_ADM_SANITIZE }, NVMECMD_DESTROY },
		{ { .opc = NVME_ADM_NS_MGMT }, NVMECMD_WRITE },
		{ { .opc = NVME_ADM_NS_MGMT, .cdw10 = 1 }, NVMECMD_DESTROY },
		{ { .opc = NVME_ADM_NS_ATTACH, .cdw10 = 1 }, NVMECMD_DESTROY },
		{ { .opc = NVME_ADM_FW_COMMIT, .cdw10 = 1 << 3 }, NVMECMD_WRITE },
		{ { .opc = NVME_ADM_FW_COMMIT, .cdw10 = 3 << 3 }, NVMECMD_DESTROY },
		{ { .opc = NVMECMD_FABRICS, .nsid = NVMECMD_PROPERTY_GET }, NVMECMD_READ },
		{ { .opc = NVMECMD_FABRICS, .nsid = 0 }, NVMECMD_DENIED }, /* Property Set */
		{ { .opc = 0xc1 }, NVMECMD_DESTROY },
		{ { .opc = 0x77 }, NVMECMD_DENIED },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *name = NULL;

		assert_int_equal(nvmecmd_classify(&rows[i].cmd, &name), rows[i].class);
		assert_non_null(name);
	}
}

/* Whatever the opcode, nothing but reading passes without consent, and some never does. */
static void consent(void **state)
{
	const struct nvmecmd_allow none = { 0 }, all = { true, true };

	for (unsigned opc = 0; opc < 256; opc++) {
		const struct nvme_passthru cmd = { .opc = (uint8_t)opc, .cdw10 = 1, .data_bytes = 4096 };
		enum nvmecmd_class class = nvmecmd_classify(&cmd, NULL);
		struct errbuf eb = { "" };

		assert_int_equal(nvmecmd_check(&cmd, &none, &eb),
				 class == NVMECMD_READ ? 0 : class == NVMECMD_DENIED ? -EPERM : -EACCES);
		assert_int_equal(eb.text[0] == '\0', class == NVMECMD_READ);
		assert_int_equal(nvmecmd_check(&cmd, &all, &eb), class == NVMECMD_DENIED ? -EPERM : 0);
	}
}

/* A device that is told of more data than there are pages for goes astray. */
static void no_more_data_than_there_is_room(void **state)
{
	const struct nvmecmd_allow all = { true, true };
	struct {
		struct nvme_passthru cmd;
		uint32_t bytes; /* the fewest that are enough */
	} rows[] = {
		{ { .opc = NVME_ADM_IDENTIFY }, 4096 },
		{ { .opc = NVME_ADM_GET_LOG_PAGE, .cdw10 = 127u << 16 | 2 }, 512 },
		{ { .opc = NVME_ADM_GET_LOG_PAGE, .cdw10 = 0xffffu << 16 | 7, .cdw11 = 1 }, 512 * 1024 },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_APST }, 256 },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_APST | NVME_FEAT_SEL(3) }, 0 },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_HMB }, 4096 },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_HOST_ID }, 8 },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_HOST_ID, .cdw11 = 1 }, 16 },
		{ { .opc = NVME_ADM_GET_FEATURES, .cdw10 = NVME_FEAT_TEMP_THRESH }, 0 },
		{ { .opc = NVME_ADM_SET_FEATURES, .cdw10 = NVME_FEAT_SAVE | NVME_FEAT_TIMESTAMP }, 8 },
		{ { .opc = NVME_ADM_NS_MGMT }, 4096 },
		{ { .opc = NVME_ADM_NS_MGMT, .cdw10 = 1 }, 0 },
		{ { .opc = NVME_ADM_NS_ATTACH, .cdw10 = 1 }, 4096 },
		{ { .opc = NVME_ADM_FW_DOWNLOAD, .cdw10 = 1023 }, 4096 },
		{ { .opc = NVME_ADM_SECURITY_RECV, .cdw11 = 513 }, 513 },
		{ { .opc = NVME_ADM_GET_LBA_STATUS, .cdw12 = 31 }, 128 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct errbuf eb = { "" };

		rows[i].cmd.data_bytes = rows[i].bytes;
		assert_int_equal(nvmecmd_check(&rows[i].cmd, &all, &eb), 0);
		if (!rows[i].bytes)
			continue;
		rows[i].cmd.data_bytes--;
		assert_int_equal(nvmecmd_check(&rows[i].cmd, &all, &eb), -EINVAL);
		assert_non_null(strstr(eb.text, "too short"));
	}
}

static void victims(void **state)
{
	const struct nvme_passthru format = { .opc = NVME_ADM_FORMAT, .nsid = 3 };
	const struct nvme_passthru erase = { .opc = NVME_ADM_FORMAT, .nsid = 3, .cdw10 = 1 << 9 };
	const struct nvme_passthru delete = { .opc = NVME_ADM_NS_MGMT, .nsid = 2, .cdw10 = 1 };
	const struct nvme_passthru sanitize = { .opc = NVME_ADM_SANITIZE, .nsid = 1 };

	assert_int_equal(nvmecmd_victim(&format, 0), 3);
	assert_int_equal(nvmecmd_victim(&format, 1), NVME_NSID_ALL);
	assert_int_equal(nvmecmd_victim(&format, 2), 3);
	assert_int_equal(nvmecmd_victim(&erase, 2), NVME_NSID_ALL);
	assert_int_equal(nvmecmd_victim(&delete, 0), 2);
	assert_int_equal(nvmecmd_victim(&sanitize, 0), NVME_NSID_ALL);
}

static void a_command_survives_the_journey(void **state)
{
	const struct nvme_passthru cmd = {
		.opc = 0x06, .nsid = 1, .cdw2 = 2, .cdw3 = 3, .cdw10 = 10, .cdw11 = 11,
		.cdw12 = 12, .cdw13 = 13, .cdw14 = 14, .cdw15 = 0xdeadbeef,
	};
	struct nvme_passthru back;
	struct nvme_sqe sqe, again;

	nvmecmd_to_sqe(&cmd, &sqe);
	nvmecmd_from_sqe(&sqe, &back);
	assert_int_equal(back.opc, cmd.opc);
	assert_int_equal(back.cdw2, cmd.cdw2);
	assert_int_equal(back.cdw15, cmd.cdw15);
	nvmecmd_to_sqe(&back, &again);
	assert_memory_equal(&sqe, &again, sizeof(sqe));
}

static void base64url(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "\xfb\xef\xff", "--__" },
	};
	static const char *const bad[] = { "A", "AAAAA", "A A=", "\xc3\xa4==", "AA=A", "=AAA", "AA===" };
	char text[32];
	uint8_t buf[32];
	size_t n;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].bytes), chars = strlen(rows[i].text);

		b64_encode(rows[i].bytes, len, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(b64_decode(text, chars, buf, sizeof(buf), &n), 0);
		assert_int_equal(n, len);
		assert_memory_equal(buf, rows[i].bytes, len);
		if (len)
			assert_int_equal(b64_decode(text, chars, buf, len - 1, &n), -ENOSPC);
	}
	assert_int_equal(b64_decode("Zm8", 3, buf, sizeof(buf), &n), 0); /* no padding */
	assert_int_equal(b64_decode("++//", 4, buf, sizeof(buf), &n), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(b64_decode(bad[i], strlen(bad[i]), buf, sizeof(buf), &n), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_has_its_class),
		cmocka_unit_test(consent),
		cmocka_unit_test(no_more_data_than_there_is_room),
		cmocka_unit_test(victims),
		cmocka_unit_test(a_command_survives_the_journey),
		cmocka_unit_test(base64url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
