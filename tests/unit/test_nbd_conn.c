/* SPDX-License-Identifier: BSD-3-Clause */
/* One NBD connection: requests in pieces, replies through a narrow socket, and what no client should send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "tests/unit/fake_bdev.h"
#include "vdpa/nbd_conn.h"

#define SLOTS 4
#define BUF   8192

static struct nbd_conn *conn;
static uint8_t *bufs;
static int client;
static unsigned overs;

static void on_over(struct nbd_conn *c)
{
	(void)c;
	overs++;
}

static void turns(void)
{
	for (unsigned i = 0; i < 64; i++)
		reactor_turn(rig.r);
}

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	if (rig_open(&(struct bdev_limits){ .has_flush = true, .discard_max = 1 << 20, .zeroes_max = 1 << 20 }) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		return -1;
	reactor_set_mode(rig.r, REACTOR_POLL); /* turns look at no fds */
	rig.fake.auto_later = true;
	rig.fake.trace[0] = '\0';
	overs = 0;
	client = fds[0];
	conn = aligned_alloc(64, CC_ALIGN_UP(sizeof(*conn), 64ul));
	memset(conn, 0, sizeof(*conn));
	conn->slots = aligned_alloc(64, SLOTS * CC_ALIGN_UP(sizeof(*conn->slots), 64ul));
	memset(conn->slots, 0, SLOTS * sizeof(*conn->slots));
	bufs = malloc(SLOTS * BUF);
	for (unsigned i = 0; i < SLOTS; i++)
		conn->slots[i].buf = bufs + i * BUF;
	conn->name = "vol0";
	conn->fd = fds[1];
	conn->reactor = conn->control = rig.r;
	conn->chan = rig.chan;
	conn->nslots = SLOTS;
	conn->buf_bytes = BUF;
	conn->over = on_over;
	nbd_conn_start(conn);
	turns();
	return 0;
}

static int tear_down(void **state)
{
	unsigned broken;

	(void)state;
	nbd_conn_leave(conn);
	rig_settle();
	turns();
	broken = overs != 1;
	close(client);
	close(conn->fd);
	free(conn->slots);
	free(conn);
	free(bufs);
	return broken + rig_close() ? -1 : 0;
}

static void send_bytes(const void *data, size_t len)
{
	assert_int_equal(write(client, data, len), len);
}

static struct nbd_wire_request request(uint16_t op, uint16_t flags, uint64_t off, uint32_t len)
{
	return (struct nbd_wire_request){
		.magic = htobe32(NBD_WIRE_REQUEST), .flags = htobe16(flags), .op = htobe16(op),
		.cookie = 0x1122334455667788 + off, .off = htobe64(off), .len = htobe32(len),
	};
}

static void ask(uint16_t op, uint16_t flags, uint64_t off, uint32_t len)
{
	struct nbd_wire_request rq = request(op, flags, off, len);

	send_bytes(&rq, sizeof(rq));
}

/* The next reply must be that of the request at @off. Its error. */
static uint32_t answer(uint64_t off)
{
	struct nbd_wire_reply reply;

	turns();
	assert_int_equal(read(client, &reply, sizeof(reply)), sizeof(reply));
	assert_int_equal(be32toh(reply.magic), NBD_WIRE_REPLY);
	assert_int_equal(reply.cookie, 0x1122334455667788 + off);
	return be32toh(reply.error);
}

static void is_ended(void)
{
	char byte;

	turns();
	assert_int_equal(read(client, &byte, 1), -1); /* nothing more comes */
	assert_true(conn->is_shut);
}

static void each_operation_reaches_the_disk(void **state)
{
	uint8_t data[4096], back[4096];

	(void)state;
	memset(data, 0x5a, sizeof(data));
	ask(NBD_WIRE_WRITE, NBD_WIRE_FUA, 8192, sizeof(data));
	send_bytes(data, sizeof(data));
	assert_int_equal(answer(8192), 0);
	ask(NBD_WIRE_READ, 0, 8192, sizeof(back));
	assert_int_equal(answer(8192), 0);
	assert_int_equal(read(client, back, sizeof(back)), sizeof(back));
	assert_memory_equal(data, back, sizeof(data));
	ask(NBD_WIRE_FLUSH, 0, 0, 0);
	assert_int_equal(answer(0), 0);
	ask(NBD_WIRE_TRIM, 0, 512, 1024);
	assert_int_equal(answer(512), 0);
	ask(NBD_WIRE_ZEROES, NBD_WIRE_NO_HOLE, 4096, 4096);
	assert_int_equal(answer(4096), 0);
	assert_non_null(strstr(rig.fake.trace, "R 8192+4096"));
	assert_non_null(strstr(rig.fake.trace, "D 512+1024"));
	assert_non_null(strstr(rig.fake.trace, "Z~ 4096+4096"));
}

static void it_comes_in_any_pieces(void **state)
{
	struct nbd_wire_request rq = request(NBD_WIRE_WRITE, 0, 0, 512);
	uint8_t all[sizeof(rq) + 512];

	(void)state;
	memcpy(all, &rq, sizeof(rq));
	memset(all + sizeof(rq), 0x77, 512);
	for (size_t i = 0; i < sizeof(all); i++) {
		send_bytes(all + i, 1);
		reactor_turn(rig.r);
	}
	assert_int_equal(answer(0), 0);
	assert_int_equal(rig.fake.data[511], 0x77);
}

static void who_asks_for_more_than_there_are_slots_waits(void **state)
{
	(void)state;
	rig.fake.auto_later = false;
	for (unsigned i = 0; i < 3 * SLOTS; i++)
		ask(NBD_WIRE_FLUSH, 0, i, 0);
	turns();
	assert_int_equal(rig.fake.nheld, SLOTS);
	rig.fake.auto_later = true;
	rig_settle();
	for (unsigned i = 0; i < 3 * SLOTS; i++) {
		struct nbd_wire_reply reply;

		turns();
		assert_int_equal(read(client, &reply, sizeof(reply)), sizeof(reply));
		assert_int_equal(reply.error, 0);
	}
}

static void a_slow_reader_gets_all_of_it(void **state)
{
	size_t want = 64 * (sizeof(struct nbd_wire_reply) + BUF), got = 0;
	int small = 4096;
	uint8_t buf[512];
	ssize_t n;

	(void)state;
	assert_int_equal(setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	for (unsigned i = 0; i < 64; i++)
		ask(NBD_WIRE_READ, 0, 0, BUF);
	for (unsigned i = 0; i < 100000 && got < want; i++) {
		reactor_turn(rig.r);
		n = read(client, buf, sizeof(buf));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, want);
}

static void what_makes_no_sense_is_refused_and_the_next_is_served(void **state)
{
	static uint8_t data[BUF + 512];

	(void)state;
	ask(NBD_WIRE_WRITE, 0, 4096, sizeof(data));
	send_bytes(data, sizeof(data));
	assert_int_equal(answer(4096), EINVAL);
	ask(NBD_WIRE_READ, 0, 0, 0xfffffe00);
	assert_int_equal(answer(0), EINVAL);
	ask(NBD_WIRE_READ, 0, 512, 0);
	assert_int_equal(answer(512), EINVAL);
	ask(NBD_WIRE_READ, 0, RIG_BYTES, 512);
	assert_int_equal(answer(RIG_BYTES), EINVAL);
	ask(NBD_WIRE_READ, 0, UINT64_MAX - 511, 512);
	assert_int_equal(answer(UINT64_MAX - 511), EINVAL);
	ask(99, 0, 1024, 0);
	assert_int_equal(answer(1024), EINVAL);
	rig.fake.fail_with = -EIO;
	ask(NBD_WIRE_READ, 0, 0, 512);
	assert_int_equal(answer(0), EIO);
	rig.fake.fail_with = 0;
	ask(NBD_WIRE_FLUSH, 0, 7, 0);
	assert_int_equal(answer(7), 0);
	assert_int_equal(conn->errors, 5 + 2);
}

static void what_is_no_request_ends_the_connection(void **state)
{
	struct nbd_wire_request rq = request(NBD_WIRE_READ, 0, 0, 512);

	(void)state;
	rq.magic = 1;
	send_bytes(&rq, sizeof(rq));
	send_bytes(&rq, sizeof(rq));
	is_ended();
}

static void a_client_may_say_goodbye(void **state)
{
	(void)state;
	ask(NBD_WIRE_DISCONNECT, 0, 0, 0);
	is_ended();
}

static void a_client_may_vanish_with_io_under_way(void **state)
{
	(void)state;
	rig.fake.auto_later = false;
	ask(NBD_WIRE_READ, 0, 0, 512);
	turns();
	assert_int_equal(rig.fake.nheld, 1);
	assert_int_equal(shutdown(client, SHUT_RDWR), 0);
	turns();
	assert_true(conn->is_shut);
}

static void who_leaves_answers_what_it_has(void **state)
{
	(void)state;
	rig.fake.auto_later = false;
	ask(NBD_WIRE_READ, 0, 0, 512);
	turns();
	nbd_conn_leave(conn);
	turns();
	ask(NBD_WIRE_READ, 0, 512, 512);
	turns();
	assert_int_equal(overs, 0);
	assert_int_equal(rig.fake.nheld, 1);
	rig_settle();
	assert_int_equal(answer(0), 0);
	assert_int_equal(overs, 1);
	conn->state = NBD_CONN_SERVES; /* for tear_down, whose leave comes again */
	overs = 0;
	nbd_conn_start(conn);
	turns();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(each_operation_reaches_the_disk),
		TEST(it_comes_in_any_pieces),
		TEST(who_asks_for_more_than_there_are_slots_waits),
		TEST(a_slow_reader_gets_all_of_it),
		TEST(what_makes_no_sense_is_refused_and_the_next_is_served),
		TEST(what_is_no_request_ends_the_connection),
		TEST(a_client_may_say_goodbye),
		TEST(a_client_may_vanish_with_io_under_way),
		TEST(who_leaves_answers_what_it_has),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
