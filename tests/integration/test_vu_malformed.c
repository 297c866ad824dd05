/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Broken messages: every one in every state, with wrong sizes, wrong numbers of fds, cut anywhere,
 * and far too often. After each the client of another device must not have noticed, and nothing may
 * have leaked.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/integration/vu_fixture.h"

static struct fe good;

static int each(void **state)
{
	int rc = fixture_each(state);

	fe_good(&good, rig.path[1]);
	return rc;
}

static int each_end(void **state)
{
	fe_io(&good, 0);
	fe_close(&good);
	return fixture_each_end_noisy(state);
}

/* How far a connection has come before the message. */
enum depth {
	FRESH,
	OWNED,
	NEGOTIATED,
	SHARED,
	RUNNING,
	DEPTHS,
};

static void open_to(struct fe *fe, enum depth depth)
{
	fe_open(fe, rig.path[0]);
	if (depth >= OWNED)
		assert_true(fe_send(fe, VU_SET_OWNER, 0, NULL, 0, NULL, 0));
	if (depth >= NEGOTIATED)
		fe_negotiate(fe, FE_FEATURES, FE_PROTOCOL);
	if (depth >= SHARED)
		fe_share(fe);
	if (depth >= RUNNING) {
		fe_start(fe, 0, 64);
		fe_io(fe, 0);
	}
}

/* A message of the right shape: its payload and fds. */
struct sample {
	union vu_payload p;
	uint32_t size;
	int fds[VU_FDS_MAX];
	unsigned nfds;
};

static void sample_make(struct sample *s, const struct fe *fe, uint32_t request)
{
	const struct vu_shape *shape = vu_shape_find(request);

	memset(s, 0, sizeof(*s));
	s->size = shape ? shape->size_min : 0;
	s->nfds = shape ? shape->fds_max : 0;
	for (unsigned i = 0; i < VU_FDS_MAX; i++)
		s->fds[i] = fe->memfd;
	switch (request) {
	case VU_SET_MEM_TABLE:
		s->p.table =
			(struct vu_mem_table){ .nregions = 1,
					       .regions = { { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 } } };
		s->size = 40;
		s->nfds = 1;
		break;
	case VU_ADD_MEM_REG:
	case VU_REM_MEM_REG:
		s->p.mem_reg.region = (struct vu_region){ FE_GPA, FE_MEM_BYTES, FE_UVA, 0 };
		break;
	case VU_SET_LOG_BASE:
		s->p.log.size = 4096;
		break;
	case VU_GET_CONFIG:
		s->p.config.size = 8;
		s->size += 8;
		break;
	case VU_GET_INFLIGHT_FD:
	case VU_SET_INFLIGHT_FD:
		s->p.inflight = (struct vu_inflight){ 0x10000, 0, 2, 64, 0 };
		break;
	case VU_SET_VRING_NUM:
		s->p.state.num = 64;
		break;
	case VU_SET_VRING_ADDR:
		fe_addr(fe, 0, &s->p.addr);
		break;
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		s->p.u64 = VU_VRING_NOFD;
		s->nfds = 0;
		break;
	default:
		break;
	}
}

/* All that was sent has been worked on: true when the connection still lives. Replies on the way
 * are thrown away. */
static bool settle(struct fe *fe)
{
	struct vu_msg m;

	if (!fe_send(fe, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0))
		return false;
	while (fe_receive(fe, &m)) {
		vu_msg_close_fds(&m);
		if (m.h.request == VU_GET_QUEUE_NUM && m.p.u64 == RIG_QUEUES)
			return true;
	}
	return false;
}

static void every_message_in_every_state(void **state)
{
	static const uint32_t beyond[] = { VU_REQUEST_COUNT, 255, 65536, UINT32_MAX };
	unsigned lived = 0;

	(void)state;
	for (unsigned i = 0; i < (VU_REQUEST_COUNT + ARRAY_SIZE(beyond)) * DEPTHS * 2; i++) {
		unsigned r = i / (DEPTHS * 2);
		uint32_t request = r < VU_REQUEST_COUNT ? r : beyond[r - VU_REQUEST_COUNT];
		struct sample s;
		struct fe fe;

		open_to(&fe, i / 2 % DEPTHS);
		sample_make(&s, &fe, request);
		for (unsigned twice = 0; twice < 2; twice++) {
			if (!fe_send(&fe, request, i & 1 ? VU_FLAG_NEED_REPLY : 0, &s.p, s.size,
				     s.fds, s.nfds) ||
			    !settle(&fe))
				break;
			lived++;
		}
		fe_close(&fe);
		fe_io(&good, 0);
		rig_wait_free(&rig, 0);
	}
	assert_true(lived > 200); /* most of it is legal somewhere */
}

static void payloads_of_every_wrong_length(void **state)
{
	(void)state;
	for (uint32_t r = 1; r < VU_REQUEST_COUNT; r++) {
		const struct vu_shape *shape = vu_shape_find(r);
		const uint32_t sizes[] = { 0, 1, shape ? shape->size_min - 1u : 0,
					   shape ? shape->size_max + 1u : 0, VU_PAYLOAD_BYTES_MAX };

		for (unsigned i = 0; shape && i < ARRAY_SIZE(sizes); i++) {
			struct sample s;
			struct fe fe;

			if (sizes[i] > VU_PAYLOAD_BYTES_MAX ||
			    (sizes[i] >= shape->size_min && sizes[i] <= shape->size_max))
				continue;
			open_to(&fe, SHARED);
			sample_make(&s, &fe, r);
			assert_true(fe_send(&fe, r, 0, &s.p, sizes[i], s.fds, s.nfds));
			assert_false(settle(&fe));
			fe_close(&fe);
			rig_wait_free(&rig, 0);
		}
	}
}

static void lengths_that_are_never_sent(void **state)
{
	static const uint32_t sizes[] = { VU_PAYLOAD_BYTES_MAX + 1, 65536, INT32_MAX, UINT32_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct vu_header h = { VU_SET_CONFIG, VU_FLAG_VERSION, sizes[i] };
		struct vu_msg m;
		struct fe fe;

		open_to(&fe, NEGOTIATED);
		assert_true(fe_send_bytes(&fe, &h, sizeof(h), NULL, 0));
		assert_int_equal(fe_receive(&fe, &m), 0);
		fe_close(&fe);
	}
}

/* CVE-2022-0669, CVE-2019-14818: fds that nobody asked for are closed, whatever the message. */
static void any_number_of_fds_on_any_message(void **state)
{
	static const unsigned counts[] = { 0, 1, 2, 7, 8, 9, 32 };
	int fds[32];

	(void)state;
	for (uint32_t r = 0; r < VU_REQUEST_COUNT + 1; r++) {
		const struct vu_shape *shape = vu_shape_find(r);

		for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
			struct sample s;
			struct fe fe;
			bool lives;

			open_to(&fe, SHARED);
			sample_make(&s, &fe, r);
			for (unsigned k = 0; k < 32; k++)
				fds[k] = fe.memfd;
			assert_true(
				fe_send(&fe, r, VU_FLAG_NEED_REPLY, &s.p, s.size, fds, counts[i]));
			lives = settle(&fe);
			if (counts[i] > VU_FDS_MAX ||
			    (shape && (counts[i] < shape->fds_min || counts[i] > shape->fds_max)))
				assert_false(lives);
			fe_close(&fe);
			rig_wait_free(&rig, 0);
		}
		fe_io(&good, 0);
	}
}

static void every_message_cut_after_every_byte(void **state)
{
	static const uint32_t requests[] = { VU_SET_MEM_TABLE, VU_SET_VRING_ADDR, VU_GET_CONFIG,
					     VU_SET_INFLIGHT_FD, VU_SET_DEVICE_STATE_FD,
					     VU_GET_FEATURES };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		unsigned len = VU_HEADER_BYTES + 1;

		for (unsigned cut = 1; cut < len; cut++) {
			uint8_t bytes[VU_HEADER_BYTES + sizeof(struct vu_mem_table)];
			struct vu_header h;
			struct sample s;
			struct fe fe;

			open_to(&fe, SHARED);
			sample_make(&s, &fe, requests[i]);
			h = (struct vu_header){ requests[i], VU_FLAG_VERSION, s.size };
			memcpy(bytes, &h, sizeof(h));
			memcpy(bytes + sizeof(h), &s.p, s.size);
			len = VU_HEADER_BYTES + s.size;
			assert_true(fe_send_bytes(&fe, bytes, cut, s.fds, s.nfds));
			fe_close(&fe);
			rig_wait_free(&rig, 0);
		}
		fe_io(&good, 0);
	}
}

/* Half a message is waited for, and costs nothing meanwhile. */
static void half_a_message_does_not_spin(void **state)
{
	const struct vu_header h = { VU_SET_FEATURES, VU_FLAG_VERSION, 8 };
	struct reactor_stats before, after;
	uint64_t v = FE_FEATURES;
	struct fe fe;

	(void)state;
	open_to(&fe, NEGOTIATED);
	assert_true(fe_send_bytes(&fe, &h, 9, NULL, 0));
	reactor_get_stats(rig.control, &before);
	usleep(100000);
	reactor_get_stats(rig.control, &after);
	assert_true(after.turns - before.turns < 100);
	assert_true(fe_send_bytes(&fe, (const char *)&h + 9, 3, NULL, 0));
	assert_true(fe_send_bytes(&fe, &v, 8, NULL, 0));
	assert_true(settle(&fe));
	fe_close(&fe);
}

static void versions_and_replies_are_refused(void **state)
{
	static const uint32_t flags[] = { 0, 2, 3, 5, 0xfffffff0 };
	struct vu_msg m;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct vu_header h = { VU_GET_FEATURES, flags[i], 0 };
		struct fe fe;

		open_to(&fe, NEGOTIATED);
		assert_true(fe_send_bytes(&fe, &h, sizeof(h), NULL, 0));
		assert_int_equal(fe_receive(&fe, &m), 0);
		fe_close(&fe);
	}
}

/* One line a connection, which names the disk, the message and the reason. */
static void the_log_line_names_disk_message_and_reason(void **state)
{
	const char *last;
	struct fe fe;

	(void)state;
	open_to(&fe, SHARED);
	assert_true(
		fe_send(&fe, VU_SET_VRING_NUM, 0, &(struct vu_vring_state){ 99, 8 }, 8, NULL, 0));
	assert_false(settle(&fe));
	fe_close(&fe);
	rig_wait_free(&rig, 0);
	assert_int_equal(rig_errors(&last), 1);
	assert_string_equal(last,
			    "victim: SET_VRING_NUM: queue 99, the device has 8; connection closed");
}

/* CVE-2020-10726, CVE-2019-14818: ten thousand times the same leaves no more fds and no more maps
 * than once. */
static void ten_thousand_times(void **state)
{
	static const uint32_t requests[] = { VU_GET_INFLIGHT_FD, VU_SET_MEM_TABLE,
					     VU_SET_VRING_CALL, VU_SET_VRING_NUM, VU_SET_LOG_BASE,
					     VU_SET_DEVICE_STATE_FD };
	unsigned fds, maps;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		int event = eventfd(0, EFD_CLOEXEC);
		struct sample s;
		struct fe fe;

		open_to(&fe, SHARED);
		sample_make(&s, &fe, requests[i]);
		if (requests[i] == VU_SET_VRING_CALL) {
			s.p.u64 = 0;
			s.fds[0] = event;
			s.nfds = 1;
		}
		fds = maps = 0;
		for (unsigned n = 0; n < 10000; n++) {
			int64_t rc = fe_ask(&fe, requests[i], &s.p, s.size, s.fds, s.nfds);

			assert_true(rc >= 0);
			if (n == 10) {
				assert_true(settle(&fe)); /* the server has closed the last one's */
				fds = rig_count_fds();
				maps = rig_count_maps();
			}
		}
		assert_true(settle(&fe));
		assert_int_equal(rig_count_fds(), fds);
		assert_in_range(rig_count_maps(), 1, maps + 8); /* the allocator's own */
		close(event);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

/* The same inflight area set again and again: the old map goes. */
static void the_inflight_area_is_replaced_not_collected(void **state)
{
	const struct vu_inflight want = { .nqueues = 4, .queue_size = 128 };
	unsigned maps = 0;
	struct vu_msg m;
	struct fe fe;

	(void)state;
	open_to(&fe, SHARED);
	for (unsigned n = 0; n < 2000; n++) {
		assert_true(fe_send(&fe, VU_GET_INFLIGHT_FD, 0, &want, sizeof(want), NULL, 0));
		assert_int_equal(fe_receive(&fe, &m), 1);
		assert_int_equal(fe_ask(&fe, VU_SET_INFLIGHT_FD, &m.p, sizeof(want), m.fds, 1), 0);
		vu_msg_close_fds(&m);
		if (n == 10)
			maps = rig_count_maps();
	}
	assert_in_range(rig_count_maps(), 1, maps + 8);
	fe_close(&fe);
}

/* A front-end that asks and never listens: replies wait, the server does not. */
static void a_front_end_that_never_reads(void **state)
{
	struct fe fe;
	unsigned n = 0;

	(void)state;
	open_to(&fe, NEGOTIATED);
	assert_int_equal(fcntl(fe.fd, F_SETFL, O_NONBLOCK), 0);
	while (n < 100000 && fe_send(&fe, VU_GET_FEATURES, 0, NULL, 0, NULL, 0))
		n++;
	assert_true(n < 100000); /* it stopped reading us, too */
	fe_io(&good, 0);
	fe_close(&fe);
}

#define T(name) cmocka_unit_test_setup_teardown(name, each, each_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_message_in_every_state),
		T(payloads_of_every_wrong_length),
		T(lengths_that_are_never_sent),
		T(any_number_of_fds_on_any_message),
		T(every_message_cut_after_every_byte),
		T(half_a_message_does_not_spin),
		T(versions_and_replies_are_refused),
		T(the_log_line_names_disk_message_and_reason),
		T(ten_thousand_times),
		T(the_inflight_area_is_replaced_not_collected),
		T(a_front_end_that_never_reads),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
