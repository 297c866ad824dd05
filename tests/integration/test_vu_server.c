/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhost-user server with an honest front-end: every order of life that real ones have. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/integration/vu_fixture.h"

static void the_first_ring_alone_is_started(void **state)
{
	struct vu_session_info info;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned n = 0; n < 200; n++)
		fe_io(&fe, 0);
	rig_info(&rig, 0, &info);
	assert_string_equal(info.state, "RUNNING");
	assert_int_equal(info.peer_pid, getpid());
	assert_int_equal(info.nqueues, 1);
	assert_true(info.queues[0].started && info.queues[0].enabled);
	assert_int_equal(info.nregions, 1);
	assert_int_equal(info.regions[0].gpa, FE_GPA);
	vu_session_info_fini(&info);
	fe_close(&fe);
}

static void packed_rings_work(void **state)
{
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES | VIRTIO_BIT(VIRTIO_F_RING_PACKED), FE_PROTOCOL);
	fe_share(&fe);
	fe_start(&fe, 0, 48); /* any size, not only powers of two */
	fe_start(&fe, 3, 64);
	for (unsigned n = 0; n < 300; n++) {
		fe_io(&fe, 0);
		fe_io(&fe, 3);
	}
	fe_close(&fe);
}

/* The oldest front-ends: no REPLY_ACK, no slots, rings enabled by the kick where bit 30 is not
 * taken. */
static void little_is_enough(void **state)
{
	static const uint64_t features[] = { VIRTIO_BIT(VIRTIO_F_VERSION_1), FE_FEATURES, 0 };
	struct fe fe;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		fe_open(&fe, rig.path[0]);
		fe_negotiate(&fe, features[i],
			     VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_CONFIG));
		fe_share(&fe);
		fe_start(&fe, 0, 128);
		fe_io(&fe, 0);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

static void rings_restart_with_any_size_and_position(void **state)
{
	static const uint16_t sizes[] = { 64, 256, 2, 1024, 128 };
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned round = 0; round < 20; round++) {
		(void)fe_stop(&fe, 0);
		fe_start(&fe, 0, sizes[round % ARRAY_SIZE(sizes)]);
		fe_io(&fe, 0);
		fe_io(&fe, 0);
		assert_int_equal(fe_stop(&fe, 0), 2);
		/* and on from there, as after a pause of the machine */
		fe_describe(&fe, 0, fe.q[0].size, 2);
		fe_send_fd(&fe, VU_SET_VRING_KICK, 0, fe.q[0].kick);
		assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1), 0);
		fe_io(&fe, 0);
	}
	fe_close(&fe);
}

static void get_vring_base_waits_for_its_own_ring_only(void **state)
{
	struct vu_vring_state st = { 0, 0 };
	struct vu_msg m;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	fe_start(&fe, 1, 64);
	fe_io(&fe, 1);
	rig_hold(&rig, 0);
	fe_submit(&fe, 0);
	fixture_wait_held(1);
	assert_true(fe_send(&fe, VU_GET_VRING_BASE, 0, &st, sizeof(st), NULL, 0));
	assert_true(fe_send(&fe, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0));
	assert_true(fe_is_silent(&fe)); /* neither answer, nor the next message is read */
	fe_submit(&fe, 1);		/* the other ring goes on meanwhile */
	fixture_wait_held(2);
	rig_release(&rig, 0);
	assert_int_equal(fe_receive(&fe, &m), 1);
	assert_int_equal(m.h.request, VU_GET_VRING_BASE);
	assert_int_equal(m.p.state.num, 2);
	assert_int_equal(fe_receive(&fe, &m), 1);
	assert_int_equal(m.p.u64, RIG_QUEUES);
	fe_complete(&fe, 0);
	fe_complete(&fe, 1);
	fe_io(&fe, 1);
	fe_close(&fe);
}

static void disabling_pauses_and_enabling_goes_on(void **state)
{
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned n = 0; n < 20; n++) {
		assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 0), 0);
		fe_submit(&fe, 0);
		assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1), 0);
		fe_complete(&fe, 0);
	}
	fe_close(&fe);
}

static void calls_come_through_the_newest_fd(void **state)
{
	int other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct pollfd p = { .fd = other, .events = POLLIN };
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	vqd_call_enable(&fe.q[0].d);
	fe_send_fd(&fe, VU_SET_VRING_CALL, 0, -1); /* masked */
	(void)fe_get(&fe, VU_GET_QUEUE_NUM);
	fe_io(&fe, 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	fe_send_fd(&fe, VU_SET_VRING_CALL, 0, other);
	(void)fe_get(&fe, VU_GET_QUEUE_NUM);
	vqd_call_enable(&fe.q[0].d);
	fe_io(&fe, 0);
	assert_int_equal(poll(&p, 1, 10000), 1);
	close(other);
	fe_close(&fe);
}

/* A queue that is polled has no kick fd; one that changes its kick fd goes on. */
static void kicks_can_change_and_be_none(void **state)
{
	struct fe fe;
	int old;

	(void)state;
	fe_good(&fe, rig.path[0]);
	fe_send_fd(&fe, VU_SET_VRING_KICK, 0, -1);
	(void)fe_get(&fe, VU_GET_QUEUE_NUM);
	old = fe.q[0].d.c.kick_fd;
	fe.q[0].d.c.kick_fd = -1;
	fe_io(&fe, 0);
	usleep(20000);
	fe_io(&fe, 0);
	fe.q[0].d.c.kick_fd = old;
	fe_send_fd(&fe, VU_SET_VRING_KICK, 0, old);
	(void)fe_get(&fe, VU_GET_QUEUE_NUM);
	for (unsigned n = 0; n < 5; n++) {
		fe_io(&fe, 0);
		usleep(1000); /* asleep in between */
	}
	fe_close(&fe);
}

static void any_piece_of_the_configuration_is_answered(void **state)
{
	static const struct {
		uint32_t off, size, payload;
	} rows[] = { { 0, 57, 0 },  { 0, 60, 0 }, { 0, 96, 0 },
		     { 0, 256, 0 }, { 10, 4, 0 }, { 200, 56, 0 } };
	struct vu_config c = { 0 };
	struct vu_msg m;
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		c.off = rows[i].off;
		c.size = rows[i].size;
		assert_true(
			fe_send(&fe, VU_GET_CONFIG, 0, &c, VU_CONFIG_HDR_BYTES + c.size, NULL, 0));
		assert_int_equal(fe_receive(&fe, &m), 1);
		assert_int_equal(m.h.size, VU_CONFIG_HDR_BYTES + c.size);
		for (unsigned k = 0; k < c.size; k++)
			assert_int_equal(m.p.config.data[k],
					 c.off + k < RIG_CONFIG_BYTES ? c.off + k + 1 : 0);
	}
	/* beyond 256: an empty reply is the error */
	c.off = 0;
	c.size = 300;
	assert_true(fe_send(&fe, VU_GET_CONFIG, 0, &c, sizeof(c), NULL, 0));
	assert_int_equal(fe_receive(&fe, &m), 1);
	assert_int_equal(m.h.size, 0);
	fe_close(&fe);
}

static void only_writable_configuration_is_written(void **state)
{
	struct vu_config c = { .off = 32, .size = 1, .data = { 7 } };
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	assert_int_equal(fe_ask(&fe, VU_SET_CONFIG, &c, VU_CONFIG_HDR_BYTES + 1, NULL, 0), 0);
	assert_int_equal(rig.dev[0].config[32], 7);
	c.off = 0;
	assert_int_equal(fe_ask(&fe, VU_SET_CONFIG, &c, VU_CONFIG_HDR_BYTES + 1, NULL, 0), 1);
	/* without a question there is no answer, and the connection stays */
	assert_true(fe_send(&fe, VU_SET_CONFIG, 0, &c, VU_CONFIG_HDR_BYTES + 1, NULL, 0));
	fe_io(&fe, 0);
	assert_int_equal(fe_get(&fe, VU_GET_QUEUE_NUM), RIG_QUEUES);
	fe_close(&fe);
}

static void a_changed_configuration_is_told(void **state)
{
	struct vu_header h;
	struct fe fe;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL);
	rig_config_change(&rig, 0, 3, 99); /* nobody to tell: no harm */
	assert_int_equal(fe_ask(&fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	rig_config_change(&rig, 0, 3, 100);
	assert_int_equal(recv(pair[0], &h, sizeof(h), MSG_WAITALL), sizeof(h));
	assert_int_equal(h.request, VU_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(h.flags, VU_FLAG_VERSION);
	assert_int_equal(h.size, 0);
	close(pair[0]);
	close(pair[1]);
	rig_config_change(&rig, 0, 3, 4);
	assert_int_equal(fe_get(&fe, VU_GET_QUEUE_NUM), RIG_QUEUES);
	fe_close(&fe);
	rig_errors(NULL); /* the channel that was closed */
}

static void status_is_kept_and_zero_stops_the_rings(void **state)
{
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	assert_int_equal(fe_get(&fe, VU_GET_STATUS), 0);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_STATUS, 15), 0);
	assert_int_equal(fe_get(&fe, VU_GET_STATUS), 15);
	fe_io(&fe, 0);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_STATUS, 0), 0);
	assert_int_equal(fe_get(&fe, VU_GET_STATUS), 0);
	assert_int_equal(fe_stop(&fe, 0), 2); /* the position is kept for GET_VRING_BASE */
	fe_close(&fe);
}

static void features_that_were_not_offered_leave_features_ok_clear(void **state)
{
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES | 1ull << 60), 0);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_STATUS, 11), 0);
	assert_int_equal(fe_get(&fe, VU_GET_STATUS), 3);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES), 0);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_STATUS, 11), 0);
	assert_int_equal(fe_get(&fe, VU_GET_STATUS), 11);
	fe_close(&fe);
}

/* A pause of the machine (status 0, then the same position) does not reset the device type; a new
 * beginning does. */
static void the_device_is_reset_when_a_driver_begins_anew(void **state)
{
	unsigned resets;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	resets = __atomic_load_n(&rig.dev[0].resets, __ATOMIC_ACQUIRE);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_STATUS, 0), 0);
	assert_int_equal(fe_stop(&fe, 0), 1);
	fe_describe(&fe, 0, 64, 1);
	fe_send_fd(&fe, VU_SET_VRING_KICK, 0, fe.q[0].kick);
	assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1), 0);
	fe_io(&fe, 0);
	assert_int_equal(__atomic_load_n(&rig.dev[0].resets, __ATOMIC_ACQUIRE), resets);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_STATUS, 0), 0);
	fe_start(&fe, 0, 64);
	fe_io(&fe, 0);
	assert_int_equal(__atomic_load_n(&rig.dev[0].resets, __ATOMIC_ACQUIRE), resets + 1);
	assert_int_equal(fe_ask(&fe, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(__atomic_load_n(&rig.dev[0].resets, __ATOMIC_ACQUIRE), resets + 2);
	fe_start(&fe, 0, 32);
	fe_io(&fe, 0);
	fe_close(&fe);
}

static void unknown_requests_are_answered_where_asked(void **state)
{
	struct vu_msg m;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	assert_int_equal(fe_ask_u64(&fe, 77, 5), 1);
	assert_int_equal(fe_ask(&fe, VU_POSTCOPY_ADVISE, NULL, 0, NULL, 0), 1);
	assert_int_equal(fe_ask(&fe, 0x7fffffff, NULL, 0, &fe.memfd, 1), 1);
	fe_io(&fe, 0);
	assert_true(fe_send(&fe, VU_IOTLB_MSG, 0, NULL, 0, NULL, 0));
	assert_int_equal(fe_receive(&fe, &m), 0);
	fe_close(&fe);
	assert_int_equal(rig_errors(NULL), 1);
}

static void a_second_client_is_turned_away_politely(void **state)
{
	struct vu_msg m;
	struct fe fe, second;
	uint64_t start;

	(void)state;
	fe_good(&fe, rig.path[0]);
	start = mono_ns();
	for (unsigned i = 0; i < 5; i++) {
		fe_open(&second, rig.path[0]);
		assert_int_equal(fe_receive(&second, &m), 0);
		fe_close(&second);
	}
	fe_io(&fe, 0);
	/* one line a second, not five */
	assert_in_range(rig_errors(NULL), 1, 1 + (mono_ns() - start) / MONO_NS_PER_SEC);
	fe_close(&fe);
}

static bool is_stopped(void *arg)
{
	struct vu_session_info info;
	bool is;

	(void)arg;
	rig_info(&rig, 0, &info);
	is = strcmp(info.state, "STOPPED") == 0;
	vu_session_info_fini(&info);
	return is;
}

/* A front-end with one request in the device, which does not answer. */
static void good_but_held(struct fe *fe)
{
	fe_good(fe, rig.path[0]);
	rig_hold(&rig, 0);
	fe_submit(fe, 0);
	fixture_wait_held(1);
}

/* The old session's I/O is still under way: the next front-end waits in the backlog, the control
 * reactor does not. */
static void a_new_front_end_waits_until_the_old_one_has_drained(void **state)
{
	struct fe fe, next;
	struct vu_msg m;

	(void)state;
	good_but_held(&fe);
	fe_hang_up(&fe);
	fe_open(&next, rig.path[0]);
	assert_true(fe_send(&next, VU_GET_FEATURES, 0, NULL, 0, NULL, 0));
	assert_true(fe_is_silent(&next));
	rig_wait(is_stopped, NULL);
	rig_release(&rig, 0);
	assert_int_equal(fe_receive(&next, &m), 1);
	assert_int_equal(m.p.u64 >> VHOST_USER_F_PROTOCOL_FEATURES & 1, 1);
	fe_close(&next);
	fe_close(&fe);
}

/* Who restarts a front-end need not know that the last one's message is still under way. */
static void the_next_one_waits_for_a_message_of_the_last(void **state)
{
	struct vu_vring_state st = { 0, 0 };
	struct fe fe, next;
	struct vu_msg m;

	(void)state;
	good_but_held(&fe);
	assert_true(fe_send(&fe, VU_GET_VRING_BASE, 0, &st, sizeof(st), NULL, 0));
	assert_true(fe_is_silent(&fe));
	fe_close(&fe);
	fe_open(&next, rig.path[0]);
	assert_true(fe_send(&next, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0));
	assert_true(fe_is_silent(&next));
	rig_release(&rig, 0);
	assert_int_equal(fe_receive(&next, &m), 1);
	assert_int_equal(m.p.u64, RIG_QUEUES);
	fe_close(&next);
}

static void a_server_stops_with_io_in_flight(void **state)
{
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned n = 0; n < 30; n++)
		fe_submit(&fe, 0);
	rig_server_stop(&rig, 0);
	fe_close(&fe);
	rig_server_start(&rig, 0);
}

static void rings_spread_over_the_reactors(void **state)
{
	unsigned per_reactor[RIG_REACTORS] = { 0 };
	struct vu_session_info info;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned i = 1; i < RIG_QUEUES; i++) {
		fe_start(&fe, i, 64);
		fe_io(&fe, i);
	}
	rig_info(&rig, 0, &info);
	assert_int_equal(info.nqueues, RIG_QUEUES);
	for (unsigned i = 0; i < info.nqueues; i++)
		per_reactor[info.queues[i].reactor_id == rig.data[0]->id]++;
	assert_int_equal(per_reactor[0], per_reactor[1]);
	vu_session_info_fini(&info);
	fe_close(&fe);
}

/* Those that are near come first in what the server was given. */
static void rings_stay_near(void **state)
{
	struct vu_session_info info;
	struct fe fe;

	(void)state;
	rig_server_stop(&rig, 0);
	rig.nnear = 1;
	rig_server_start(&rig, 0);
	rig.nnear = 0;
	fe_good(&fe, rig.path[0]);
	for (unsigned i = 1; i < RIG_QUEUES; i++) {
		fe_start(&fe, i, 64);
		fe_io(&fe, i);
	}
	rig_info(&rig, 0, &info);
	assert_int_equal(info.nqueues, RIG_QUEUES);
	for (unsigned i = 0; i < info.nqueues; i++)
		assert_int_equal(info.queues[i].reactor_id, rig.data[0]->id);
	vu_session_info_fini(&info);
	fe_close(&fe);
	rig_server_stop(&rig, 0);
	rig_server_start(&rig, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUIET(the_first_ring_alone_is_started),
		QUIET(packed_rings_work),
		QUIET(little_is_enough),
		QUIET(rings_restart_with_any_size_and_position),
		QUIET(get_vring_base_waits_for_its_own_ring_only),
		QUIET(disabling_pauses_and_enabling_goes_on),
		QUIET(calls_come_through_the_newest_fd),
		QUIET(kicks_can_change_and_be_none),
		QUIET(any_piece_of_the_configuration_is_answered),
		QUIET(only_writable_configuration_is_written),
		QUIET(a_changed_configuration_is_told),
		QUIET(status_is_kept_and_zero_stops_the_rings),
		QUIET(features_that_were_not_offered_leave_features_ok_clear),
		QUIET(the_device_is_reset_when_a_driver_begins_anew),
		QUIET(unknown_requests_are_answered_where_asked),
		QUIET(a_second_client_is_turned_away_politely),
		QUIET(a_new_front_end_waits_until_the_old_one_has_drained),
		NOISY(the_next_one_waits_for_a_message_of_the_last), /* its answer has nobody to go to */
		QUIET(a_server_stops_with_io_in_flight),
		QUIET(rings_spread_over_the_reactors),
		QUIET(rings_stay_near),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
