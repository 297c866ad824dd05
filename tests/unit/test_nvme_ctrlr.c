/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a controller against the fake one, with every fault: each gives one clear line, and
 * nothing is left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"
#include "tests/unit/fake_nvme.h"

#define BLOCKS 2048u

/* For what is to end by time alone; all else may take as long as it takes on a machine that is
 * busy. */
static const struct nvme_ctrlr_opts quick = { .admin_timeout_ms = 300, .io_timeout_ms = 300 },
				    usual = { 0 };

static void plain(struct fake_nvme *f)
{
}

static void never_ready(struct fake_nvme *f)
{
	f->never_ready = true;
	f->cap_to = 4;
}

static void cfs(struct fake_nvme *f)
{
	f->never_ready = true;
	f->cfs_at_enable = true;
}

static void was_running(struct fake_nvme *f)
{
	f->regs[NVME_REG_CC / 4] = NVME_CC_EN | NVME_CC_IOSQES(6) | NVME_CC_IOCQES(4);
	f->regs[NVME_REG_CSTS / 4] = NVME_CSTS_RDY;
	f->was_enabled = true;
}

static void never_stops(struct fake_nvme *f)
{
	f->never_stops = true;
	f->no_reset = true;
	f->cap_to = 4;
	was_running(f);
}

static void gone(struct fake_nvme *f)
{
	f->is_gone = true;
}

static void one_entry(struct fake_nvme *f)
{
	f->mqes = 0;
}

static void large_pages(struct fake_nvme *f)
{
	f->cap_extra = 1ull << 48;
}

static void far_doorbells(struct fake_nvme *f)
{
	f->cap_extra = 15ull << 32;
}

static void silent_identify(struct fake_nvme *f)
{
	f->rules[0] = (struct fake_nvme_rule){
		.is_admin = true, .opc = NVME_ADM_IDENTIFY, .count = 1, .deed = FAKE_NVME_SILENT
	};
}

static void bad_identify(struct fake_nvme *f)
{
	f->rules[0] = (struct fake_nvme_rule){ .is_admin = true,
					       .opc = NVME_ADM_IDENTIFY,
					       .count = 1,
					       .deed = FAKE_NVME_STATUS,
					       .status = NVME_SC_INTERNAL };
}

static void bad_cid(struct fake_nvme *f)
{
	f->rules[0] = (struct fake_nvme_rule){
		.is_admin = true, .opc = NVME_ADM_IDENTIFY, .count = 1, .deed = FAKE_NVME_BAD_CID
	};
}

static void free_cid(struct fake_nvme *f)
{
	f->rules[0] = (struct fake_nvme_rule){
		.is_admin = true, .opc = NVME_ADM_IDENTIFY, .count = 1, .deed = FAKE_NVME_FREE_CID
	};
}

static void vanishes(struct fake_nvme *f)
{
	f->rules[0] = (struct fake_nvme_rule){
		.is_admin = true, .opc = NVME_ADM_IDENTIFY, .count = 1, .deed = FAKE_NVME_VANISH
	};
}

static void no_queues(struct fake_nvme *f)
{
	f->rules[0] = (struct fake_nvme_rule){ .is_admin = true,
					       .opc = NVME_ADM_SET_FEATURES,
					       .count = 1,
					       .deed = FAKE_NVME_STATUS,
					       .status = NVME_SC_INVALID_FIELD };
}

static void large_entries(struct fake_nvme *f)
{
	f->sqes = 0x77;
}

static void mapped(struct fake_nvme *f)
{
	f->is_mapped = true;
}

static void no_shutdown(struct fake_nvme *f)
{
	f->no_shutdown = true;
}

static const struct life {
	const char *what;
	void (*make)(struct fake_nvme *f);
	int err;
	const char *why;
} lives[] = {
	{ "plain", plain, 0, NULL },
	{ "mapped", mapped, 0, NULL },
	{ "was running", was_running, 0, NULL },
	{ "never ready", never_ready, -ETIMEDOUT, "has not become ready within 2000 ms" },
	{ "fatal status", cfs, -EIO, "CSTS.CFS" },
	{ "never stops", never_stops, -ETIMEDOUT, "has not stopped within" },
	{ "gone", gone, -ENODEV, "the device has gone" },
	{ "queues of one entry", one_entry, -EPROTO, "CAP.MQES" },
	{ "large pages", large_pages, -ENOTSUP, "8 KiB" },
	{ "far doorbells", far_doorbells, -EPROTO, "CAP.DSTRD" },
	{ "identify without answer", silent_identify, -ETIMEDOUT, "Identify: no answer in time" },
	{ "identify with an error", bad_identify, -EIO, "Identify: internal error (status 0x6)" },
	{ "an id that does not exist", bad_cid, -EPROTO, "answers what was not asked" },
	{ "an id that is not under way", free_cid, -EPROTO, "answers what was not asked" },
	{ "vanishes", vanishes, -ETIMEDOUT, "Identify: no answer in time" },
	{ "gives no queues", no_queues, -EINVAL, "Set Features: invalid field" },
	{ "large entries", large_entries, -EPROTO, "SQES 0x77" },
};

static void each_life_ends_clean(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(lives); i++) {
		const struct life *l = &lives[i];
		struct errbuf eb = { "" };
		struct nvme_ctrlr *c = NULL;
		struct fake_nvme f;
		int err;

		fake_nvme_init(&f, BLOCKS);
		l->make(&f);
		fake_nvme_start(&f);
		err = nvme_ctrlr_open(&f.hw, l->err == -ETIMEDOUT ? &quick : &usual, &c, &eb);
		if (err != l->err || (err && !strstr(eb.text, l->why)))
			fail_msg("%s: %d, %s", l->what, err, eb.text);
		if (err) {
			assert_null(c);
			assert_non_null(strstr(eb.text, "fake0: "));
		} else {
			assert_int_equal(nvme_ctrlr_state(c), NVME_CTRLR_READY);
			assert_string_equal(nvme_ctrlr_name(c), "fake0");
			nvme_ctrlr_close(c);
			assert_int_equal(f.nshutdowns, 1);
		}
		assert_int_equal(fake_nvme_fini(&f), 0);
		assert_int_equal(dma_region_count(), 0);
	}
}

/* An open controller, without a keeper. */
struct open {
	struct fake_nvme f;
	struct nvme_ctrlr *c;
};

static struct open *open_it(void (*make)(struct fake_nvme *f))
{
	struct open *o = calloc(1, sizeof(*o));
	struct errbuf eb = { "" };

	fake_nvme_init(&o->f, BLOCKS);
	make(&o->f);
	fake_nvme_start(&o->f);
	if (nvme_ctrlr_open(&o->f.hw, &usual, &o->c, &eb))
		fail_msg("%s", eb.text);
	return o;
}

static void close_it(struct open *o)
{
	nvme_ctrlr_close(o->c);
	assert_int_equal(fake_nvme_fini(&o->f), 0);
	assert_int_equal(dma_region_count(), 0);
	free(o);
}

static void a_shutdown_without_answer_ends_in_time(void **state)
{
	uint64_t before = mono_ns();

	close_it(open_it(no_shutdown));
	assert_true(mono_ns() - before <
		    30 * MONO_NS_PER_SEC); /* no measurement: it ended at all */
}

static void passthru_carries_data_both_ways(void **state)
{
	struct open *o = open_it(plain);
	struct nvme_id_ctrlr id;
	struct nvme_passthru cmd = { .opc = NVME_ADM_IDENTIFY,
				     .cdw10 = NVME_CNS_CTRLR,
				     .data = &id,
				     .data_bytes = sizeof(id) };
	static const uint8_t refused[] = { NVME_ADM_CREATE_SQ, NVME_ADM_DELETE_CQ,
					   NVME_ADM_ASYNC_EVENT };
	struct nvme_id_ctrlr own;
	uint64_t value;

	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), 0);
	assert_int_equal(cmd.status, 0);
	assert_memory_equal(id.sn, "FAKE1 ", 6);
	nvme_ctrlr_get_id(o->c, &own);
	assert_memory_equal(&id, &own, sizeof(id));
	cmd = (struct nvme_passthru){ .opc = 0xc1 };
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), 0);
	assert_int_equal(NVME_STATUS_CODE(cmd.status), NVME_SC_INVALID_OPCODE);
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		cmd = (struct nvme_passthru){ .opc = refused[i] };
		assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), -EPERM);
	}
	cmd = (struct nvme_passthru){ .opc = NVME_ADM_IDENTIFY,
				      .data = &id,
				      .data_bytes = 1u << 20 };
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), -EINVAL);
	assert_int_equal(nvme_ctrlr_read_reg(o->c, NVME_REG_CAP, 8, &value), 0);
	assert_int_equal(NVME_CAP_MQES(value), 1023);
	assert_int_equal(nvme_ctrlr_read_reg(o->c, NVME_REG_VS, 4, &value), 0);
	assert_int_equal(value, NVME_VS(1, 4, 0));
	assert_int_equal(nvme_ctrlr_read_reg(o->c, NVME_REG_DOORBELLS, 4, &value), -EINVAL);
	assert_int_equal(nvme_ctrlr_read_reg(o->c, 2, 4, &value), -EINVAL);
	close_it(o);
}

/* The answer of a command that was given up may still come, and must find nobody else's data. */
static void a_command_given_up_keeps_its_data(void **state)
{
	struct open *o = open_it(plain);
	struct nvme_id_ctrlr id;
	struct nvme_passthru cmd = { .opc = NVME_ADM_IDENTIFY,
				     .cdw10 = NVME_CNS_CTRLR,
				     .data = &id,
				     .data_bytes = sizeof(id),
				     .timeout_ms = 300 };
	struct nvme_passthru bare = { .opc = 0xc0 };

	fake_nvme_rule(&o->f, (struct fake_nvme_rule){ .is_admin = true,
						       .opc = NVME_ADM_IDENTIFY,
						       .count = 1,
						       .deed = FAKE_NVME_SILENT });
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), -ETIMEDOUT);
	cmd.timeout_ms = 0;
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), -EBUSY);
	assert_int_equal(nvme_ctrlr_passthru(o->c, &bare), 0); /* without data it goes on */
	fake_nvme_release(&o->f);
	for (unsigned i = 0; i < 1000 && nvme_ctrlr_passthru(o->c, &cmd) == -EBUSY; i++)
		assert_int_equal(nvme_ctrlr_passthru(o->c, &bare), 0);
	assert_int_equal(cmd.status, 0);
	close_it(o);
}

/* Not the hour that the sender would wait. */
static void in_a_hurry_the_default_is_the_limit(void **state)
{
	struct open *o = open_it(plain);
	struct nvme_passthru cmd = { .opc = 0xc0, .timeout_ms = 3600 * 1000 };

	nvme_ctrlr_hurry(o->c);
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), 0);
	fake_nvme_rule(&o->f, (struct fake_nvme_rule){ .is_admin = true, .opc = 0xc0, .count = 1, .deed = FAKE_NVME_SILENT });
	__atomic_store_n(&o->c->admin.timeout_ms, 300, __ATOMIC_RELAXED);
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), -ETIMEDOUT);
	close_it(o);
}

static void a_reset_brings_it_back(void **state)
{
	struct open *o = open_it(plain);
	struct nvme_passthru cmd = { .opc = 0xc0 };
	struct errbuf eb = { "" };

	assert_int_equal(nvme_ctrlr_reset(o->c, false, &eb), 0);
	assert_int_equal(nvme_ctrlr_state(o->c), NVME_CTRLR_READY);
	assert_int_equal(o->f.nenables, 2);
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), 0);
	assert_int_equal(nvme_ctrlr_reset(o->c, true, &eb), -ENOTSUP);
	assert_non_null(strstr(eb.text, "CAP.NSSRS"));
	close_it(o);
}

static void with_subsystem_reset(struct fake_nvme *f)
{
	f->cap_extra = 1ull << 36;
}

static void a_subsystem_reset_where_offered(void **state)
{
	struct open *o = open_it(with_subsystem_reset);
	struct errbuf eb = { "" };

	assert_int_equal(nvme_ctrlr_reset(o->c, true, &eb), 0);
	assert_int_equal(o->f.nresets, 1);
	assert_int_equal(nvme_ctrlr_state(o->c), NVME_CTRLR_READY);
	close_it(o);
}

static void a_reset_that_fails_is_the_end(void **state)
{
	struct open *o = open_it(plain);
	struct nvme_passthru cmd = { .opc = 0xc0 };
	struct errbuf eb = { "" };
	uint64_t value;

	fake_nvme_never_ready(&o->f);
	assert_int_equal(nvme_ctrlr_reset(o->c, false, &eb), -ETIMEDOUT);
	assert_non_null(strstr(eb.text, "become ready"));
	assert_int_equal(nvme_ctrlr_state(o->c), NVME_CTRLR_FAILED);
	assert_int_equal(nvme_ctrlr_passthru(o->c, &cmd), -ENODEV);
	assert_int_equal(nvme_ctrlr_reset(o->c, false, &eb), -ENODEV);
	assert_int_equal(nvme_ctrlr_read_reg(o->c, NVME_REG_VS, 4, &value), -ENODEV);
	assert_int_equal(o->f.nclosed, 1); /* given back at once: it reaches nothing any more */
	close_it(o);
}

static void another_serial(struct fake_nvme *f, uint8_t cns, uint32_t nsid, uint8_t *page)
{
	if (cns == NVME_CNS_CTRLR && f->nenables > 1)
		((struct nvme_id_ctrlr *)(void *)page)->sn[0] = 'X';
}

static void swaps(struct fake_nvme *f)
{
	f->lie = another_serial;
}

static void another_device_after_the_reset_is_refused(void **state)
{
	struct open *o = open_it(swaps);
	struct errbuf eb = { "" };

	assert_int_equal(nvme_ctrlr_reset(o->c, false, &eb), -ENODEV);
	assert_non_null(strstr(eb.text, "XAKE1"));
	assert_int_equal(nvme_ctrlr_state(o->c), NVME_CTRLR_FAILED);
	close_it(o);
}

/* Doorbells keep the places that they were given: queues and shadow pages are made for them. */
static void doorbells_that_move_in_a_reset_are_refused(void **state)
{
	struct open *o = open_it(plain);
	struct errbuf eb = { "" };

	o->f.regs[NVME_REG_CAP / 4 + 1] |= 1; /* CAP.DSTRD */
	assert_int_equal(nvme_ctrlr_reset(o->c, false, &eb), -EPROTO);
	assert_non_null(strstr(eb.text, "CAP.DSTRD"));
	assert_int_equal(nvme_ctrlr_state(o->c), NVME_CTRLR_FAILED);
	close_it(o);
}

static void wants_memory(struct fake_nvme *f)
{
	f->hmpre = 2048; /* 8 MiB */
}

static void host_memory_is_lent_until_the_end(void **state)
{
	struct open *o = open_it(wants_memory);
	struct errbuf eb = { "" };

	assert_true(o->f.hmb_on);
	assert_int_equal(nvme_ctrlr_reset(o->c, false, &eb), 0);
	assert_int_equal(o->f.nhmb, 2);
	close_it(o);
}

static void peek_reads_blocks(void **state)
{
	struct open *o = open_it(plain);
	static uint8_t buf[300 * 1024];

	for (unsigned i = 0; i < sizeof(buf); i++)
		o->f.ns[0].data[i] = (uint8_t)(i * 7 + i / 4096);
	assert_int_equal(nvme_bdev_peek(o->c, 1, 0, buf, 512), 0);
	assert_memory_equal(buf, o->f.ns[0].data, 512);
	assert_int_equal(nvme_bdev_peek(o->c, 1, 1024, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, o->f.ns[0].data + 1024, sizeof(buf));
	assert_int_equal(nvme_bdev_peek(o->c, 1, 100, buf, 512), -EINVAL);
	assert_int_equal(nvme_bdev_peek(o->c, 1, BLOCKS * 512, buf, 512), -EINVAL);
	assert_int_equal(nvme_bdev_peek(o->c, 2, 0, buf, 512), -ENODEV);
	close_it(o);
}

static void large_blocks(struct fake_nvme *f)
{
	f->mdts = 1; /* 8 KiB */
	f->ns[0].shift = 14;
}

static void peek_needs_a_transfer_of_a_block(void **state)
{
	struct open *o = open_it(large_blocks);
	static uint8_t buf[16384];

	assert_int_equal(nvme_bdev_peek(o->c, 1, 0, buf, sizeof(buf)), -ENOTSUP);
	assert_int_equal(o->f.nreads, 0);
	close_it(o);
}

static void compare_verify_and_copy(void **state)
{
	struct open *o = open_it(plain);
	struct nvme_copy_range from = { .slba = le64_make(8), .nlb = le16_make(7) };
	struct nvme_passthru cmd;
	uint8_t buf[4096];

	for (unsigned i = 0; i < sizeof(buf); i++)
		o->f.ns[0].data[4096 + i] = buf[i] = (uint8_t)(i * 13);
	/* eight blocks at block 8 */
	cmd = (struct nvme_passthru){ .opc = NVME_NVM_COMPARE, .nsid = 1, .cdw10 = 8, .cdw12 = 7,
				      .data = buf, .data_bytes = sizeof(buf) };
	assert_int_equal(nvme_ctrlr_io_passthru(o->c, &cmd), 0);
	assert_int_equal(cmd.status, 0);
	buf[4095] ^= 1;
	assert_int_equal(nvme_ctrlr_io_passthru(o->c, &cmd), 0);
	assert_int_equal(NVME_STATUS_CODE(cmd.status), NVME_SC_COMPARE_FAILED);
	cmd = (struct nvme_passthru){ .opc = NVME_NVM_VERIFY, .nsid = 1, .cdw10 = 8, .cdw12 = 7 };
	assert_int_equal(nvme_ctrlr_io_passthru(o->c, &cmd), 0);
	assert_int_equal(cmd.status, 0);
	cmd.cdw10 = BLOCKS;
	assert_int_equal(nvme_ctrlr_io_passthru(o->c, &cmd), 0);
	assert_int_equal(NVME_STATUS_CODE(cmd.status), NVME_SC_LBA_RANGE);
	cmd = (struct nvme_passthru){ .opc = NVME_NVM_COPY, .nsid = 1, .cdw10 = 100, .data = &from,
				      .data_bytes = sizeof(from) };
	assert_int_equal(nvme_ctrlr_io_passthru(o->c, &cmd), 0);
	assert_int_equal(cmd.status, 0);
	assert_memory_equal(o->f.ns[0].data + 4096, o->f.ns[0].data + 100 * 512, 4096);
	close_it(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_life_ends_clean),
		cmocka_unit_test(a_shutdown_without_answer_ends_in_time),
		cmocka_unit_test(passthru_carries_data_both_ways),
		cmocka_unit_test(a_command_given_up_keeps_its_data),
		cmocka_unit_test(in_a_hurry_the_default_is_the_limit),
		cmocka_unit_test(a_reset_brings_it_back),
		cmocka_unit_test(a_subsystem_reset_where_offered),
		cmocka_unit_test(a_reset_that_fails_is_the_end),
		cmocka_unit_test(another_device_after_the_reset_is_refused),
		cmocka_unit_test(doorbells_that_move_in_a_reset_are_refused),
		cmocka_unit_test(host_memory_is_lent_until_the_end),
		cmocka_unit_test(peek_reads_blocks),
		cmocka_unit_test(peek_needs_a_transfer_of_a_block),
		cmocka_unit_test(compare_verify_and_copy),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
