/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that plays a fuzzer's tune on a ring. The first byte chooses features, then each byte is
 * an act with its operands behind it: write descriptors and tables at interesting addresses, make
 * them available, rewrite them, let the device pop, push, flush, sleep, die and come back on a
 * region that was tampered with.
 */
#include "tests/fuzz/fuzz_chain.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_guest.h"

#define FUZZ_SIZE 8

struct tune {
	const uint8_t *at, *end;
	struct fg fg;
	struct vq_elem *held[FUZZ_SIZE * 2];
	unsigned nheld;
};

static uint8_t next_byte(struct tune *t)
{
	return t->at < t->end ? *t->at++ : 0;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Borders, holes, rings, tables, plain data. */
static uint64_t some_gpa(struct tune *t)
{
	static const uint64_t bases[] = {
		FG_DATA_GPA,
		FG_TABLE_GPA,
		FG_RING_GPA,
		FG_RING_GPA + 0xc000,
		FG_DATA_GPA + FG_DATA_BYTES,
		FG_HIGH_GPA + FG_HIGH_BYTES,
		FG_HIGH_GPA,
		0,
	};
	uint8_t b = next_byte(t);

	return bases[b & 7] + (uint64_t)(int64_t)(int8_t)(b & 0xf8) * 2;
}

static uint32_t some_len(struct tune *t)
{
	static const uint32_t lens[] = { 16, 0, 1, 4096, 48, 512, UINT32_MAX, 16 * 1025 };
	uint8_t b = next_byte(t);

	return lens[b & 7] + (b >> 3);
}

static struct vqd_buf some_buf(struct tune *t)
{
	struct vqd_buf b = { .addr = some_gpa(t) };

	b.len = some_len(t);
	return b;
}

/* Bits 0-2 as they are; 6 and 7 become AVAIL and USED. */
static uint16_t some_flags(struct tune *t)
{
	uint8_t b = next_byte(t);

	return (uint16_t)((b & 0x3f) | (b & 0x40 ? VIRTQ_DESC_F_AVAIL : 0) |
			  (b & 0x80 ? VIRTQ_DESC_F_USED : 0));
}

static void write_desc(struct tune *t, bool table)
{
	uint8_t where = next_byte(t);
	struct vqd_buf b = some_buf(t);
	uint16_t flags = some_flags(t), next = next_byte(t);

	if (table)
		fg_table(&t->fg, FG_TABLE_GPA + 16ull * (where & 7) + (where >> 7), b, flags, next);
	else
		fg_desc(&t->fg, where % FUZZ_SIZE, b, flags, next);
}

/* What the device handed out lies inside guest memory, every piece with both ends. */
static void check_elem(const struct fg *fg, const struct vq_elem *e)
{
	uint64_t sum[2] = { 0, 0 };

	for (unsigned i = 0; i < (unsigned)e->nout + e->nin; i++) {
		const struct iovec *v = &e->iov[i];
		uint64_t gpa = gmem_va_to_gpa(fg->g, v->iov_base);

		must(v->iov_len > 0 && gpa != UINT64_MAX);
		must(gmem_gpa_to_va(fg->g, gpa, v->iov_len) == v->iov_base);
		sum[i >= e->nout] += v->iov_len;
	}
	must(sum[0] == e->out_bytes && sum[1] == e->in_bytes);
	must(e->inflight && e->id < FUZZ_SIZE);
}

static void pop(struct tune *t)
{
	unsigned n = vq_pop(&t->fg.q, t->held + t->nheld, 1 + next_byte(t) % FUZZ_SIZE);

	for (unsigned i = 0; i < n; i++)
		check_elem(&t->fg, t->held[t->nheld + i]);
	t->nheld += n;
	must(t->nheld <= FUZZ_SIZE && t->nheld == t->fg.q.ninflight);
}

static void push(struct tune *t)
{
	unsigned k = next_byte(t), at;
	struct vq_elem *e;
	char junk[64];

	if (!t->nheld)
		return;
	at = k % t->nheld;
	e = t->held[at];
	t->held[at] = t->held[--t->nheld];
	memset(junk, (int)k, sizeof(junk));
	(void)vq_elem_read(e, k & 15, junk, sizeof(junk));
	(void)vq_elem_write(e, k >> 4, junk, sizeof(junk));
	vq_push(&t->fg.q, e, k & 1 ? e->in_bytes : 0);
}

static void tamper(struct tune *t)
{
	uint8_t *region = t->fg.inflight;
	uint8_t at = next_byte(t), value = next_byte(t);

	if (region)
		region[at % vqi_bytes(t->fg.o.packed, FUZZ_SIZE)] = value;
	else
		((uint8_t *)t->fg.conf.avail)[at % 32] = value;
}

/* Whether it may start is the region's business; a refusal ends the tune. */
static bool restart(struct tune *t)
{
	struct fg *fg = &t->fg;

	fg_device_drop(fg);
	t->nheld = 0;
	if (fg->inflight && vqi_check(fg->inflight, vqi_bytes(fg->o.packed, FUZZ_SIZE),
				      fg->o.packed, FUZZ_SIZE, NULL))
		return false;
	return fg_device_start(fg) == 0;
}

static bool act(struct tune *t)
{
	switch (next_byte(t) % 10) {
	case 0:
	case 1:
		write_desc(t, false);
		break;
	case 2:
		write_desc(t, true);
		break;
	case 3:
		if (!t->fg.o.packed)
			fg_avail(&t->fg, next_byte(t) % (FUZZ_SIZE + 1));
		else
			write_desc(t, false);
		break;
	case 4:
	case 5:
		pop(t);
		break;
	case 6:
		push(t);
		break;
	case 7:
		vq_flush(&t->fg.q);
		break;
	case 8:
		if (next_byte(t) & 1)
			(void)vq_kick_enable(&t->fg.q);
		else
			vq_kick_disable(&t->fg.q);
		break;
	default:
		if (next_byte(t) & 1)
			tamper(t);
		else
			return restart(t);
	}
	return true;
}

void fuzz_chain(bool packed, const uint8_t *data, size_t len)
{
	struct tune t = { .at = data, .end = data + len };
	uint8_t f = next_byte(&t);
	struct fg_opts o = {
		.size = FUZZ_SIZE,
		.packed = packed,
		.inflight = f & 1,
		.eventfds = f & 2,
		.features = (f & 4 ? VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) : 0) |
			    (f & 8 ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0) |
			    (f & 16 ? VIRTIO_BIT(VIRTIO_F_IN_ORDER) : 0),
	};

	fg_init(&t.fg, &o);
	while (t.at < t.end && act(&t))
		;
	fg_fini(&t.fg);
}
