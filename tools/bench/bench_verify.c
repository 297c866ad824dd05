/* SPDX-License-Identifier: BSD-3-Clause */
/* Stamped blocks and the memory of their generations. */
#include "tools/bench/bench_verify.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"

#define STAMP_MAGIC	 0x706d6174736e766eull /* "nvnstamp" as bytes */
#define STATE_MAGIC	 0x65746174736e766eull /* "nvnstate" */
#define STATE_VERSION	 1
#define STATE_HEAD_BYTES 4096

/* A generation as remembered: what kind of content, and its number. */
#define GEN_NUMBER  0x3fffffffu
#define GEN_ZEROES  0x40000000u /* write-zeroes: reads as zeroes */
#define GEN_UNKNOWN 0x80000000u /* discarded: reads as anything of the past */

/* At the front of every unit. Native endian: one machine. */
struct stamp {
	uint64_t magic, id, unit;
	uint32_t gen, bytes;
	uint64_t sum; /* of everything else */
};
static_assert(sizeof(struct stamp) == 40, "no holes");

struct unit_state {
	uint32_t committed, issued; /* with kind */
	uint32_t top;		    /* highest number given so far */
	uint32_t pad;
};

struct state_head {
	uint64_t magic;
	uint32_t version, unit_bytes;
	uint64_t id, offset, nunits;
};

struct bench_verify {
	struct state_head *head;
	struct unit_state *u;
	size_t map_bytes;
};

uint32_t bench_verify_unit_for(uint32_t bs)
{
	uint32_t unit = bs & -bs;

	return CC_MIN(unit, BENCH_VERIFY_UNIT_MAX);
}

/*
 * Content
 */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

static void fill_payload(uint64_t *w, size_t nwords, uint64_t seed)
{
	uint64_t x = mix(seed);

	for (size_t i = 0; i < nwords; i++) {
		x = x * 0x5851f42d4c957f2dull + 0x14057b7ef767814full;
		w[i] = x;
	}
}

/* Four lanes, so that the multiplications overlap. */
static uint64_t checksum(const struct stamp *s, const uint64_t *w, size_t nwords)
{
	uint64_t lane[4] = { s->magic ^ s->id, s->unit, s->gen, s->bytes };

	for (size_t i = 0; i < nwords; i++)
		lane[i & 3] = (lane[i & 3] ^ w[i]) * 0x9e3779b97f4a7c15ull;
	return mix(lane[0]) ^ mix(lane[1] + 1) ^ mix(lane[2] + 2) ^ mix(lane[3] + 3);
}

static size_t payload_words(const struct bench_verify *v)
{
	return (v->head->unit_bytes - sizeof(struct stamp)) / sizeof(uint64_t);
}

/* Buffers are 512-byte aligned, so the words behind the stamp are too. */
static void make_unit(const struct bench_verify *v, uint64_t unit, uint32_t gen, void *buf)
{
	struct stamp *s = buf;
	uint64_t *w = (uint64_t *)(s + 1);

	*s = (struct stamp){ STAMP_MAGIC, v->head->id, unit, gen, v->head->unit_bytes, 0 };
	fill_payload(w, payload_words(v), v->head->id ^ mix(unit + 1) ^ ((uint64_t)gen << 32));
	s->sum = checksum(s, w, payload_words(v));
}

static bool is_zeroes(const void *buf, size_t len)
{
	const char *p = buf;

	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/*
 * Transitions
 */

uint32_t bench_verify_unit(const struct bench_verify *v)
{
	return v->head->unit_bytes;
}

void bench_verify_poison(const struct bench_verify *v, void *buf, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		memset((char *)buf + (size_t)i * v->head->unit_bytes, 0xa5, sizeof(struct stamp));
}

/* The new generation is remembered before anybody can write it. */
static uint32_t issue(struct unit_state *u, uint32_t kind)
{
	uint32_t gen = (u->top & GEN_NUMBER) + 1;

	cc_write_once(u->top, gen);
	cc_write_once(u->issued, gen | kind);
	return gen;
}

void bench_verify_write(struct bench_verify *v, uint64_t unit, unsigned n, void *buf)
{
	assert(unit + n <= v->head->nunits);
	for (unsigned i = 0; i < n; i++)
		make_unit(v, unit + i, issue(&v->u[unit + i], 0),
			  (char *)buf + (size_t)i * v->head->unit_bytes);
}

void bench_verify_erase(struct bench_verify *v, uint64_t unit, unsigned n, bool zeroes)
{
	assert(unit + n <= v->head->nunits);
	for (unsigned i = 0; i < n; i++)
		(void)issue(&v->u[unit + i], zeroes ? GEN_ZEROES : GEN_UNKNOWN);
}

void bench_verify_commit(struct bench_verify *v, uint64_t unit, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		cc_write_once(v->u[unit + i].committed, v->u[unit + i].issued);
}

bool bench_verify_is_known(const struct bench_verify *v, uint64_t unit, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (v->u[unit + i].top)
			return true;
	return false;
}

/*
 * The check
 */

/* NULL: fine, and the unit is settled on what was seen. Else what is wrong. */
static const char *check_stamped(struct unit_state *u, uint64_t unit, const struct stamp *s)
{
	uint32_t low = u->committed & GEN_NUMBER, high = u->issued & GEN_NUMBER;

	if (s->unit != unit)
		return "misdirected: the content of another block";
	if (s->gen > high)
		return "a generation that was never written";
	if (u->committed & GEN_UNKNOWN)
		return NULL;
	if (s->gen < low)
		return "stale: an older generation";
	if (s->gen == low && (u->committed & GEN_ZEROES))
		return "stale: not zeroed";
	u->committed = u->issued = s->gen;
	return NULL;
}

static const char *check_unstamped(struct unit_state *u, const void *buf, size_t len)
{
	bool unresolved = u->committed != u->issued;

	if ((u->committed & GEN_UNKNOWN) || u->committed == 0)
		return NULL;
	if (unresolved && (u->issued & GEN_UNKNOWN))
		return NULL;
	if (!is_zeroes(buf, len))
		return "neither a whole block of ours nor zeroes";
	if (u->committed & GEN_ZEROES)
		return NULL;
	if (unresolved && (u->issued & GEN_ZEROES)) {
		u->committed = u->issued;
		return NULL;
	}
	return "lost: zeroes";
}

/* A stamp of ours on a body that is not: from which byte on? */
static size_t first_difference(const struct bench_verify *v, const struct stamp *s, const char *buf)
{
	char want[BENCH_VERIFY_UNIT_MAX] cc_aligned(8);
	size_t i;

	make_unit(v, s->unit, s->gen, want);
	for (i = 0; i < v->head->unit_bytes && want[i] == buf[i]; i++)
		;
	return i;
}

static void describe(struct bench_verify *v, uint64_t unit, const struct stamp *s, const char *buf,
		     const char *what, struct bench_verify_result *ret)
{
	const struct unit_state *u = &v->u[unit];
	uint64_t at = v->head->offset + unit * v->head->unit_bytes;
	char seen[96] = "", want[32];

	if (s->magic == STAMP_MAGIC && s->id == v->head->id) {
		snprintf(seen, sizeof(seen), ", holds block %llu generation %u",
			 (unsigned long long)s->unit, s->gen);
		if (s->bytes == v->head->unit_bytes && first_difference(v, s, buf) < s->bytes)
			what = "torn: the content does not belong to its stamp";
	}
	if (u->committed == u->issued)
		snprintf(want, sizeof(want), "%u", u->committed & GEN_NUMBER);
	else
		snprintf(want, sizeof(want), "%u to %u", u->committed & GEN_NUMBER,
			 u->issued & GEN_NUMBER);
	snprintf(ret->text, sizeof(ret->text),
		 "byte %llu (block %llu of %u): %s%s; expected generation %s%s",
		 (unsigned long long)at, (unsigned long long)unit, v->head->unit_bytes, what, seen,
		 want, u->committed & GEN_ZEROES ? " (zeroes)" : "");
}

static const char *check_unit(struct bench_verify *v, uint64_t unit, const char *buf)
{
	const struct stamp *s = (const struct stamp *)buf;
	bool whole = s->magic == STAMP_MAGIC && s->id == v->head->id &&
		     s->bytes == v->head->unit_bytes &&
		     s->sum == checksum(s, (const uint64_t *)(s + 1), payload_words(v));

	return whole ? check_stamped(&v->u[unit], unit, s)
		     : check_unstamped(&v->u[unit], buf, v->head->unit_bytes);
}

void bench_verify_check(struct bench_verify *v, uint64_t unit, unsigned n, const void *buf,
			struct bench_verify_result *ret)
{
	assert(unit + n <= v->head->nunits);
	ret->checked = ret->bad = 0;
	ret->text[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		const char *p = (const char *)buf + (size_t)i * v->head->unit_bytes;
		const char *what = check_unit(v, unit + i, p);

		ret->checked += v->u[unit + i].top != 0;
		if (!what)
			continue;
		if (ret->bad++ == 0)
			describe(v, unit + i, (const struct stamp *)p, p, what, ret);
	}
}

/*
 * Life
 */

static int state_check(const struct state_head *h, const struct state_head *want, const char *path,
		       struct errbuf *eb)
{
	if (h->magic != STATE_MAGIC || h->version != STATE_VERSION)
		return errbuf_set(eb, -EINVAL, "%s: not a verification state of this program",
				  path);
	if (h->unit_bytes != want->unit_bytes || h->offset != want->offset ||
	    h->nunits != want->nunits)
		return errbuf_set(eb, -EINVAL,
				  "%s: made for %llu blocks of %u bytes from byte %llu, not %llu "
				  "of %u from %llu",
				  path, (unsigned long long)h->nunits, h->unit_bytes,
				  (unsigned long long)h->offset, (unsigned long long)want->nunits,
				  want->unit_bytes, (unsigned long long)want->offset);
	return 0;
}

/* A file of @bytes, or -1 for memory. *ret_fresh: it was empty. */
static int state_open(const char *path, size_t bytes, int *ret_fd, bool *ret_fresh,
		      struct errbuf *eb)
{
	struct stat st;
	int fd;

	*ret_fd = -1;
	*ret_fresh = true;
	if (!path)
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		goto fail;
	*ret_fresh = st.st_size == 0;
	if (*ret_fresh && ftruncate(fd, (off_t)bytes) < 0)
		goto fail;
	if (!*ret_fresh && (size_t)st.st_size != bytes) {
		close(fd);
		return errbuf_set(eb, -EINVAL,
				  "%s: of another range (%llu bytes of state, not %zu)", path,
				  (unsigned long long)st.st_size, bytes);
	}
	*ret_fd = fd;
	return 0;
fail:
	errbuf_set(eb, 0, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -EIO;
}

int bench_verify_open(const char *path, uint64_t offset, uint64_t bytes, uint32_t unit,
		      struct bench_verify **ret_v, struct errbuf *eb)
{
	struct state_head want = { STATE_MAGIC, STATE_VERSION, unit, 0, offset, bytes / unit };
	size_t map_bytes = STATE_HEAD_BYTES + want.nunits * sizeof(struct unit_state);
	struct bench_verify *v = calloc(1, sizeof(*v));
	bool fresh;
	int fd, err;

	if (!v)
		return errbuf_set(eb, -ENOMEM, "no memory");
	err = state_open(path, map_bytes, &fd, &fresh, eb);
	if (err)
		goto fail;
	v->map_bytes = map_bytes;
	v->head = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (v->head == MAP_FAILED) {
		v->head = NULL;
		err = errbuf_set(eb, -ENOMEM, "no memory for %llu blocks",
				 (unsigned long long)want.nunits);
		goto fail;
	}
	v->u = (struct unit_state *)((char *)v->head + STATE_HEAD_BYTES);
	if (fresh) {
		*v->head = want;
		if (getrandom(&v->head->id, sizeof(v->head->id), 0) < 0)
			v->head->id = (uint64_t)getpid();
	}
	err = state_check(v->head, &want, path ? path : "state", eb);
	if (err)
		goto fail;
	*ret_v = v;
	return 0;
fail:
	bench_verify_close(v);
	return err;
}

void bench_verify_close(struct bench_verify *v)
{
	if (!v)
		return;
	if (v->head)
		munmap(v->head, v->map_bytes);
	free(v);
}
