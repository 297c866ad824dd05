/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the device through a channel of the front-end's: from one server to another, at any
 * pace, and what a front-end with bad intentions does with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/integration/vu_fixture.h"
#include "vhost/user/vu_state.h"

#define OK	 VU_VRING_NOFD /* the reply to SET_DEVICE_STATE_FD: accepted, no other channel */
#define REFUSED	 (VU_VRING_NOFD | 1)
#define BLOB_MAX 0x40000

static void open_stopped(struct fe *fe, unsigned server)
{
	fe_open(fe, rig.path[server]);
	fe_negotiate(fe, FE_FEATURES, FE_PROTOCOL);
	fe_share(fe);
}

/* A pipe, or a pair of sockets; end 0 is to be read, end 1 to be written. */
static void channel_make(int ends[2], bool socket)
{
	if (socket)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	else
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

/* @fd is the server's from then on, as QEMU does it. */
static int64_t hand_over(struct fe *fe, uint32_t direction, int fd)
{
	const struct vu_transfer_params p = { direction, VU_TRANSFER_STOPPED };
	int64_t rc = fe_ask(fe, VU_SET_DEVICE_STATE_FD, &p, sizeof(p), &fd, 1);

	close(fd);
	return rc;
}

static int64_t check(struct fe *fe)
{
	return fe_ask(fe, VU_CHECK_DEVICE_STATE, NULL, 0, NULL, 0);
}

/* Everything up to the end. */
static size_t read_all(int fd, uint8_t *buf)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf + len, BLOB_MAX - len)) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);
	close(fd);
	return len;
}

static size_t save(struct fe *fe, bool socket, uint8_t *buf)
{
	int ends[2];

	channel_make(ends, socket);
	assert_int_equal(hand_over(fe, VU_TRANSFER_SAVE, ends[1]), OK);
	return read_all(ends[0], buf);
}

/* Returns what CHECK_DEVICE_STATE says. */
static int64_t load(struct fe *fe, bool socket, const uint8_t *buf, size_t len)
{
	size_t at = 0;
	int ends[2];

	channel_make(ends, socket);
	assert_int_equal(hand_over(fe, VU_TRANSFER_LOAD, ends[0]), OK);
	while (at < len) {
		ssize_t n = write(ends[1], buf + at, len - at);

		if (n <= 0)
			break; /* it has heard enough */
		at += (size_t)n;
	}
	close(ends[1]);
	return check(fe);
}

static void set_state(struct fe *fe, uint8_t v)
{
	const struct vu_config c = { .off = 32, .size = 1, .data = { v } };

	assert_int_equal(fe_ask(fe, VU_SET_CONFIG, &c, VU_CONFIG_HDR_BYTES + 1, NULL, 0), 0);
}

static uint8_t get_state(struct fe *fe)
{
	const struct vu_config c = { .off = 32, .size = 1 };
	struct vu_msg m;

	assert_true(fe_send(fe, VU_GET_CONFIG, 0, &c, VU_CONFIG_HDR_BYTES + 1, NULL, 0));
	assert_int_equal(fe_receive(fe, &m), 1);
	return m.p.config.data[0];
}

static void the_state_moves_to_another_server(void **state)
{
	static uint8_t buf[BLOB_MAX];
	unsigned resets;
	struct fe fe;
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		open_stopped(&fe, 0);
		fe_start(&fe, 0, 64);
		fe_io(&fe, 0);
		(void)fe_stop(&fe, 0);
		set_state(&fe, (uint8_t)(0x40 + i));
		len = save(&fe, i, buf);
		assert_int_equal(len, VU_STATE_HDR_BYTES + 1);
		assert_int_equal(check(&fe), 0);
		assert_int_equal(check(&fe), 1); /* only once */
		(void)rig_errors(NULL);
		fe_start(&fe, 0, 64); /* the migration has failed elsewhere: it goes on */
		fe_io(&fe, 0);
		fe_close(&fe);

		open_stopped(&fe, 1);
		assert_int_equal(load(&fe, i, buf, len), 0);
		assert_int_equal(get_state(&fe), 0x40 + i);
		/* a driver that was at its beginning: the device is not to forget it all again */
		resets = __atomic_load_n(&rig.dev[1].resets, __ATOMIC_ACQUIRE);
		fe_start(&fe, 0, 64);
		fe_io(&fe, 0);
		assert_int_equal(__atomic_load_n(&rig.dev[1].resets, __ATOMIC_ACQUIRE), resets);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
		rig_wait_free(&rig, 1);
	}
}

/* A byte now and then; the server does other things meanwhile. */
static void a_slow_front_end_is_not_waited_for(void **state)
{
	static uint8_t buf[BLOB_MAX];
	static char junk[65536];
	int ends[2], flags;
	size_t len, junk_len = 0;
	struct fe fe;
	ssize_t n;

	(void)state;
	for (unsigned socket = 0; socket < 2; socket++) {
		open_stopped(&fe, 0);
		set_state(&fe, 0x33);
		len = save(&fe, socket, buf);
		set_state(&fe, 0x44);
		channel_make(ends, socket);
		flags = fcntl(ends[0], F_GETFL);
		assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, dup(ends[0])), OK);
		/* it is the front-end's, too, and it would have us wait */
		assert_int_equal(fcntl(ends[0], F_SETFL, flags & ~O_NONBLOCK), 0);
		for (size_t i = 0; i < len; i++) {
			assert_int_equal(get_state(&fe), 0x44);
			assert_int_equal(write(ends[1], buf + i, 1), 1);
		}
		close(ends[1]);
		assert_int_equal(check(&fe), 0);
		assert_int_equal(get_state(&fe), 0x33);
		close(ends[0]);

		/* a channel that is full */
		channel_make(ends, socket);
		assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
		junk_len = 0;
		while ((n = write(ends[1], junk, socket ? 512 : sizeof(junk))) > 0)
			junk_len += (size_t)n;
		assert_int_equal(hand_over(&fe, VU_TRANSFER_SAVE, dup(ends[1])), OK);
		assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
		assert_int_equal(get_state(&fe), 0x33);
		close(ends[1]);
		assert_int_equal(read_all(ends[0], buf), junk_len + len);
		assert_int_equal(buf[junk_len + VU_STATE_HDR_BYTES], 0x33);
		assert_int_equal(check(&fe), 0);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

/* A refusal is an answer; the connection and a transfer under way go on. */
static void what_cannot_be_a_transfer_is_refused(void **state)
{
	static const struct vu_transfer_params params[] = {
		{ 2, 0 }, { UINT32_MAX, 0 }, { 0, 1 }, { 1, UINT32_MAX },
	};
	static uint8_t buf[BLOB_MAX];
	struct fe fe;
	int ends[2], fds[5];
	size_t len;

	(void)state;
	open_stopped(&fe, 0);
	assert_int_equal(check(&fe), 1); /* of nothing */
	len = save(&fe, false, buf);
	assert_int_equal(check(&fe), 0);
	channel_make(ends, false);
	fds[0] = eventfd(0, EFD_CLOEXEC);
	fds[1] = fe.memfd;
	fds[2] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	fds[3] = open("/proc/self/fd", O_RDONLY | O_CLOEXEC);
	fds[4] = ends[1]; /* to be read from */
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, dup(fds[i])), REFUSED);
	fds[4] = ends[0];
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		assert_int_equal(hand_over(&fe, VU_TRANSFER_SAVE, dup(fds[i])), REFUSED);
	for (unsigned i = 0; i < ARRAY_SIZE(params); i++)
		assert_int_equal(fe_ask(&fe, VU_SET_DEVICE_STATE_FD, &params[i], sizeof(params[i]),
					&ends[i & 1], 1),
				 REFUSED);
	/* two at a time: the first goes on */
	assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, dup(ends[0])), OK);
	assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, dup(ends[0])), REFUSED);
	assert_int_equal(hand_over(&fe, VU_TRANSFER_SAVE, dup(ends[1])), REFUSED);
	assert_int_equal(write(ends[1], buf, len), len);
	close(ends[1]);
	assert_int_equal(check(&fe), 0);
	close(ends[0]);
	/* while a ring runs */
	fe_start(&fe, 0, 64);
	fe_io(&fe, 0);
	channel_make(ends, true);
	assert_int_equal(hand_over(&fe, VU_TRANSFER_SAVE, ends[1]), REFUSED);
	assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, ends[0]), REFUSED);
	fe_io(&fe, 0);
	fe_close(&fe);
	close(fds[0]);
	close(fds[2]);
	close(fds[3]);
	/* without the feature: the end */
	fe_open(&fe, rig.path[1]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL & ~VU_BIT(VU_PROTOCOL_F_DEVICE_STATE));
	assert_int_equal(check(&fe), -1);
	fe_close(&fe);
}

/* Each is refused with one line, and changes nothing. */
static void blobs_that_cannot_be(void **state)
{
	static const struct {
		size_t len;
		unsigned at;
		uint8_t xor;
	} rows[] = {
		{ 0, 0, 0 },
		{ 1, 0, 0 },
		{ VU_STATE_HDR_BYTES - 1, 0, 0 },
		{ VU_STATE_HDR_BYTES, 0, 0 },	      /* the end is missing */
		{ VU_STATE_HDR_BYTES + 2, 0, 0 },     /* more than it says */
		{ VU_STATE_BYTES_MAX, 0, 0 },
		{ VU_STATE_BYTES_MAX + 1, 0, 0 },
		{ BLOB_MAX, 0, 0 },
		{ VU_STATE_HDR_BYTES + 1, 0, 1 },     /* magic */
		{ VU_STATE_HDR_BYTES + 1, 8, 3 },     /* version */
		{ VU_STATE_HDR_BYTES + 1, 12, 0x80 }, /* length */
		{ VU_STATE_HDR_BYTES + 1, 15, 0x80 },
		{ VU_STATE_HDR_BYTES + 1, 16, 8 },    /* another kind of device */
		{ VU_STATE_HDR_BYTES + 1, 20, 1 },    /* reserved */
		{ VU_STATE_HDR_BYTES + 1, 24, 0x80 }, /* what only the device type knows */
	};
	static uint8_t good[BLOB_MAX];
	struct fe fe;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		open_stopped(&fe, 0);
		memset(good, 0, sizeof(good));
		set_state(&fe, 0x11);
		(void)save(&fe, i & 1, good);
		set_state(&fe, 0x22);
		(void)rig_errors(NULL);
		good[rows[i / 2].at] ^= rows[i / 2].xor;
		assert_int_equal(load(&fe, i & 1, good, rows[i / 2].len), 1);
		assert_int_equal(rig_errors(NULL), 1);
		assert_int_equal(get_state(&fe), 0x22);
		/* and once more, as it should be */
		good[rows[i / 2].at] ^= rows[i / 2].xor;
		assert_int_equal(load(&fe, i & 1, good, VU_STATE_HDR_BYTES + 1), 0);
		assert_int_equal(get_state(&fe), 0x11);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

static void a_ring_that_starts_in_the_middle(void **state)
{
	static uint8_t buf[BLOB_MAX];
	int ends[2];
	struct fe fe;
	size_t len;

	(void)state;
	open_stopped(&fe, 0);
	set_state(&fe, 0x11);
	len = save(&fe, false, buf);
	set_state(&fe, 0x22);
	channel_make(ends, false);
	assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, ends[0]), OK);
	fe_start(&fe, 0, 64);
	fe_io(&fe, 0);
	assert_int_equal(write(ends[1], buf, len), len);
	close(ends[1]);
	assert_int_equal(check(&fe), 1);
	assert_int_equal(get_state(&fe), 0x22);
	fe_close(&fe);
}

/* What does not end is ended by the question for it, or with the connection. */
static void a_channel_that_never_ends(void **state)
{
	struct vu_msg m;
	struct fe fe;
	int ends[2];

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool socket = i & 1, saves = i & 2, hangs_up = i & 4;

		open_stopped(&fe, 0);
		channel_make(ends, socket);
		if (saves) {
			static char junk[512];

			assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
			while (write(ends[1], junk, sizeof(junk)) > 0)
				;
			assert_int_equal(errno, EAGAIN);
		} else {
			assert_int_equal(write(ends[1], "nvrSTATE", 8), 8);
		}
		assert_int_equal(hand_over(&fe, saves ? VU_TRANSFER_SAVE : VU_TRANSFER_LOAD,
					   ends[saves]),
				 OK);
		if (hangs_up) {
			fe_hang_up(&fe);
			rig_wait_free(&rig, 0);
		} else {
			assert_int_equal(check(&fe), 1);
			assert_true(fe_send(&fe, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0));
			assert_int_equal(fe_receive(&fe, &m), 1);
		}
		if (!saves) { /* nobody listens any more */
			assert_int_equal(write(ends[1], "x", 1), -1);
			assert_int_equal(errno, EPIPE);
		}
		close(ends[!saves]);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

static void the_reader_of_the_state_goes_away(void **state)
{
	struct fe fe;
	int ends[2];

	(void)state;
	for (unsigned socket = 0; socket < 2; socket++) {
		open_stopped(&fe, 0);
		channel_make(ends, socket);
		close(ends[0]);
		(void)rig_errors(NULL);
		assert_int_equal(hand_over(&fe, VU_TRANSFER_SAVE, ends[1]), OK);
		assert_int_equal(check(&fe), 1);
		assert_int_equal(rig_errors(NULL), 1);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

/* No fd is left behind, and the log is not filled. */
static void again_and_again(void **state)
{
	static uint8_t buf[BLOB_MAX];
	unsigned fds = 0;
	struct fe fe;

	(void)state;
	open_stopped(&fe, 0);
	(void)rig_errors(NULL);
	for (unsigned n = 0; n < 2000; n++) {
		size_t len = save(&fe, n & 1, buf);

		assert_int_equal(load(&fe, n & 1, buf, n & 2 ? len : len - 1), !(n & 2));
		assert_int_equal(hand_over(&fe, VU_TRANSFER_LOAD, dup(fe.memfd)), REFUSED);
		if (n == 10)
			fds = rig_count_fds();
	}
	assert_int_equal(rig_count_fds(), fds);
	assert_in_range(rig_errors(NULL), 1, 16);
	fe_close(&fe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUIET(the_state_moves_to_another_server),
		QUIET(a_slow_front_end_is_not_waited_for),
		NOISY(what_cannot_be_a_transfer_is_refused),
		NOISY(blobs_that_cannot_be),
		NOISY(a_ring_that_starts_in_the_middle),
		NOISY(a_channel_that_never_ends),
		NOISY(the_reader_of_the_state_goes_away),
		NOISY(again_and_again),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
