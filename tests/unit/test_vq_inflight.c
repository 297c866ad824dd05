/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inflight tracking: forged regions are refused, and a device that dies at any store of its own is
 * followed by one that answers every chain exactly once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fake_guest.h"
#include "tests/unit/sanitized.h"

#define IND_F	 VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)
#define IN_ORDER VIRTIO_BIT(VIRTIO_F_IN_ORDER)

static const struct vqd_buf bufs[] = {
	{ FG_DATA_GPA, 16, false },
	{ FG_DATA_GPA + 4096, 100, true },
	{ FG_DATA_GPA + 32, 1, true },
};

/* --- regions from outside --- */

static void sizes_keep_queues_apart(void **state)
{
	(void)state;
	assert_int_equal(vqi_bytes(false, 128), 64 * 33); /* 16 + 128 * 16, rounded */
	assert_int_equal(vqi_bytes(false, 3), 64);
	assert_int_equal(vqi_bytes(true, 1), 64);
	assert_int_equal(vqi_bytes(true, 1024), 32 + 32 * 1024 + 32);
}

static void fresh_regions_pass(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 7, 128, 1024 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
		uint64_t n = vqi_bytes(i & 1, sizes[i / 2]);
		void *a = calloc(1, n), *b = calloc(1, n);

		vqi_format(a, i & 1, sizes[i / 2], 0);
		assert_int_equal(vqi_check(a, n, i & 1, sizes[i / 2], NULL), 0);
		assert_int_equal(vqi_check(b, n, i & 1, sizes[i / 2], NULL), 0);
		assert_memory_equal(a, b, n); /* zeroes were formatted in place */
		free(a);
		free(b);
	}
}

/* CVE-2021-3839, CVE-2026-86565: the region is for another queue, or too small. */
static void regions_must_fit_the_queue(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		uint64_t n = vqi_bytes(packed, 8);
		uint64_t *r = calloc(1, vqi_bytes(packed, 1024));

		vqi_format(r, packed, 8, 0);
		assert_int_equal(vqi_check(r, n, packed, 16, NULL), -EINVAL);
		assert_int_equal(vqi_check(r, vqi_bytes(packed, 16), packed, 16, NULL), -EINVAL);
		assert_int_equal(vqi_check(r, n, packed, 4, NULL), -EINVAL);
		assert_int_equal(vqi_check(r, n, packed, 0, NULL), -EINVAL);
		assert_int_equal(vqi_check(r, 16, packed, 8, NULL), -EINVAL);
		assert_int_equal(vqi_check(r, 0, packed, 8, NULL), -EINVAL);
		assert_int_equal(vqi_check(r, UINT64_MAX, packed, 2048, NULL), -EINVAL);
		((struct vqi_split *)r)->version = 2;
		assert_int_equal(vqi_check(r, n, packed, 8, NULL), -EINVAL);
		free(r);
	}
}

/* qemu work item 3974: each field of a split region forged; the check or the start refuses, nothing
 * else happens. */
static void forged_split_regions(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 10; what++) {
		struct fg_opts o = { .size = 8, .inflight = true };
		struct vqi_split *r;
		struct fg fg;
		int err;

		fg_init(&fg, &o);
		fg_device_drop(&fg);
		r = fg.inflight;
		r->desc[2].inflight = 1;
		switch (what) {
		case 0:
			r->last_batch_head = 8;
			break;
		case 1:
			r->last_batch_head = 0xffff;
			break;
		case 2:
			r->desc[3].next = 8;
			break;
		case 3:
			r->desc[3].next = 0xffff;
			break;
		case 4:
			r->desc[7].inflight = 2;
			break;
		case 5:
			r->desc[2].counter = UINT64_MAX;
			break;
		case 6:
			r->used_idx = 1;
			break; /* a batch of 65535 */
		case 7:
			r->used_idx = 0xfff7;
			break; /* of 9 */
		case 8:
			r->used_idx = 0xfff8;
			break; /* of 8, a loop: allowed, all cleared */
		default:
			break; /* honest */
		}
		err = vqi_check(r, vqi_bytes(false, 8), false, 8, NULL);
		if (!err)
			err = fg_device_start(&fg);
		assert_int_equal(err, what < 8 ? -EINVAL : 0);
		if (!err)
			assert_int_equal(fg.q.resume_n, 1);
		fg_fini(&fg);
	}
}

static void forged_packed_regions(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 23; what++) {
		struct fg_opts o = { .size = 8, .packed = true, .inflight = true };
		struct vq_elem *e[VQ_BATCH];
		struct vqi_packed *r;
		struct fg fg;
		int err;

		fg_init(&fg, &o);
		assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
		assert_int_equal(vqd_add(&fg.d, bufs, 2, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 2); /* entries 0-2, 3-4; free 5-7 */
		fg_device_drop(&fg);
		r = fg.inflight;
		switch (what) {
		case 0:
			r->free_head = 9;
			break;
		case 1:
			r->old_free_head = 9;
			break;
		case 2:
			r->used_idx = 8;
			break;
		case 3:
			r->old_used_idx = 8;
			break;
		case 4:
			r->used_wrap_counter = 2;
			break;
		case 5:
			r->old_used_wrap_counter = 2;
			break;
		case 6:
			r->desc[6].next = 5;
			break; /* free list a loop */
		case 7:
			r->desc[6].next = 9;
			break;
		case 8:
			r->desc[0].next = 0;
			break; /* chain a loop */
		case 9:
			r->desc[0].next = 3;
			break; /* into another chain */
		case 10:
			r->desc[1].next = 5;
			break; /* into the free list */
		case 11:
			r->desc[0].num = 0;
			break;
		case 12:
			r->desc[0].num = 2;
			break;
		case 13:
			r->desc[0].num = 4;
			break;
		case 14:
			r->desc[0].num = 9;
			break;
		case 15:
			r->desc[0].last = 1;
			break;
		case 16:
			r->desc[0].last = 8;
			break;
		case 17:
			r->desc[0].counter = UINT64_MAX;
			break;
		case 18:
			r->desc[0].inflight = 0;
			break; /* entries of nobody */
		case 19:
			r->desc[1].inflight = 1;
			break; /* a head inside a chain */
		case 20:
			r->desc[4].inflight = 3;
			break;
		case 21: /* two chains in one entry, another with nobody, sums right */
			r->desc[3].next = 1;
			r->desc[3].last = 1;
			break;
		default:
			break; /* honest */
		}
		err = vqi_check(r, vqi_bytes(true, 8), true, 8, NULL);
		if (!err)
			err = fg_device_start(&fg);
		assert_int_equal(err, what < 22 ? -EINVAL : 0);
		if (!err)
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 2);
		fg_fini(&fg);
	}
}

/* What the region's chains say is input as well: a bad one breaks the queue when it is taken again.
 */
static void forged_chains_break_the_queue(void **state)
{
	(void)state;
	for (unsigned what = 0; what < 3; what++) {
		struct fg_opts o = { .size = 8, .packed = true, .inflight = true };
		struct vq_elem *e[VQ_BATCH];
		struct vqi_packed *r;
		struct fg fg;

		fg_init(&fg, &o);
		assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
		fg_device_drop(&fg);
		r = fg.inflight;
		if (what == 0)
			r->desc[2].id = 8;
		else if (what == 1)
			r->desc[1].addr = 0;
		else
			r->desc[0].flags |= VIRTQ_DESC_F_INDIRECT;
		assert_int_equal(fg_device_start(&fg), 0);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
		assert_true(fg.q.broken);
		fg_fini(&fg);
	}
}

/* --- coming back --- */

/* spdk#3766: nothing was ever answered, so both indexes are 0; head 0 must come back as well. */
static void head_0_comes_back(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fg_opts o = { .size = 8, .packed = packed, .inflight = true };
		struct vq_elem *e[VQ_BATCH];
		struct fg fg;

		fg_init(&fg, &o);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(vqd_add(&fg.d, bufs, 1, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 3);
		fg_device_drop(&fg);
		assert_int_equal(fg_device_start(&fg), 0);
		assert_true(vq_kick_enable(&fg.q)); /* there is work before any kick */
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(e[i]->id, i);
			assert_int_equal(e[i]->out_bytes, 16);
		}
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
		assert_false(fg.q.broken);
		fg_fini(&fg);
	}
}

/* A region that was never used may meet rings that were: after a migration, or a new driver. */
static void fresh_regions_meet_used_rings(void **state)
{
	struct fg_opts o = { .size = 8, .inflight = true, .start = 5000 };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	assert_int_equal(((struct vqi_split *)fg.inflight)->used_idx, 5000);
	assert_int_equal(vq_base(&fg.q), 5000);
	fg_fini(&fg);

	o = (struct fg_opts){ .size = 8, .packed = true, .inflight = true };
	fg_init(&fg, &o);
	fg_device_drop(&fg);
	fg.conf.avail_idx = fg.conf.used_idx = 3;
	fg.conf.avail_wrap = fg.conf.used_wrap = false;
	assert_int_equal(fg_device_start(&fg), 0);
	assert_int_equal(vq_base(&fg.q), 0x00030003);
	/* used once, it knows better than a front-end that could not ask the dead device */
	fg_desc(&fg, 3, bufs[0], VIRTQ_DESC_F_USED, 0);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
	vq_push(&fg.q, e[0], 0);
	vq_flush(&fg.q);
	fg_device_drop(&fg);
	assert_int_equal(fg_device_start(&fg), 0);
	assert_int_equal(vq_base(&fg.q), 0x00040004);
	/* GET_VRING_BASE was answered: the front-end's word counts again */
	fg_device_drop(&fg);
	vqi_format(fg.inflight, true, 8, 0);
	fg.conf.avail_wrap = fg.conf.used_wrap = true;
	assert_int_equal(fg_device_start(&fg), 0);
	assert_int_equal(vq_base(&fg.q), 0x80038003);
	fg_fini(&fg);
}

/* --- the front-end writes into the region while we use it --- */

/* After the start nothing that stands in the region matters any more. */
static void a_running_queue_does_not_read_its_region(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fg_opts o = { .size = 8, .packed = packed, .inflight = true };
		uint64_t bytes = vqi_bytes(packed, 8);
		struct vq_elem *e[VQ_BATCH];
		struct fg fg;

		fg_init(&fg, &o);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(vqd_add(&fg.d, bufs, 2, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 3);
		fg_device_drop(&fg);
		assert_int_equal(fg_device_start(&fg), 0);
		memset(fg.inflight, 0xee, bytes);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(e[i]->out_bytes, 16);
			vq_push(&fg.q, e[i], 0);
		}
		vq_flush(&fg.q);
		assert_int_equal(vqd_add(&fg.d, bufs, 2, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
		vq_push(&fg.q, e[0], 0);
		memset(fg.inflight, 0xee, bytes);
		vq_flush(&fg.q);
		assert_false(fg.q.broken);
		/* what was written is ours, not an echo of theirs */
		if (packed) {
			assert_int_equal(((struct vqi_packed *)fg.inflight)->version, 1);
			assert_int_equal(((struct vqi_packed *)fg.inflight)->desc_num, 8);
		} else {
			assert_int_not_equal(((struct vqi_split *)fg.inflight)->desc[e[0]->id].next,
					     0xeeee);
		}
		fg_fini(&fg);
	}
}

/* Which chains the driver has got its answer for. */
struct answers {
	uint64_t seen; /* bit n: chain n */
	unsigned n;
};

static void take_answers(struct fg *fg, struct answers *a)
{
	uint32_t written;
	void *cookie;
	int err;

	while (vqd_get(&fg->d, &cookie, &written, &err)) {
		uint64_t bit = 1ull << (uintptr_t)cookie;

		assert_false(a->seen & bit);
		a->seen |= bit;
		a->n++;
	}
	assert_int_equal(err, 0);
}

/* A device that works properly until nothing is left. */
static void serve(struct fg *fg, struct answers *a)
{
	struct vq_elem *e[VQ_BATCH];
	unsigned n;

	while ((n = vq_pop(&fg->q, e, 2)) != 0) {
		while (n--) {
			assert_int_equal(e[n]->out_bytes, 16);
			vq_push(&fg->q, e[n], e[n]->in_bytes);
		}
		vq_flush(&fg->q);
		take_answers(fg, a);
	}
	if (fg->q.broken)
		fail_msg("%s", fg->q.why);
}

/* Random work, and death between any two calls. */
static void death_between_calls(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 400; seed++) {
		struct fg_opts o = { .size = (uint16_t)(4u << seed % 4),
				     .inflight = true,
				     .packed = seed & 1,
				     .features = IND_F | (seed & 2 ? IN_ORDER : 0) };
		struct vq_elem *held[64];
		unsigned asked = 0, nheld = 0;
		struct answers a = { 0 };
		struct fg fg;

		if (o.packed)
			o.size = (uint16_t)(o.size - seed % 3);
		srand(seed);
		fg_init(&fg, &o);
		for (unsigned step = 0; step < 3000; step++) {
			unsigned k = nheld ? (unsigned)rand() % nheld : 0;

			switch (rand() % 9) {
			case 0:
			case 1:
			case 2:
				if (a.n == 64 && asked == 64)
					a = (struct answers){ .n = asked = 0 };
				if (asked < 64 &&
				    !vqd_add(&fg.d, bufs, 1 + (unsigned)rand() % 3, rand() % 3 == 0,
					     (void *)(uintptr_t)asked))
					asked++;
				vqd_publish(&fg.d);
				break;
			case 3:
			case 4:
				nheld += vq_pop(&fg.q, held + nheld, 1 + (unsigned)rand() % 4);
				break;
			case 5:
			case 6:
				if (!nheld)
					break;
				vq_push(&fg.q, held[k], held[k]->in_bytes);
				held[k] = held[--nheld];
				break;
			case 7:
				vq_flush(&fg.q);
				take_answers(&fg, &a);
				break;
			default:
				if (rand() % 4)
					break;
				fg_device_drop(&fg);
				nheld = 0;
				assert_int_equal(vqi_check(fg.inflight, vqi_bytes(o.packed, o.size),
							   o.packed, o.size, NULL),
						 0);
				assert_int_equal(fg_device_start(&fg), 0);
			}
			assert_false(fg.q.broken);
		}
		fg_device_drop(&fg);
		assert_int_equal(fg_device_start(&fg), 0);
		serve(&fg, &a);
		assert_int_equal(a.n, asked);
		fg_fini(&fg);
	}
}

/* --- death at any store --- */

#define SIZE	  8
#define SHOTS_MAX 4096

/* What outlives a device: its rings and its region. */
struct shot {
	char desc[16 * SIZE], driver[64], device[128], region[64 + 32 * SIZE];
};

static void shoot(const struct fg *fg, struct shot *s)
{
	memcpy(s->desc, fg->conf.desc, sizeof(s->desc));
	memcpy(s->driver, fg->conf.avail, sizeof(s->driver));
	memcpy(s->device, fg->conf.used, sizeof(s->device));
	memcpy(s->region, fg->inflight, vqi_bytes(fg->o.packed, SIZE));
}

static void restore(const struct fg *fg, const struct shot *s)
{
	memcpy(fg->conf.desc, s->desc, sizeof(s->desc));
	memcpy(fg->conf.avail, s->driver, sizeof(s->driver));
	memcpy(fg->conf.used, s->device, sizeof(s->device));
	memcpy(fg->inflight, s->region, vqi_bytes(fg->o.packed, SIZE));
}

typedef void (*work_fn)(struct fg *fg);

/* Run @work in a child, one instruction after another, and keep every state that its shared memory
 * goes through. */
static unsigned trace(struct fg *fg, work_fn work, struct shot *shots)
{
	unsigned n = 1;
	int status;
	pid_t pid;

	memset(shots, 0, sizeof(*shots) * SHOTS_MAX);
	shoot(fg, &shots[0]);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(77);
		raise(SIGSTOP);
		work(fg);
		_exit(0);
	}
	for (;;) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			break;
		assert_true(WIFSTOPPED(status));
		shoot(fg, &shots[n]);
		if (memcmp(&shots[n], &shots[n - 1], sizeof(shots[0]))) {
			n++;
			assert_true(n < SHOTS_MAX);
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
	}
	if (WEXITSTATUS(status) == 77)
		skip(); /* not allowed to trace here */
	assert_int_equal(WEXITSTATUS(status), 0);
	return n;
}

struct scene {
	bool packed, in_order;
	unsigned before; /* chains answered before, so that rings and batches wrap in different
			    places */
};

/* The state in which the device will die: always the same for the same scene. */
static void set_scene(struct fg *fg, const struct scene *s)
{
	struct fg_opts o = { .size = SIZE,
			     .packed = s->packed,
			     .inflight = true,
			     .features = IND_F | (s->in_order ? IN_ORDER : 0) };
	struct answers a = { 0 };

	fg_init(fg, &o);
	for (unsigned i = 0; i < s->before; i++) {
		assert_int_equal(vqd_add(&fg->d, bufs, 1 + i % 3, i % 4 == 3, (void *)(uintptr_t)i),
				 0);
		vqd_publish(&fg->d);
		serve(fg, &a);
	}
	/* 3 + 2 + a table + 2: the whole ring */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vqd_add(&fg->d, bufs, i ? 2 : 3, i == 2, (void *)(uintptr_t)i), 0);
	vqd_publish(&fg->d);
}

/* Four chains taken in two batches, answered in three, not in order. */
static void some_work(struct fg *fg)
{
	struct vq_elem *e[VQ_BATCH];

	if (vq_pop(&fg->q, e, 2) != 2)
		_exit(1);
	vq_push(&fg->q, e[1], e[1]->in_bytes);
	vq_flush(&fg->q);
	if (vq_pop(&fg->q, e + 2, 4) != 2)
		_exit(1);
	vq_push(&fg->q, e[3], e[3]->in_bytes);
	vq_push(&fg->q, e[0], e[0]->in_bytes);
	vq_flush(&fg->q);
	vq_push(&fg->q, e[2], e[2]->in_bytes);
	vq_flush(&fg->q);
}

/* The whole ring in one batch: the used index comes back to where it was. */
static void whole_ring(struct fg *fg)
{
	struct vq_elem *e[VQ_BATCH];

	if (vq_pop(&fg->q, e, 4) != 4)
		_exit(1);
	for (unsigned i = 0; i < 4; i++)
		vq_push(&fg->q, e[i ^ 1], e[i ^ 1]->in_bytes);
	vq_flush(&fg->q);
}

/* The rest of the work, whatever a predecessor left of it. */
static void some_recovery(struct fg *fg)
{
	struct vq_elem *e[VQ_BATCH];
	unsigned n;

	fg_device_drop(fg);
	if (fg_device_start(fg))
		_exit(1);
	while ((n = vq_pop(&fg->q, e, 3)) != 0) {
		while (n--)
			vq_push(&fg->q, e[n], e[n]->in_bytes);
		vq_flush(&fg->q);
	}
}

/* A successor on what memory holds: every chain exactly once, and the queue is good for many more.
 */
static void check_successor(const struct scene *s, const struct shot *shot, bool soon)
{
	struct answers a = { 0 };
	unsigned asked = 4;
	struct fg fg;

	set_scene(&fg, s);
	restore(&fg, shot);
	fg_device_drop(&fg);
	assert_int_equal(vqi_check(fg.inflight, vqi_bytes(s->packed, SIZE), s->packed, SIZE, NULL),
			 0);
	assert_int_equal(fg_device_start(&fg), 0);
	take_answers(&fg, &a);
	serve(&fg, &a);
	assert_int_equal(a.n, asked);
	a.seen = 0;
	for (uintptr_t i = 0; i < 40; i++) {
		assert_int_equal(vqd_add(&fg.d, bufs, 1 + i % 3, i % 2, (void *)i), 0);
		vqd_publish(&fg.d);
		serve(&fg, &a);
	}
	assert_int_equal(a.n, asked + 40);
	assert_int_equal(fg.d.nfree, SIZE);
	fg_fini(&fg);
}

static void check_shot(const struct scene *s, const struct shot *shot)
{
	check_successor(s, shot, false);
	check_successor(s, shot, true);
}

static void death_at_any_store(void **state)
{
	struct shot *shots = calloc(SHOTS_MAX, sizeof(*shots));

	(void)state;
	/* 5 goes through all kinds, too */
	for (unsigned i = 0; i < 32; i += IF_SANITIZED(5, 1)) {
		struct scene s = { .packed = i & 1, .in_order = i & 2, .before = i / 8 * 3 };
		struct fg fg;
		unsigned n;

		set_scene(&fg, &s);
		n = trace(&fg, i & 4 ? whole_ring : some_work, shots);
		fg_fini(&fg);
		assert_true(n > 20); /* or nothing was seen */
		for (unsigned k = 0; k < n; k++)
			check_shot(&s, &shots[k]);
	}
	free(shots);
}

/* The successor may die as well, while it still cleans up. */
static void death_while_coming_back(void **state)
{
	struct shot *shots = calloc(SHOTS_MAX, sizeof(*shots));
	struct shot *again = calloc(SHOTS_MAX, sizeof(*again));

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct scene s = { .packed = i & 1, .in_order = i & 2, .before = 5 };
		struct fg fg;
		unsigned n;

		set_scene(&fg, &s);
		n = trace(&fg, some_work, shots);
		fg_fini(&fg);
		for (unsigned k = 0; k < n; k += IF_SANITIZED(97, 29)) {
			unsigned m;

			set_scene(&fg, &s);
			restore(&fg, &shots[k]);
			m = trace(&fg, some_recovery, again);
			fg_fini(&fg);
			for (unsigned j = 0; j < m; j++)
				check_shot(&s, &again[j]);
		}
	}
	free(shots);
	free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_keep_queues_apart),
		cmocka_unit_test(fresh_regions_pass),
		cmocka_unit_test(regions_must_fit_the_queue),
		cmocka_unit_test(forged_split_regions),
		cmocka_unit_test(forged_packed_regions),
		cmocka_unit_test(forged_chains_break_the_queue),
		cmocka_unit_test(head_0_comes_back),
		cmocka_unit_test(fresh_regions_meet_used_rings),
		cmocka_unit_test(a_running_queue_does_not_read_its_region),
		cmocka_unit_test(death_between_calls),
		cmocka_unit_test(death_at_any_store),
		cmocka_unit_test(death_while_coming_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
