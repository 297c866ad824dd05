/* SPDX-License-Identifier: BSD-3-Clause */
/* A daemon's session that dies and comes back: what the next one is told, in which order, and what happens meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/log.h"
#include "core/base/mono.h"
#include "tests/unit/leaks.h"
#include "vdpa/vdpa_keeper.h"
#include "vhost/client/virtio_user_sock.h"
#include "vhost/virtq/virtio_spec.h"

#define WAIT_MS	   20000 /* for a daemon that comes back, on any machine */
#define IN_VAIN_MS 500	 /* for one that does not */
#define HEARD	 512 /* messages of one session: all TALKS, where no kill comes in time */
#define SESSIONS 64
#define FEATURES (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define PROTOCOL (VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD))
#define POISON	 0xdead /* SET_VRING_NUM that ends a session */

/*
 * The fake daemon: a thread for each session, which writes down what it hears
 */
struct session {
	pthread_t thread;
	int sock;
	char heard[HEARD][48];
	unsigned n;
	ino_t memory, region;
};

static struct {
	struct vdpa_source source;
	pthread_mutex_t lock; /* guards the rest */
	bool is_there, is_deaf;
	unsigned die_at; /* the session that begins next ends instead of answering this message; 0: none */
	uint32_t base;	 /* answer to GET_VRING_BASE */
	unsigned nsessions;
	struct session s[SESSIONS];
	unsigned lost, back; /* lines */
} fake;

static struct vdpa_keeper *keeper;
static struct errbuf why;
static struct leaks before_all;

static void describe(const struct vu_msg *m, char *ret, size_t len)
{
	const char *name = vu_request_name(m->h.request);

	switch (m->h.request) {
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
	case VU_SET_FEATURES:
	case VU_SET_PROTOCOL_FEATURES:
	case VU_SET_STATUS:
		snprintf(ret, len, "%s %llx", name, (unsigned long long)m->p.u64);
		break;
	case VU_SET_VRING_ADDR:
		snprintf(ret, len, "%s %u %llx", name, m->p.addr.index, (unsigned long long)m->p.addr.desc);
		break;
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
	case VU_SET_VRING_ENABLE:
	case VU_GET_VRING_BASE:
		snprintf(ret, len, "%s %u %u", name, m->p.state.index, m->p.state.num);
		break;
	case VU_SET_CONFIG:
		snprintf(ret, len, "%s %u+%u %02x", name, m->p.config.off, m->p.config.size, m->p.config.data[0]);
		break;
	default:
		snprintf(ret, len, "%s", name);
		break;
	}
}

static ino_t ino_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* With the lock. What arrives is used: a kick or call fd that is none would be noticed by who waits for it. */
static void look_at_fds(struct session *s, const struct vu_msg *m)
{
	const uint64_t one = 1;

	if (m->h.request == VU_SET_MEM_TABLE)
		s->memory = ino_of(m->fds[0]);
	if (m->h.request == VU_SET_INFLIGHT_FD)
		s->region = ino_of(m->fds[0]);
	if (m->h.request >= VU_SET_VRING_KICK && m->h.request <= VU_SET_VRING_ERR && m->nfds)
		assert_int_equal(write(m->fds[0], &one, sizeof(one)), sizeof(one));
}

static void answer(struct session *s, const struct vu_msg *m)
{
	struct vu_msg out;

	vu_msg_init(&out, m->h.request, VU_FLAG_REPLY, sizeof(out.p.u64));
	if (m->h.request == VU_GET_VRING_BASE) {
		pthread_mutex_lock(&fake.lock);
		out.p.state = (struct vu_vring_state){ m->p.state.index, fake.base };
		pthread_mutex_unlock(&fake.lock);
	} else if (m->h.request == VU_GET_INFLIGHT_FD) {
		out.h.size = sizeof(out.p.inflight);
		out.p.inflight = m->p.inflight;
		out.p.inflight.mmap_size = 4096;
		out.fds[out.nfds++] = memfd_create("region", MFD_CLOEXEC);
	}
	(void)virtio_user_sock_send(s->sock, &out);
	vu_msg_close_fds(&out);
}

static void *session_main(void *arg)
{
	struct session *s = arg;
	struct vu_msg m;
	unsigned die_at;

	pthread_mutex_lock(&fake.lock);
	die_at = fake.die_at;
	fake.die_at = 0;
	pthread_mutex_unlock(&fake.lock);
	while (!virtio_user_sock_recv(s->sock, &m, 20000)) {
		bool ends, is_deaf;

		pthread_mutex_lock(&fake.lock);
		assert_true(s->n < HEARD);
		describe(&m, s->heard[s->n++], sizeof(s->heard[0]));
		look_at_fds(s, &m);
		ends = s->n == die_at || (m.h.request == VU_SET_VRING_NUM && m.p.state.num == POISON);
		is_deaf = fake.is_deaf;
		pthread_mutex_unlock(&fake.lock);
		vu_msg_close_fds(&m);
		if (ends)
			break;
		if (!is_deaf)
			answer(s, &m);
	}
	(void)shutdown(s->sock, SHUT_RDWR);
	return NULL;
}

static int fake_connect(struct vdpa_source *source, int *ret_sock, struct errbuf *eb)
{
	struct session *s;
	int pair[2];

	(void)source;
	pthread_mutex_lock(&fake.lock);
	if (!fake.is_there) {
		pthread_mutex_unlock(&fake.lock);
		return errbuf_set(eb, -ECONNREFUSED, "nobody is there");
	}
	assert_true(fake.nsessions < SESSIONS);
	s = &fake.s[fake.nsessions++];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s->sock = pair[1];
	assert_int_equal(pthread_create(&s->thread, NULL, session_main, s), 0);
	pthread_mutex_unlock(&fake.lock);
	*ret_sock = pair[0];
	return 0;
}

static const struct vdpa_source_ops fake_ops = { .connect = fake_connect };

static void set_there(bool is_there)
{
	pthread_mutex_lock(&fake.lock);
	fake.is_there = is_there;
	pthread_mutex_unlock(&fake.lock);
}

static unsigned session_count(void)
{
	unsigned n;

	pthread_mutex_lock(&fake.lock);
	n = fake.nsessions;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/* The daemon ends; with @stays another one is there at once. */
static void kill_daemon(bool stays)
{
	pthread_mutex_lock(&fake.lock);
	fake.is_there = stays;
	(void)shutdown(fake.s[fake.nsessions - 1].sock, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
}

static void set_base(uint32_t base)
{
	pthread_mutex_lock(&fake.lock);
	fake.base = base;
	pthread_mutex_unlock(&fake.lock);
}

/* What that session has been given, and how much it has heard. */
static struct session session_at(unsigned i)
{
	struct session s;

	pthread_mutex_lock(&fake.lock);
	s = fake.s[i];
	pthread_mutex_unlock(&fake.lock);
	return s;
}

static void lines(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	pthread_mutex_lock(&fake.lock);
	fake.lost += strstr(text, "has ended the session") || strstr(text, "is away: ");
	fake.back += strstr(text, "is back after") != NULL;
	pthread_mutex_unlock(&fake.lock);
}

static unsigned line_count(const unsigned *which)
{
	unsigned n;

	pthread_mutex_lock(&fake.lock);
	n = *which;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

#define await(condition)                                                  \
	for (unsigned left_ = 20000; !(condition); nap())                 \
		if (!left_--)                                             \
			fail_msg("in vain: %s", #condition)

static bool is_up(void)
{
	return vdpa_keeper_check(keeper, NULL) == 0;
}

/*
 * What a front-end says
 */
static int say(struct vu_msg *m)
{
	return vdpa_keeper_tell(keeper, m, &why);
}

static int say_u64(uint32_t request, uint64_t v)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = v;
	return say(&m);
}

static int say_ring(uint32_t request, unsigned index, uint32_t num)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.state));
	m.p.state = (struct vu_vring_state){ index, num };
	return say(&m);
}

static int say_fd(uint32_t request, uint32_t size, uint64_t v, int fd)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, size);
	m.p.u64 = v;
	m.fds[m.nfds++] = fd;
	return say(&m);
}

static int say_config(uint32_t off, uint8_t v)
{
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_CONFIG, 0, VU_CONFIG_HDR_BYTES + 1);
	m.p.config.off = off;
	m.p.config.size = 1;
	m.p.config.data[0] = v;
	return say(&m);
}

static int ask_base(unsigned index, uint32_t *ret)
{
	struct vu_msg m;
	int err;

	vu_msg_init(&m, VU_GET_VRING_BASE, 0, sizeof(m.p.state));
	m.p.state.index = index;
	err = vdpa_keeper_ask(keeper, &m, &why);
	if (!err)
		*ret = m.p.state.num;
	return err;
}

static int kick, call, err_fd, memory;

static void negotiate(void)
{
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_OWNER, 0, 0);
	assert_int_equal(say(&m), 0);
	assert_int_equal(say_u64(VU_SET_PROTOCOL_FEATURES, PROTOCOL | VU_BIT(VU_PROTOCOL_F_MQ)), 0);
	assert_int_equal(say_u64(VU_SET_FEATURES, FEATURES), 0);
	vu_msg_init(&m, VU_SET_MEM_TABLE, 0, 8 + sizeof(struct vu_region));
	m.p.table.nregions = 1;
	m.fds[m.nfds++] = memory;
	assert_int_equal(say(&m), 0);
}

/* But for ENABLE. */
static void describe_ring(unsigned i)
{
	struct vu_msg m;

	assert_int_equal(say_ring(VU_SET_VRING_NUM, i, 64), 0);
	assert_int_equal(say_ring(VU_SET_VRING_BASE, i, 0), 0);
	vu_msg_init(&m, VU_SET_VRING_ADDR, 0, sizeof(m.p.addr));
	m.p.addr = (struct vu_vring_addr){ .index = i, .desc = 0xd0 + i };
	assert_int_equal(say(&m), 0);
	assert_int_equal(say_fd(VU_SET_VRING_KICK, 8, i, kick), 0);
	assert_int_equal(say_fd(VU_SET_VRING_CALL, 8, i, call), 0);
	assert_int_equal(say_fd(VU_SET_VRING_ERR, 8, i, err_fd), 0);
}

static void drain(int fd)
{
	uint64_t n;

	(void)!read(fd, &n, sizeof(n)); /* only to empty it */
}

static void heard_is(unsigned session, const char *const want[])
{
	const struct session *s = &fake.s[session];
	unsigned i;

	pthread_mutex_lock(&fake.lock);
	for (i = 0; want[i]; i++) {
		if (i >= s->n || strcmp(s->heard[i], want[i]) != 0)
			fail_msg("session %u, message %u: \"%s\", not \"%s\"", session, i,
				 i < s->n ? s->heard[i] : "(none)", want[i]);
	}
	if (i < s->n)
		fail_msg("session %u: \"%s\" at the end", session, s->heard[i]);
	pthread_mutex_unlock(&fake.lock);
}

/* How often the latest session has heard it. */
static unsigned heard_count(const char *text)
{
	unsigned n = 0;

	pthread_mutex_lock(&fake.lock);
	for (unsigned i = 0; i < fake.s[fake.nsessions - 1].n; i++)
		n += strcmp(fake.s[fake.nsessions - 1].heard[i], text) == 0;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

/*
 * Set-up
 */
static int setup_to_wait(unsigned ms)
{
	const struct vdpa_keeper_opts opts = { .name = "dev",
					       .source = &fake.source,
					       .wait_ms = ms,
					       .nqueues = 4,
					       .protocol = PROTOCOL };

	log_set_sink(lines);
	log_set_level(LOG_LEVEL_NOTICE);
	before_all = leaks_now();
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	fake.source.ops = &fake_ops;
	fake.is_there = true;
	kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	memory = memfd_create("memory", MFD_CLOEXEC);
	why.text[0] = '\0';
	if (vdpa_keeper_create(&opts, &keeper, &why))
		fail_msg("%s", why.text);
	assert_int_equal(vdpa_keeper_begin(keeper, &why), 0);
	assert_true(is_up());
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_to_wait(WAIT_MS);
}

static int setup_to_wait_in_vain(void **state)
{
	(void)state;
	return setup_to_wait(IN_VAIN_MS);
}

static int teardown(void **state)
{
	(void)state;
	vdpa_keeper_destroy(keeper);
	for (unsigned i = 0; i < fake.nsessions; i++) {
		pthread_join(fake.s[i].thread, NULL);
		close(fake.s[i].sock);
	}
	close(kick);
	close(call);
	close(err_fd);
	close(memory);
	log_set_sink(NULL);
	pthread_mutex_destroy(&fake.lock);
	assert_no_leaks(before_all);
	return 0;
}

/*
 * Tests
 */
static void the_next_session_is_told_all_in_order(void **state)
{
	static const char *const want[] = {
		"SET_PROTOCOL_FEATURES 1009", "SET_OWNER", "SET_FEATURES 140000000", "SET_LOG_BASE",
		"SET_BACKEND_REQ_FD", "SET_CONFIG 32+1 00", "SET_INFLIGHT_FD", "SET_MEM_TABLE",
		"SET_VRING_NUM 0 64", "SET_VRING_BASE 0 0", "SET_VRING_ADDR 0 d0", "SET_VRING_CALL 0", "SET_VRING_ERR 0",
		"SET_VRING_KICK 0", "SET_VRING_NUM 2 64", "SET_VRING_BASE 2 0", "SET_VRING_ADDR 2 d2",
		"SET_VRING_CALL 2", "SET_VRING_ERR 2", "SET_VRING_ENABLE 0 1", "SET_STATUS f", NULL
	};
	uint64_t n;

	(void)state;
	negotiate();
	assert_int_equal(say_fd(VU_SET_LOG_BASE, 16, 4096, memory), 0);
	assert_int_equal(say_fd(VU_SET_BACKEND_REQ_FD, 0, 0, memory), 0);
	describe_ring(0);
	describe_ring(2); /* not enabled: its kick would start it where there are no protocol features */
	assert_int_equal(say_config(32, 1), 0);
	assert_int_equal(say_config(32, 0), 0);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(say_u64(VU_SET_STATUS, 0xf), 0);
	assert_int_equal(heard_count("GET_INFLIGHT_FD"), 1); /* the front-end has no region: there is one */
	for (unsigned round = 1; round <= 3; round++) {
		drain(kick);
		drain(call);
		drain(err_fd);
		kill_daemon(false);
		await(line_count(&fake.lost) == round);
		set_there(true);
		await(is_up());
		assert_int_equal(session_count(), round + 1);
		heard_is(round, want);
		assert_true(session_at(round).memory == ino_of(memory));
		assert_true(session_at(round).region == session_at(0).region);
		assert_int_equal(read(kick, &n, sizeof(n)), sizeof(n));
		assert_int_equal(n, 1);
		assert_int_equal(read(call, &n, sizeof(n)), sizeof(n));
		assert_int_equal(n, 2); /* of both rings */
		assert_int_equal(read(err_fd, &n, sizeof(n)), sizeof(n));
		await(line_count(&fake.back) == round);
	}
	assert_int_equal(line_count(&fake.lost), 3);
}

static void the_front_ends_own_region_comes_back(void **state)
{
	int region = memfd_create("own", MFD_CLOEXEC);
	struct vu_msg m;

	(void)state;
	negotiate();
	vu_msg_init(&m, VU_SET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	m.p.inflight = (struct vu_inflight){ .mmap_size = 4096, .nqueues = 1, .queue_size = 64 };
	m.fds[m.nfds++] = region;
	assert_int_equal(say(&m), 0);
	describe_ring(0);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(heard_count("GET_INFLIGHT_FD"), 0);
	kill_daemon(true);
	await(session_count() == 2 && is_up());
	assert_true(session_at(1).region == ino_of(region));
	assert_int_equal(heard_count("GET_INFLIGHT_FD"), 0);
	/* a ring beyond it: nobody knows where it is */
	describe_ring(1);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 1, 1), 0);
	kill_daemon(true);
	await(vdpa_keeper_has_failed(keeper));
	assert_int_equal(session_count(), 2);
	assert_int_equal(say_u64(VU_SET_FEATURES, FEATURES), -EPIPE);
	close(region);
}

/* A session that dies at each message that it is told in turn: the one after it is told all. */
static void a_hang_up_in_the_middle_begins_again(void **state)
{
	unsigned all, at;

	(void)state;
	negotiate();
	describe_ring(0);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	kill_daemon(true);
	await(session_count() == 2 && is_up());
	all = session_at(1).n;
	assert_int_equal(all, 12);
	for (at = 1; at <= all; at++) {
		unsigned before = session_count();

		pthread_mutex_lock(&fake.lock);
		fake.die_at = at;
		pthread_mutex_unlock(&fake.lock);
		kill_daemon(true);
		await(session_count() == before + 2 && is_up());
		assert_int_equal(session_at(before).n, at);
		assert_int_equal(session_at(before + 1).n, all);
		assert_int_equal(heard_count("SET_VRING_ENABLE 0 1"), 1);
	}
	assert_int_equal(line_count(&fake.lost), all + 1); /* one line each, not two */
}

static void while_it_is_away_descriptions_are_remembered(void **state)
{
	uint32_t base = 7;

	(void)state;
	negotiate();
	kill_daemon(false);
	await(!is_up());
	describe_ring(1);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 1, 1), 0);
	assert_int_equal(say_u64(VU_SET_STATUS, 0xf), 0);
	/* these cannot be known, and wait in vain */
	assert_int_equal(ask_base(1, &base), -ETIMEDOUT);
	assert_int_equal(base, 7);
	assert_non_null(strstr(why.text, "nvringd is away"));
	assert_int_equal(say_config(32, 0), -ETIMEDOUT);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 1, 0), -ETIMEDOUT); /* what is in flight must end */
	assert_int_equal(say_u64(VU_SET_STATUS, 0), -ETIMEDOUT);
	/* these no session would take */
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 1, 2), -EINVAL);
	assert_int_equal(say_ring(VU_SET_VRING_NUM, 4000, 64), -EINVAL);
	assert_int_equal(say_ring(VU_SET_VRING_BASE, 1, 5), -EINVAL);
	assert_false(vdpa_keeper_has_failed(keeper));
	set_there(true);
	await(is_up());
	assert_int_equal(heard_count("SET_VRING_NUM 1 64"), 1);
	assert_int_equal(heard_count("GET_INFLIGHT_FD"), 1);
	assert_int_equal(heard_count("SET_VRING_ENABLE 1 1"), 1);
	assert_int_equal(heard_count("SET_STATUS f"), 1);
	assert_int_equal(heard_count("SET_CONFIG 32+1 00"), 0);
}

static void *come_back(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	set_there(true);
	return arg;
}

/* The one that finds out is carried out by the next session. */
static void a_question_waits_for_the_return(void **state)
{
	uint32_t base = 0;
	pthread_t t;

	(void)state;
	negotiate();
	describe_ring(0);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	set_base(4711);
	kill_daemon(false);
	assert_int_equal(pthread_create(&t, NULL, come_back, NULL), 0);
	assert_int_equal(ask_base(0, &base), 0);
	assert_int_equal(base, 4711);
	pthread_join(t, NULL);
	assert_int_equal(heard_count("GET_VRING_BASE 0 0"), 1);
}

static void positions_are_the_sessions_last_word(void **state)
{
	uint32_t base = 0;

	(void)state;
	negotiate();
	for (unsigned i = 0; i < 3; i++) {
		describe_ring(i);
		assert_int_equal(say_ring(VU_SET_VRING_ENABLE, i, 1), 0);
	}
	set_base(100);
	assert_int_equal(ask_base(0, &base), 0); /* stopped by the front-end */
	set_base(200);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 1, 0), 0); /* paused: asked by ourselves */
	assert_int_equal(heard_count("GET_VRING_BASE 1 0"), 1);
	kill_daemon(true);
	await(session_count() == 2 && is_up());
	assert_int_equal(heard_count("SET_VRING_BASE 0 100"), 1);
	assert_int_equal(heard_count("SET_VRING_KICK 0"), 0);
	assert_int_equal(heard_count("SET_VRING_ENABLE 0 1"), 0);
	assert_int_equal(heard_count("SET_VRING_BASE 1 200"), 1);
	assert_int_equal(heard_count("SET_VRING_ENABLE 1 1"), 0);
	assert_int_equal(heard_count("SET_VRING_KICK 2"), 1);
	/* the paused one starts with the kick fd that it has; the other one with that which the front-end gives */
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 1, 1), 0);
	assert_int_equal(heard_count("SET_VRING_KICK 1"), 1);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(heard_count("SET_VRING_KICK 0"), 0);
	set_base(300);
	assert_int_equal(say_u64(VU_SET_STATUS, 0), 0); /* all of them */
	kill_daemon(true);
	await(session_count() == 3 && is_up());
	for (unsigned i = 0; i < 3; i++) {
		char text[32];

		snprintf(text, sizeof(text), "SET_VRING_BASE %u 300", i);
		assert_int_equal(heard_count(text), 1);
	}
	assert_int_equal(heard_count("SET_STATUS 0"), 0);
}

/* It would be the end of the next session, and of the next. */
static void what_ends_a_session_is_not_told_again(void **state)
{
	(void)state;
	negotiate();
	assert_int_equal(say_ring(VU_SET_VRING_NUM, 0, POISON), -EPIPE);
	assert_true(vdpa_keeper_has_failed(keeper));
	assert_int_equal(session_count(), 3);
	assert_int_equal(say_ring(VU_SET_VRING_NUM, 0, 64), -EPIPE);
	vdpa_keeper_end(keeper);
	assert_int_equal(vdpa_keeper_begin(keeper, &why), 0);
	assert_int_equal(say_ring(VU_SET_VRING_NUM, 0, 64), 0);
}

/* Whatever the thread does just then; the next front-end finds nothing of this one. */
static void a_front_end_leaves_while_it_is_away(void **state)
{
	static const char *const nothing[] = { "SET_PROTOCOL_FEATURES 1008", NULL };
	unsigned before;

	(void)state;
	negotiate();
	describe_ring(0);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	kill_daemon(false);
	await(!is_up());
	vdpa_keeper_end(keeper);
	set_there(true);
	assert_int_equal(vdpa_keeper_begin(keeper, &why), 0);
	assert_true(is_up());
	heard_is(session_count() - 1, nothing);
	/* while a session that does not answer is told */
	before = session_count();
	pthread_mutex_lock(&fake.lock);
	fake.is_deaf = true;
	pthread_mutex_unlock(&fake.lock);
	kill_daemon(true);
	await(session_count() > before);
	vdpa_keeper_end(keeper);
	pthread_mutex_lock(&fake.lock);
	fake.is_deaf = false;
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(vdpa_keeper_begin(keeper, &why), 0);
	assert_true(is_up());
	heard_is(session_count() - 1, nothing);
	/* and with the device, at once */
	set_there(false);
	kill_daemon(false);
}

static void a_front_end_comes_while_it_is_away(void **state)
{
	(void)state;
	kill_daemon(false);
	vdpa_keeper_end(keeper);
	assert_int_equal(vdpa_keeper_begin(keeper, &why), 0);
	assert_int_equal(vdpa_keeper_check(keeper, &why), -EPIPE);
	assert_string_equal(why.text, "nobody is there");
	negotiate();
	set_there(true);
	await(is_up());
	assert_int_equal(heard_count("SET_MEM_TABLE"), 1);
	await(line_count(&fake.back) == 1);
}

#define KILLS 8
#define TALKS 200 /* more than there are kills, and the last one is 5 */

static unsigned talked; /* atomic */

static void *front_end_talks(void *arg)
{
	for (unsigned i = 0; i < TALKS; i++) {
		assert_int_equal(say_u64(VU_SET_STATUS, 1 + i % 15), 0);
		__atomic_store_n(&talked, i + 1, __ATOMIC_RELEASE);
	}
	return arg;
}

static void it_dies_while_the_front_end_talks(void **state)
{
	pthread_t t;

	(void)state;
	negotiate();
	describe_ring(0);
	assert_int_equal(say_ring(VU_SET_VRING_ENABLE, 0, 1), 0);
	talked = 0;
	assert_int_equal(pthread_create(&t, NULL, front_end_talks, NULL), 0);
	for (unsigned i = 0; i < KILLS; i++) {
		unsigned before = __atomic_load_n(&talked, __ATOMIC_ACQUIRE);

		kill_daemon(i % 2);
		nap();
		set_there(true);
		/* one message may hit one death, not three */
		await(is_up() && CC_MIN(before + 2, (unsigned)TALKS) <= __atomic_load_n(&talked, __ATOMIC_ACQUIRE));
	}
	pthread_join(t, NULL);
	await(is_up());
	assert_false(vdpa_keeper_has_failed(keeper));
	kill_daemon(true);
	await(heard_count("SET_STATUS 5") == 1 && is_up()); /* the last word */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void *nothing(void *arg)
{
	return arg;
}

/* The first thread may bring a sanitizer's own with it. */
static int group_setup(void **state)
{
	pthread_t t;

	(void)state;
	return pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_next_session_is_told_all_in_order),
		CASE(the_front_ends_own_region_comes_back),
		CASE(a_hang_up_in_the_middle_begins_again),
		cmocka_unit_test_setup_teardown(while_it_is_away_descriptions_are_remembered,
						setup_to_wait_in_vain, teardown),
		CASE(a_question_waits_for_the_return),
		CASE(positions_are_the_sessions_last_word),
		CASE(what_ends_a_session_is_not_told_again),
		CASE(a_front_end_leaves_while_it_is_away),
		CASE(a_front_end_comes_while_it_is_away),
		CASE(it_dies_while_the_front_end_talks),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
