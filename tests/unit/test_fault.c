/* SPDX-License-Identifier: BSD-3-Clause */
/* The fault device: rules as text, and each thing that may go wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/fault/faultb.h"
#include "tests/unit/disk_rig.h"

#define DISK (1u << 20)

static struct disk_rig rig;
static char a[DISK], b[DISK];

static int set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_fini(&rig);
	return 0;
}

static void open_with(const char *rules)
{
	char uri[512];

	(void)snprintf(uri, sizeof(uri), "fault:%s@ram:1M", rules);
	rig_open(&rig, uri);
}

static void set_rules(const char *rules)
{
	struct errbuf eb;

	if (faultb_set_rules(rig.bdev, rules, &eb))
		fail_msg("%s", eb.text);
	rig_turn(&rig, 4);
}

static void good_rules(void **state)
{
	static const char *const cases[] = {
		"",
		"error=EIO",
		"drop",
		"path",
		"op=write,for=1500ms,path,delay=2ms",
		"after=3,for=3600s,error=ENODEV,path",
		"delay=0ns",
		"torn=0",
		"op=write,torn=4K,error=EIO",
		"op=write,range=1M-2M,p=0.1,seed=7,error=EIO;op=read,delay=5ms",
		"op=read+write+flush+discard+zeroes,drop",
		"range=0-,error=ENOSPC",
		"range=4096-4097,error=ENOSPC",
		"p=0,drop",
		"p=1,drop",
		"p=100%,drop",
		"p=12.5%,drop",
		"p=0.123456789,drop",
		"every=3,first=2,after=7,delay=3s,error=ETIMEDOUT",
		"delay=3600s",
		"delay=3600000000000ns",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errbuf eb = { "" };

		if (faultb_check(cases[i], &eb))
			fail_msg("'%s': %s", cases[i], eb.text);
	}
}

static void bad_rules(void **state)
{
	static const struct {
		const char *rules, *says;
	} cases[] = {
		{ ";", "unknown part ''" },
		{ ",", "unknown part ''" },
		{ "error=EIO;", "unknown part ''" },
		{ "error=EIO,", "unknown part ''" },
		{ "oops=1", "unknown part 'oops' (known: op, range, " },
		{ "op=read", "without effect" },
		{ "op=read;error=EIO", "without effect" },
		{ "op=,drop", "bad part 'op='" },
		{ "op,drop", "bad part 'op'" },
		{ "op=read+,drop", "bad part 'op=read+'" },
		{ "op=erase,drop", "bad part 'op=erase'" },
		{ "op=read,op=read,drop", "'op' is given twice" },
		{ "error=EPERM", "bad part 'error=EPERM' (errors: EIO, ENOSPC, " },
		{ "error=5", "bad part" },
		{ "error", "bad part" },
		{ "drop=1", "'drop' takes no value" },
		{ "drop,error=EIO", "drop goes with neither" },
		{ "drop,torn=1", "drop goes with neither" },
		{ "path,drop", "drop goes with neither" },
		{ "path,torn=1", "path does not go with torn" },
		{ "path=1", "'path' takes no value" },
		{ "for=1s", "without effect" },
		{ "for=0,path", "bad part 'for=0'" },
		{ "for=0s,path", "bad part 'for=0s'" },
		{ "for=5,path", "bad part 'for=5'" },
		{ "for=2h,path", "bad part 'for=2h'" },
		{ "op=read,torn=1", "torn is for op=write alone" },
		{ "op=any,torn=1", "torn is for op=write alone" },
		{ "torn=-1", "bad part" },
		{ "range=1M,drop", "bad part" },
		{ "range=2M-1M,drop", "bad part" },
		{ "range=1M-1M,drop", "bad part" },
		{ "range=-1M,drop", "bad part" },
		{ "range=1-2-3,drop", "bad part" },
		{ "p=1.1,drop", "bad part" },
		{ "p=101%,drop", "bad part" },
		{ "p=.5,drop", "bad part" },
		{ "p=1.,drop", "bad part" },
		{ "p=-0.5,drop", "bad part" },
		{ "p=0.1234567890,drop", "bad part" },
		{ "p=%,drop", "bad part" },
		{ "p=99999999999999999999,drop", "bad part" },
		{ "every=0,drop", "bad part" },
		{ "every=1K,drop", "bad part" },
		{ "first=x,drop", "bad part" },
		{ "delay=5", "bad part" },
		{ "delay=ms", "bad part" },
		{ "delay=5min", "bad part" },
		{ "delay=3601s", "bad part" },
		{ "delay=99999999999999999s", "bad part" },
		{ "delay=5msmsmsmsms", "bad part" },
		{ "seed=0123456789012345678901234567890123456789012345678901234567890123456789",
		  "too long" },
		{ " drop", "unknown part ' drop'" },
	};
	char many[FAULTB_RULES_MAX * 8 + 16] = "drop";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errbuf eb = { "" };

		if (faultb_check(cases[i].rules, &eb) != -EINVAL || !strstr(eb.text, cases[i].says))
			fail_msg("'%s': '%s'", cases[i].rules, eb.text);
		assert_int_equal(faultb_check(cases[i].rules, NULL), -EINVAL);
	}
	for (unsigned i = 1; i < FAULTB_RULES_MAX; i++)
		memcpy(many + strlen(many), ";drop", 6);
	assert_int_equal(faultb_check(many, NULL), 0);
	memcpy(many + strlen(many), ";drop", 6);
	assert_int_equal(faultb_check(many, NULL), -EINVAL);
}

static void random_rules(void **state)
{
	static const char *const words[] = { "op",    "=",     "read", "write", "+",	"range",
					     "-",     "1M",    "2M",   ",",	";",	"p",
					     "0.5",   "%",     "seed", "7",	"drop", "torn",
					     "4K",    "error", "EIO",  "delay", "ms",	"every",
					     "first", "after", "\xff" };
	unsigned seed = 1;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		char *text = calloc(1, 128);
		int err;

		assert_non_null(text);
		for (unsigned i = 0, len = (unsigned)rand_r(&seed) % 12; i < len; i++) {
			const char *w = words[(size_t)rand_r(&seed) % ARRAY_SIZE(words)];

			memcpy(text + strlen(text), w, strlen(w) + 1);
		}
		err = faultb_check(text, NULL);
		assert_true(err == 0 || err == -EINVAL);
		free(text);
	}
}

static void no_rules_pass_everything(void **state)
{
	(void)state;
	open_with("");
	assert_int_equal(bdev_bytes(rig.bdev), DISK);
	rig_model(&rig, 1, 200);
	rig_close(&rig);
}

static void limits_are_the_lower_device_s(void **state)
{
	struct errbuf eb = { "" };

	(void)state;
	rig_open(&rig, "fault:delay=1us@null:1M?block=4096&depth=3");
	assert_int_equal(rig.bdev->lim.block_bytes, 4096);
	assert_int_equal(rig.bdev->lim.depth, 3);
	assert_int_equal(rig_resize(&rig, 8192, &eb), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 8192);
	assert_int_equal(rig_rw(&rig, BIO_READ, 8192, a, 4096), -EINVAL);
	assert_int_equal(rig_resize(&rig, 1 << 20, &eb), 0);
	assert_int_equal(rig_rw(&rig, BIO_READ, (1 << 20) - 4096, a, 4096), 0);
	rig_close(&rig);
	open_with("");
	assert_int_equal(rig_resize(&rig, 8192, &eb), -EOPNOTSUPP);
	assert_non_null(strstr(eb.text, "fixed size"));
	rig_close(&rig);
}

static void errors_by_operation_and_range(void **state)
{
	static const struct {
		const char *rules;
		enum bio_op op;
		uint64_t off, len;
		int want;
	} cases[] = {
		{ "op=read,error=EIO", BIO_READ, 0, 512, -EIO },
		{ "op=read,error=EIO", BIO_WRITE, 0, 512, 0 },
		{ "op=write+discard,error=ENOSPC", BIO_WRITE, 0, 512, -ENOSPC },
		{ "op=write+discard,error=ENOSPC", BIO_DISCARD, 0, 512, -ENOSPC },
		{ "op=write+discard,error=ENOSPC", BIO_WRITE_ZEROES, 0, 512, 0 },
		{ "op=zeroes,error=EILSEQ", BIO_WRITE_ZEROES, 0, 512, -EILSEQ },
		{ "op=any,error=EIO", BIO_DISCARD, 0, 512, -EIO },
		{ "error=EIO", BIO_READ, 0, 512, -EIO },
		{ "range=4096-8192,error=EIO", BIO_READ, 0, 4096, 0 },
		{ "range=4096-8192,error=EIO", BIO_READ, 0, 4608, -EIO },
		{ "range=4096-8192,error=EIO", BIO_READ, 7680, 512, -EIO },
		{ "range=4096-8192,error=EIO", BIO_READ, 8192, 512, 0 },
		{ "range=4096-8192,error=EIO", BIO_READ, 0, 65536, -EIO },
		{ "range=512K-,error=EIO", BIO_READ, DISK - 512, 512, -EIO },
		{ "range=512K-,error=EIO", BIO_READ, 0, 512, 0 },
		/* The first rule that fires decides. */
		{ "op=read,error=EIO;error=ENOSPC", BIO_READ, 0, 512, -EIO },
		{ "op=read,error=EIO;error=ENOSPC", BIO_WRITE, 0, 512, -ENOSPC },
		{ "op=read,p=0,error=EIO;error=ENOSPC", BIO_READ, 0, 512, -ENOSPC },
		{ "op=read,delay=1us;error=ENOSPC", BIO_READ, 0, 512, 0 },
	};

	(void)state;
	open_with("");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status;

		set_rules(cases[i].rules);
		status = rig_rw(&rig, cases[i].op, cases[i].off, a, cases[i].len);
		if (status != cases[i].want)
			fail_msg("row %zu ('%s'): %d", i, cases[i].rules, status);
	}
	rig_close(&rig);
}

/* A write that fails has not reached the device. */
static void failed_writes_do_not_land(void **state)
{
	(void)state;
	open_with("op=write,error=EIO");
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, a, 512), -EIO);
	set_rules("");
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, b, 512), 0);
	for (unsigned i = 0; i < 512; i++)
		assert_int_equal(b[i], 0);
	rig_close(&rig);
}

/* Flushes are seen where the device below has a cache; a range never is one. */
static void flushes(void **state)
{
	(void)state;
	rig_open(&rig,
		 "fault:op=flush,error=EIO@file:./nvring-test-flush?create=1&size=1M&direct=0");
	assert_int_equal(rig_rw(&rig, BIO_FLUSH, 0, NULL, 0), -EIO);
	set_rules("range=0-,error=EIO");
	assert_int_equal(rig_rw(&rig, BIO_FLUSH, 0, NULL, 4096), 0); /* off and len mean nothing */
	rig_close(&rig);
	assert_int_equal(remove("./nvring-test-flush"), 0);
}

/* 'x' for each read that failed, '.' for each that did not. */
static const char *pattern(const char *rules, unsigned n)
{
	static char text[128];

	set_rules(rules);
	for (unsigned i = 0; i < n; i++) {
		int status = rig_rw(&rig, BIO_READ, 0, a, 512);

		assert_true(status == 0 || status == -EIO);
		text[i] = status ? 'x' : '.';
	}
	text[n] = '\0';
	return text;
}

static void counts(void **state)
{
	static const struct {
		const char *rules, *want;
	} cases[] = {
		{ "error=EIO", "xxxxxxxxxx" },
		{ "every=3,error=EIO", "..x..x..x." },
		{ "first=2,error=EIO", "xx........" },
		{ "first=0,error=EIO", ".........." },
		{ "after=4,error=EIO", "....xxxxxx" },
		{ "after=4,first=2,error=EIO", "....xx...." },
		{ "after=1,every=2,first=3,error=EIO", "..x.x.x..." },
		{ "p=0,error=EIO", ".........." },
		{ "p=1,error=EIO", "xxxxxxxxxx" },
		/* A rule that fires hides the I/O from those behind it. */
		{ "every=2,delay=1ns;every=2,error=EIO", "..x...x..." },
	};

	(void)state;
	open_with("");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(pattern(cases[i].rules, 10), cases[i].want);
	rig_close(&rig);
}

static void chance_follows_its_seed(void **state)
{
	char first[128];
	unsigned n = 0;

	(void)state;
	open_with("");
	(void)snprintf(first, sizeof(first), "%s", pattern("p=0.25,seed=7,error=EIO", 100));
	assert_string_equal(pattern("p=0.25,seed=7,error=EIO", 100), first);
	assert_string_equal(pattern("p=25%,seed=7,error=EIO", 100), first);
	assert_string_not_equal(pattern("p=0.25,seed=8,error=EIO", 100), first);
	for (unsigned i = 0; i < 10; i++) {
		char rules[64];

		(void)snprintf(rules, sizeof(rules), "p=0.25,seed=%u,error=EIO", i);
		for (const char *c = pattern(rules, 100); *c; c++)
			n += *c == 'x';
	}
	assert_in_range(n, 200, 300); /* of 1000; the same on each run */
	rig_close(&rig);
}

/* Held back at least as long as said, and others overtake. */
static void delay(void **state)
{
	struct rig_io slow[3], fast;
	uint64_t start;

	(void)state;
	open_with("range=0-512,delay=60ms;range=512-1024,delay=20ms;range=1024-1536,delay=20ms");
	start = mono_ns();
	for (unsigned i = 0; i < 3; i++)
		rig_start(&rig, &slow[i], BIO_WRITE, i * 512, a, 512);
	rig_start(&rig, &fast, BIO_WRITE, 4096, a, 512);
	assert_int_equal(rig_wait(&rig, &fast), 0);
	assert_int_equal(rig_wait(&rig, &slow[2]), 0);
	assert_true(mono_ns() - start >= 20 * MONO_NS_PER_MS);
	assert_int_equal(rig_wait(&rig, &slow[0]), 0);
	assert_true(mono_ns() - start >= 60 * MONO_NS_PER_MS);
	assert_int_equal(slow[1].ndone, 1);
	assert_true(fast.order < slow[1].order && slow[1].order < slow[2].order &&
		    slow[2].order < slow[0].order);
	/* Delay, then the error. */
	set_rules("delay=5ms,error=EIO");
	start = mono_ns();
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, b, 512), -EIO);
	assert_true(mono_ns() - start >= 5 * MONO_NS_PER_MS);
	rig_close(&rig);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void dropped_until_the_rules_change(void **state)
{
	static struct rig_io io[FAULTB_DEPTH + 10];

	(void)state;
	open_with("op=write,drop");
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		rig_start(&rig, &io[i], BIO_WRITE, 0, a, 512);
	rig_turn(&rig, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		assert_int_equal(io[i].ndone, 0);
	set_rules("");
	/* Those that had no room yet go by the new rules. */
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		assert_int_equal(rig_wait(&rig, &io[i]), i < FAULTB_DEPTH ? -EIO : 0);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, a, 512), 0);
	rig_close(&rig);
}

/* A user that waits for its I/O to end, as bdev_close() does: nothing is held back any more, however
 * deep, and what still waits for room is not held back either. */
static void nothing_is_held_back_from_a_drain(void **state)
{
	static const struct {
		const char *uri;
		int status;
	} cases[] = {
		{ "fault:drop@ram:1M", -EIO },
		{ "fault:delay=3600s@ram:1M", 0 },
		{ "fault:delay=3600s,error=ENOSPC@ram:1M", -ENOSPC },
		{ "fault:delay=3600s,drop@ram:1M", -EIO },
		{ "fault:delay=3600s@fault:delay=3600s@ram:1M", 0 },
		{ "fault:delay=1ns@fault:drop@ram:1M", -EIO },
	};
	static struct rig_io io[FAULTB_DEPTH + 10];

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		rig_open(&rig, cases[k].uri);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			rig_start(&rig, &io[i], BIO_READ, 0, b, 512);
		rig_turn(&rig, 100);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			assert_int_equal(io[i].ndone, 0);
		bdev_drain_begin(rig.bdev);
		bdev_drain_begin(rig.bdev); /* several may wait */
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			assert_int_equal(rig_wait(&rig, &io[i]), cases[k].status);
		bdev_drain_end(rig.bdev);
		assert_int_equal(rig_rw(&rig, BIO_READ, 0, b, 512), cases[k].status);
		/* and afterwards the rules are as before */
		bdev_drain_end(rig.bdev);
		rig_start(&rig, &io[0], BIO_READ, 0, b, 512);
		rig_turn(&rig, 100);
		assert_int_equal(io[0].ndone, 0);
		bdev_drain_begin(rig.bdev);
		assert_int_equal(rig_wait(&rig, &io[0]), cases[k].status);
		rig_close(&rig);
	}
}

static void closing_waits_for_nothing_dropped(void **state)
{
	bool closed = false;
	struct rig_io io;

	(void)state;
	open_with("drop");
	rig_start(&rig, &io, BIO_READ, 0, b, 512);
	rig_turn(&rig, 100);
	assert_int_equal(io.ndone, 0);
	bdev_close(rig.bdev, set_true, &closed);
	assert_int_equal(rig_wait(&rig, &io), -EIO);
	assert_false(closed); /* the channel is still ours */
	bdev_chan_put(rig.chan);
	rig_turn(&rig, 100);
	assert_true(closed);
	rig.bdev = NULL;
}

/* @keep bytes of the second write, then those of the first. */
static void expect_torn(uint64_t keep, uint64_t len)
{
	static char back[DISK];

	assert_int_equal(rig_rw(&rig, BIO_READ, 0, back, len), 0);
	for (uint64_t i = 0; i < len; i++) {
		if (back[i] != (i < keep ? 'b' : 'a'))
			fail_msg("byte %llu of %llu", (unsigned long long)i,
				 (unsigned long long)keep);
	}
}

static void torn_writes(void **state)
{
	static const struct {
		const char *rules;
		uint64_t keep;
		int status;
	} cases[] = {
		{ "torn=4K", 4096, 0 },
		{ "torn=4K,error=EIO", 4096, -EIO },
		{ "torn=0", 0, 0 },
		{ "torn=511", 0, 0 },
		{ "torn=513", 512, 0 },
		{ "torn=0,error=ENOSPC", 0, -ENOSPC },
		{ "torn=8192", 8192, 0 },
		{ "torn=16384", 16384, 0 },
		{ "torn=1G,error=EIO", 16384, -EIO },
		{ "torn=4K,delay=1ms", 4096, 0 },
	};

	(void)state;
	open_with("");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig_io io = { 0 };

		set_rules("");
		assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, a, 16384), 0);
		set_rules(cases[i].rules);
		io.bio.op = BIO_WRITE;
		io.bio.len = 16384;
		io.bio.iovcnt = 3;
		io.iov[0] = (struct iovec){ b, 1000 };
		io.iov[1] = (struct iovec){ b, 7192 };
		io.iov[2] = (struct iovec){ b, 8192 };
		rig_submit(&rig, &io);
		assert_int_equal(rig_wait(&rig, &io), cases[i].status);
		/* What was lent came back whole. */
		assert_int_equal(io.bio.iovcnt, 3);
		assert_int_equal(io.iov[0].iov_len, 1000);
		assert_int_equal(io.iov[1].iov_len, 7192);
		assert_int_equal(io.iov[2].iov_len, 8192);
		expect_torn(cases[i].keep, 16384);
	}
	rig_close(&rig);
}

static void rules_change_under_load(void **state)
{
	static struct rig_io io[64];
	static const char *const rules[] = { "", "p=0.5,error=EIO", "delay=10us", "drop",
					     "torn=512;op=read,drop" };
	unsigned answers = 0;

	(void)state;
	open_with("");
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		rig_start(&rig, &io[i], i % 2 ? BIO_READ : BIO_WRITE, i * 512, a, 512);
	for (unsigned round = 0; round < 200; round++) {
		/* Two at once: the first is replaced before it arrives. */
		assert_int_equal(faultb_set_rules(rig.bdev, rules[round % 3], NULL), 0);
		assert_int_equal(faultb_set_rules(rig.bdev, rules[round % ARRAY_SIZE(rules)], NULL),
				 0);
		rig_turn(&rig, 3);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
			if (!io[i].ndone)
				continue;
			assert_int_equal(io[i].ndone, 1);
			answers++;
			rig_start(&rig, &io[i], i % 2 ? BIO_READ : BIO_WRITE, i * 512, a, 512);
		}
	}
	set_rules("");
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		(void)rig_wait(&rig, &io[i]);
	assert_true(answers > 64);
	rig_close(&rig);
}

static void who_is_no_fault_device_says_so(void **state)
{
	struct errbuf eb = { "" };

	(void)state;
	rig_open(&rig, "ram:1M");
	assert_int_equal(faultb_set_rules(rig.bdev, "", &eb), -ENOTSUP);
	assert_non_null(strstr(eb.text, "is not a fault device"));
	rig_close(&rig);
	open_with("error=EIO");
	assert_int_equal(faultb_set_rules(rig.bdev, "error=EWHAT", &eb), -EINVAL);
	rig_turn(&rig, 4);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), -EIO); /* the old ones stand */
	rig_close(&rig);
}

static void stacked(void **state)
{
	(void)state;
	rig_open(&rig, "fault:op=read,error=EIO@fault:op=write,error=ENOSPC@ram:1M");
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), -EIO);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, a, 512), -ENOSPC);
	rig_close(&rig);
}

static uint64_t requeued(void)
{
	static struct bdev_chan_stats st;

	bdev_get_stats(rig.bdev, &st);
	return st.requeued;
}

/* Of the upper one's channel, whichever it was that lost its way. */
static void a_way_that_fails_is_the_uppermost_s(void **state)
{
	static const char *const uris[] = { "fault:path,first=3@ram:1M",
					    "fault:@fault:@fault:path,first=3@ram:1M" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(uris); i++) {
		rig_open(&rig, uris[i]);
		memset(a, 'x', 512);
		assert_int_equal(rig_rw(&rig, BIO_WRITE, 512, a, 512), 0);
		assert_int_equal(requeued(), 3);
		memset(a, 0, 512);
		assert_int_equal(rig_rw(&rig, BIO_READ, 512, a, 512), 0);
		assert_int_equal(a[511], 'x');
		assert_int_equal(requeued(), 3);
		rig_close(&rig);
	}
	rig_open(&rig, "fault:@fault:op=write,path,error=ENODEV@ram:1M");
	bdev_set_path_timeout(rig.bdev, 0);
	rig_turn(&rig, 4);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, a, 512), -ENODEV);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), 0);
	assert_int_equal(requeued(), 0);
	rig_close(&rig);
}

static void for_a_while(void **state)
{
	uint64_t before, n;

	(void)state;
	rig_open(&rig, "fault:after=1,for=20ms,path@ram:1M");
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), 0);
	assert_int_equal(requeued(), 0);
	before = mono_ns();
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), 0);
	assert_true(mono_ns() - before >= 20 * MONO_NS_PER_MS);
	n = requeued();
	assert_in_range(n, 1, 6); /* 1 + 2 + 4 + 8 ms, and 16 */
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), 0);
	assert_int_equal(requeued(), n);
	rig_close(&rig);
	rig_open(&rig, "fault:for=3600s,every=2,first=1,error=EIO@ram:1M");
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), 0);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), -EIO);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, a, 512), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_rules),
		cmocka_unit_test(bad_rules),
		cmocka_unit_test(random_rules),
		cmocka_unit_test_setup_teardown(no_rules_pass_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_are_the_lower_device_s, set_up, tear_down),
		cmocka_unit_test_setup_teardown(errors_by_operation_and_range, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failed_writes_do_not_land, set_up, tear_down),
		cmocka_unit_test_setup_teardown(flushes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chance_follows_its_seed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(delay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dropped_until_the_rules_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_held_back_from_a_drain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(closing_waits_for_nothing_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(torn_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_change_under_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_no_fault_device_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stacked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_way_that_fails_is_the_uppermost_s, set_up, tear_down),
		cmocka_unit_test_setup_teardown(for_a_while, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
