/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a reactor, its messages and its file descriptors. The loop itself is in
 * reactor_turn.c. */
#include "core/reactor_priv.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/stall.h"
#include "core/worker.h"

#define LOG_TAG "reactor"
#include "core/base/log.h"

static __thread struct reactor *self;

/* Which ids are taken. */
static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER; /* guards ids_taken */
static bool ids_taken[REACTOR_MAX];

struct reactor *reactor_self(void)
{
	return self;
}

void reactor_adopt(struct reactor *r)
{
	self = r;
}

static int reactor_id_get(unsigned *ret_id)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&ids_lock);
	for (unsigned i = 0; i < REACTOR_MAX; i++) {
		if (ids_taken[i])
			continue;
		ids_taken[i] = true;
		*ret_id = i;
		err = 0;
		break;
	}
	pthread_mutex_unlock(&ids_lock);
	return err;
}

static void reactor_id_put(unsigned id)
{
	pthread_mutex_lock(&ids_lock);
	assert(ids_taken[id]);
	ids_taken[id] = false;
	pthread_mutex_unlock(&ids_lock);
}

static bool reactor_cpu_is_there(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return true;
	if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(set), &set) < 0)
		return false;
	return CPU_ISSET(cpu, &set);
}

static int reactor_open_fds(struct reactor_priv *pr)
{
	/* Edge-triggered: every write wakes, and nobody has to read it empty. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	pr->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (pr->epfd < 0)
		return -errno;
	pr->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pr->wake_fd < 0)
		return -errno;
	if (epoll_ctl(pr->epfd, EPOLL_CTL_ADD, pr->wake_fd, &ev) < 0)
		return -errno;
	return 0;
}

static uint64_t reactor_idle_pack(const struct reactor_idle *idle)
{
	static_assert(REACTOR_IDLE_LIMIT_NS <= UINT32_MAX, "two fit");
	return idle->min_ns << 32 | idle->max_ns;
}

static bool reactor_idle_is_valid(const struct reactor_idle *idle)
{
	return idle->min_ns <= idle->max_ns && idle->max_ns <= REACTOR_IDLE_LIMIT_NS;
}

static void reactor_init(struct reactor *r, struct reactor_priv *pr,
			 const struct reactor_opts *opts)
{
	const struct reactor_idle usual = { REACTOR_IDLE_MIN_NS, REACTOR_IDLE_MAX_NS };

	r->priv = pr;
	r->cpu = opts->cpu;
	strncpy(r->name, opts->name ? opts->name : "reactor", sizeof(r->name) - 1);
	list_init(&r->hot);
	list_init(&r->cold);
	list_init(&r->armed);
	r->dirty_last = &r->dirty_first;
	pr->reactor = r;
	pr->epfd = -1;
	pr->wake_fd = -1;
	pr->asked = opts->mode;
	pr->asked_idle = reactor_idle_pack(opts->idle.max_ns ? &opts->idle : &usual);
	reactor_take_asked(r);
	pr->look_ticks = mono_ns_to_ticks(REACTOR_LOOK_NS);
	pr->look_poll_ticks = mono_ns_to_ticks(REACTOR_LOOK_POLL_NS);
	pr->cold_ticks = mono_ns_to_ticks(REACTOR_COLD_NS);
	pr->rebase_ticks = mono_ns_to_ticks(REACTOR_REBASE_NS);
	mpsc_init(&pr->inbox);
	list_init(&pr->deadlines);
	r->now_ticks = mono_ticks();
	pr->turn_ticks = r->now_ticks;
	reactor_rebase(r);
}

int reactor_create(const struct reactor_opts *opts, struct reactor **ret_r)
{
	struct reactor *r;
	struct reactor_priv *pr;
	int err;

	if (!reactor_cpu_is_there(opts->cpu) || !reactor_idle_is_valid(&opts->idle))
		return -EINVAL;
	r = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*r), CACHELINE_BYTES));
	pr = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*pr), CACHELINE_BYTES));
	err = r && pr ? 0 : -ENOMEM;
	if (!err) {
		memset(r, 0, sizeof(*r));
		memset(pr, 0, sizeof(*pr));
		err = reactor_id_get(&r->id);
	}
	if (err) {
		free(pr);
		free(r);
		return err;
	}
	reactor_init(r, pr, opts);
	err = reactor_open_fds(pr);
	if (err) {
		reactor_destroy(r);
		return err;
	}
	*ret_r = r;
	return 0;
}

void reactor_destroy(struct reactor *r)
{
	struct reactor_priv *pr;

	if (!r)
		return;
	pr = r->priv;
	assert(!pr->has_thread && !pr->running);
	assert(pr->npollers == 0 && pr->nfds == 0);
	if (self == r)
		self = NULL;
	if (pr->wake_fd >= 0)
		close(pr->wake_fd);
	if (pr->epfd >= 0)
		close(pr->epfd);
	reactor_id_put(r->id);
	free(pr);
	free(r);
}

static void reactor_pin(const struct reactor *r)
{
	cpu_set_t set;

	if (r->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(r->cpu, &set);
	/* Was there at creation; when it has gone since, running elsewhere beats not running. */
	(void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

void reactor_run(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	int err = stall_guard_start();

	if (err)
		log_warn("reactor %s: no timer (%s): a front-end can hold it up", r->name,
			 strerror(-err));
	self = r;
	__atomic_store_n(&pr->running, 1, __ATOMIC_RELEASE);
	reactor_pin(r);
	r->now_ticks = mono_ticks();
	pr->turn_ticks = r->now_ticks;
	reactor_rebase(r);
	while (!counter_get(pr->stop)) {
		(void)reactor_once(r);
		if (reactor_may_sleep(r))
			reactor_sleep(r);
		else
			reactor_look(r, false);
	}
	stall_guard_stop();
	__atomic_store_n(&pr->stop, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&pr->running, 0, __ATOMIC_RELEASE);
}

static void *reactor_main(void *arg)
{
	struct reactor *r = arg;

	(void)pthread_setname_np(pthread_self(), r->name); /* cosmetic */
	reactor_run(r);
	return NULL;
}

int reactor_start(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	int err;

	assert(!pr->has_thread);
	__atomic_store_n(&pr->running, 1, __ATOMIC_RELEASE); /* from now on it is not ours */
	err = worker_thread_create(&pr->thread, reactor_main, r);
	if (err)
		__atomic_store_n(&pr->running, 0, __ATOMIC_RELEASE);
	pr->has_thread = err == 0;
	return err;
}

/* Partner: reactor_sleep(). write() is all that a signal handler may do here. */
static void reactor_wake(struct reactor *r)
{
	uint64_t one = 1;

	/* It fails only when the counter is full, and then the reactor has been woken often enough.
	 */
	ssize_t n = write(r->priv->wake_fd, &one, sizeof(one));

	(void)n;
}

void reactor_stop(struct reactor *r)
{
	__atomic_store_n(&r->priv->stop, 1, __ATOMIC_SEQ_CST);
	reactor_wake(r);
}

void reactor_join(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;

	if (!pr->has_thread)
		return;
	assert(self != r);
	(void)pthread_join(pr->thread, NULL);
	pr->has_thread = false;
}

void reactor_send(struct reactor *r, struct reactor_msg *msg, reactor_msg_fn fn)
{
	struct reactor_priv *pr = r->priv;

	msg->fn = fn;
	/* Whoever finds the inbox empty wakes; for the others somebody does already. The push is a
	 * full barrier. */
	if (mpsc_push(&pr->inbox, &msg->node) && counter_get(pr->sleeping))
		reactor_wake(r);
}

struct reactor_call {
	struct reactor_msg msg;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void reactor_call_run(struct reactor_msg *msg)
{
	struct reactor_call *call = container_of(msg, struct reactor_call, msg);

	call->fn(call->arg);
	sem_post(&call->done);
}

void reactor_call(struct reactor *r, void (*fn)(void *arg), void *arg)
{
	struct reactor_call call = { .fn = fn, .arg = arg };

	assert(self != r);
	sem_init(&call.done, 0, 0);
	reactor_send(r, &call.msg, reactor_call_run);
	while (sem_wait(&call.done) < 0)
		assert(errno == EINTR);
	sem_destroy(&call.done);
}

int reactor_fd_attach(struct reactor *r, struct reactor_fd *rfd, int fd, uint32_t events,
		      reactor_fd_fn fn)
{
	struct epoll_event ev = { .events = events, .data.u64 = (uintptr_t)rfd };

	assert(reactor_is_mine(r));
	if (epoll_ctl(r->priv->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*rfd = (struct reactor_fd){ .reactor = r, .fd = fd, .events = events, .fn = fn };
	r->priv->nfds++;
	return 0;
}

int reactor_fd_modify(struct reactor_fd *rfd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u64 = (uintptr_t)rfd };

	assert(rfd->reactor && reactor_is_mine(rfd->reactor));
	if (rfd->events == events)
		return 0;
	if (epoll_ctl(rfd->reactor->priv->epfd, EPOLL_CTL_MOD, rfd->fd, &ev) < 0)
		return -errno;
	rfd->events = events;
	return 0;
}

void reactor_fd_detach(struct reactor_fd *rfd)
{
	struct reactor *r = rfd->reactor;

	if (!r)
		return;
	assert(reactor_is_mine(r));
	(void)epoll_ctl(r->priv->epfd, EPOLL_CTL_DEL, rfd->fd, NULL); /* gone already when closed */
	reactor_forget_events(r, rfd);
	r->priv->nfds--;
	rfd->reactor = NULL;
}

void reactor_set_mode(struct reactor *r, enum reactor_mode mode)
{
	uint32_t *at = &r->priv->asked, old = counter_get(*at), new;

	do {
		new = (old & ~REACTOR_ASKED_MODE) | (uint32_t)mode;
	} while (!__atomic_compare_exchange_n(at, &old, new, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	reactor_wake(r);
}

enum reactor_mode reactor_get_mode(const struct reactor *r)
{
	return (enum reactor_mode)(counter_get(r->priv->asked) & REACTOR_ASKED_MODE);
}

int reactor_set_idle(struct reactor *r, const struct reactor_idle *idle)
{
	if (!reactor_idle_is_valid(idle))
		return -EINVAL;
	__atomic_store_n(&r->priv->asked_idle, reactor_idle_pack(idle), __ATOMIC_RELAXED);
	__atomic_add_fetch(&r->priv->asked, REACTOR_ASKED_IDLE, __ATOMIC_SEQ_CST);
	reactor_wake(r);
	return 0;
}

struct reactor_idle reactor_get_idle(const struct reactor *r)
{
	uint64_t both = counter_get(r->priv->asked_idle);

	return (struct reactor_idle){ .min_ns = both >> 32, .max_ns = (uint32_t)both };
}

void reactor_get_stats(const struct reactor *r, struct reactor_stats *ret)
{
	const struct reactor_priv *pr = r->priv;
	uint64_t since = counter_get(pr->sleep_since), now = mono_ticks();
	uint64_t sleep = counter_get(pr->sleep_ticks);

	if (since && now > since)
		sleep += now - since; /* still asleep */
	*ret = (struct reactor_stats){
		.turns = counter_get(pr->turns),
		.busy_ns = mono_ticks_to_ns(counter_get(pr->busy_ticks)),
		.idle_ns = mono_ticks_to_ns(counter_get(pr->idle_turn_ticks)),
		.sleep_ns = mono_ticks_to_ns(sleep),
		.sleeps = counter_get(pr->sleeps),
		.messages = counter_get(pr->messages),
		.pollers = counter_get(pr->npollers),
		.hot = counter_get(pr->nhot),
		.cold = counter_get(pr->ncold),
		.armed = counter_get(pr->narmed),
	};
}

static const char *const mode_names[] = {
	[REACTOR_ADAPTIVE] = "adaptive",
	[REACTOR_POLL] = "poll",
	[REACTOR_INTERRUPT] = "interrupt",
};

const char *reactor_mode_name(enum reactor_mode mode)
{
	return mode_names[mode];
}

int reactor_mode_parse(const char *name, enum reactor_mode *ret_mode)
{
	for (unsigned i = 0; i < ARRAY_SIZE(mode_names); i++) {
		if (strcmp(name, mode_names[i]) != 0)
			continue;
		*ret_mode = (enum reactor_mode)i;
		return 0;
	}
	return -EINVAL;
}
