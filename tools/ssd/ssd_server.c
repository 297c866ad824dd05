/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of the process: sockets, the one loop, the end.
 *
 * A doorbell that the client has mapped wakes nobody. So: after work the loop spins for spin_us,
 * then it naps, at first 50 us, each time longer, up to nap_us. While no controller is enabled, or
 * doorbells come as messages (--no-mmap), it sleeps until a socket wakes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/barrier.h"
#include "core/base/mono.h"
#include "drivers/vfio/vfio_user_wire.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

#define NAP_FIRST_NS   (50 * MONO_NS_PER_US)
#define TURNS_PER_LOOK 32 /* at the sockets, while there is work */
#define SPINS_PER_LOOK 16
#define POLL_VISITORS  4 /* in the array of ppoll, behind the fixed ones */
#define POLL_CTL       (POLL_VISITORS + SSD_VISITORS_MAX)
#define FIRMWARE_FIRST "1.0     "

void ssd_opts_init(struct ssd_opts *o)
{
	*o = (struct ssd_opts){
		.serial = "NVRING0001",
		.model = "nvring software SSD",
		.queues = 16,
		.mqes = 1024,
		.mdts = 5,
		.spin_us = 100,
		.nap_us = 1000,
	};
}

static void health_init(struct ssd_health *h)
{
	*h = (struct ssd_health){
		.temperature = 310,
		.spare = 100,
		.spare_thresh = 10,
		.born_ns = mono_ns(),
		.seen_ns = mono_ns(),
	};
}

static void paths_copy(struct ssd *s, const struct ssd_opts *o)
{
	s->opts = *o;
	if (o->socket_path) {
		memcpy(s->socket_path, o->socket_path, strlen(o->socket_path) + 1);
		s->opts.socket_path = s->socket_path;
	}
	if (o->ctl_path) {
		memcpy(s->ctl_path, o->ctl_path, strlen(o->ctl_path) + 1);
		s->opts.ctl_path = s->ctl_path;
	}
	if (o->pool) {
		memcpy(s->pool, o->pool, strlen(o->pool) + 1);
		s->opts.pool = s->pool;
	}
}

static void state_init(struct ssd *s)
{
	list_init(&s->held);
	for (unsigned i = 0; i <= SSD_QUEUES_MAX; i++)
		list_init(&s->cq[i].owed);
	for (unsigned i = 0; i <= SSD_NS_MAX; i++)
		s->ns[i].fd = -1;
	for (unsigned i = 0; i < SSD_VISITORS_MAX; i++)
		s->visitor[i] = -1;
	s->sock.fd = -1;
	s->signal_fd = -1;
	ssd_pci_init(s);
	s->dma.lost.fd = -1;
	health_init(&s->health);
	s->fw.active = 1;
	memcpy(s->fw.rev[1], FIRMWARE_FIRST, 8);
}

static int parts_open(struct ssd *s, struct errbuf *eb)
{
	int err;

	s->bounce = malloc((size_t)NVME_PAGE_BYTES_MIN << SSD_MDTS_MAX);
	if (!s->bounce)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = ssd_dma_init(&s->dma);
	if (err)
		return errbuf_set(eb, err, "eventfd: %s", strerror(-err));
	err = ssd_pci_open(s, eb);
	for (unsigned i = 0; !err && i < s->opts.nns; i++)
		err = ssd_ns_open(s, i + 1, &s->opts.ns[i], eb);
	for (unsigned i = 0; !err && i < s->opts.nfaults; i++) {
		uint32_t id;

		err = ssd_fault_add(&s->faults, s->opts.faults[i], &id, eb);
		s->opts.faults[i] = NULL; /* the caller's text */
	}
	return err;
}

int ssd_create(const struct ssd_opts *opts, struct ssd **ret_ssd, struct errbuf *eb)
{
	struct ssd *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	paths_copy(s, opts);
	state_init(s);
	err = parts_open(s, eb);
	if (err) {
		ssd_destroy(s);
		return err;
	}
	ssd_ctrlr_init(s);
	*ret_ssd = s;
	return 0;
}

void ssd_destroy(struct ssd *s)
{
	if (!s)
		return;
	ssd_conn_close(s, NULL);
	ssd_ctl_close(s);
	for (unsigned i = 0; i < SSD_VISITORS_MAX; i++) {
		if (s->visitor[i] >= 0)
			close(s->visitor[i]);
	}
	unixsock_close(&s->sock, s->socket_path);
	ssd_queue_close_all(s);
	for (unsigned i = 1; i <= SSD_NS_MAX; i++) {
		if (!s->ns[i].exists)
			continue;
		(void)ssd_ns_sync(&s->ns[i]); /* nobody is left to hear of an error */
		ssd_ns_close(s, &s->ns[i]);
	}
	ssd_pci_close(s);
	ssd_dma_fini(&s->dma);
	free(s->fw.image);
	free(s->bounce);
	free(s);
}

int ssd_listen(struct ssd *s, struct errbuf *eb)
{
	int err = unixsock_listen(s->socket_path, 0600, SSD_BACKLOG, &s->sock, eb);

	if (!err && s->opts.ctl_path)
		err = ssd_ctl_open(s, eb);
	return err;
}

/*
 * One client at a time. Another may connect; when it speaks, it is told that there is one, or it
 * has become the client.
 */
static void refuse(int fd)
{
	struct vfio_user_header h = { 0 };

	log_notice("another client refused: this SSD serves one at a time");
	(void)!recv(fd, &h, sizeof(h), MSG_DONTWAIT); /* for its id */
	h.cmd = VFIO_USER_VERSION;
	h.bytes = sizeof(h);
	h.flags = VFIO_USER_F_REPLY | VFIO_USER_F_ERROR;
	h.error = EBUSY;
	(void)!send(fd, &h, sizeof(h), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

int ssd_serve(struct ssd *s, int fd)
{
	if (!s->conn)
		return ssd_conn_open(s, fd);
	refuse(fd);
	return -EBUSY;
}

static void client_accept(struct ssd *s)
{
	int fd = accept4(s->sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (unsigned i = 0; fd >= 0 && s->conn && i < SSD_VISITORS_MAX; i++) {
		if (s->visitor[i] >= 0)
			continue;
		s->visitor[i] = fd;
		return;
	}
	if (fd >= 0 && ssd_serve(s, fd) == 0)
		log_info("client connected");
}

static void visitor_speaks(struct ssd *s, unsigned i)
{
	int fd = s->visitor[i];

	s->visitor[i] = -1;
	if (ssd_serve(s, fd) == 0)
		log_info("client connected");
}

static void signal_read(struct ssd *s)
{
	struct signalfd_siginfo si;

	if (read(s->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	log_notice("%s, ending", strsignal((int)si.ssi_signo));
	s->stop = true;
}

/* False: nothing happened within @wait_ns. */
static bool sockets_look(struct ssd *s, uint64_t wait_ns)
{
	struct timespec ts = { (time_t)(wait_ns / MONO_NS_PER_SEC),
			       (long)(wait_ns % MONO_NS_PER_SEC) };
	struct pollfd fds[POLL_CTL + SSD_CTL_CLIENTS_MAX + 1] = {
		{ .fd = s->conn ? ssd_conn_fd(s->conn) : -1, .events = POLLIN },
		{ .fd = s->dma.lost.fd, .events = POLLIN },
		{ .fd = s->sock.fd, .events = POLLIN },
		{ .fd = s->signal_fd, .events = POLLIN },
	};
	unsigned nctl = ssd_ctl_pollfds(s, fds + POLL_CTL);
	uint64_t lost;

	for (unsigned i = 0; i < SSD_VISITORS_MAX; i++)
		fds[POLL_VISITORS + i] = (struct pollfd){ .fd = s->visitor[i], .events = POLLIN };
	if (ppoll(fds, POLL_CTL + nctl, wait_ns == UINT64_MAX ? NULL : &ts, NULL) <= 0)
		return false;
	if (fds[1].revents && read(s->dma.lost.fd, &lost, sizeof(lost)) == sizeof(lost))
		ssd_conn_close(s, "the file behind its memory was made shorter");
	if (fds[0].revents && s->conn)
		ssd_conn_readable(s);
	for (unsigned i = 0; i < SSD_VISITORS_MAX; i++) {
		if (fds[POLL_VISITORS + i].revents)
			visitor_speaks(s, i);
	}
	if (fds[2].revents)
		client_accept(s);
	if (fds[3].revents)
		signal_read(s);
	ssd_ctl_events(s, fds + POLL_CTL, nctl);
	return true;
}

static uint64_t due_ns(const struct ssd *s)
{
	uint64_t held =
		ssd_ctrlr_is_running(s) ? ssd_queue_due(s) : UINT64_MAX; /* nobody executes them */

	return CC_MIN(CC_MIN(held, ssd_maint_due(s)), ssd_ctrlr_due(s));
}

/* How long nothing needs a look, apart from what sockets wake us for. */
static uint64_t sleep_ns(struct ssd *s, uint64_t now)
{
	bool running = ssd_ctrlr_is_running(s);
	uint64_t due = due_ns(s), nap = UINT64_MAX;

	if (running && !s->opts.no_mmap) {
		nap = CC_MIN(CC_MAX(s->nap_ns, NAP_FIRST_NS), s->opts.nap_us * MONO_NS_PER_US);
		s->nap_ns = nap * 2;
	}
	if (!ssd_queue_arm(s))
		return 0;
	if (due == UINT64_MAX)
		return nap;
	return CC_MIN(nap, due > now ? due - now : 0);
}

bool ssd_turn(struct ssd *s, uint64_t wait_ns)
{
	uint64_t now = mono_ns();
	bool did;

	ssd_ctrlr_tick(s, now, s->busy);
	did = ssd_queue_poll(s);
	s->busy = did;
	if (did) {
		s->busy_until_ns = now + s->opts.spin_us * MONO_NS_PER_US;
		s->nap_ns = 0;
	}
	/* after work always once more: a queue has had its turn, not all its commands */
	if (did || now < s->busy_until_ns) {
		if (++s->turns % (did ? TURNS_PER_LOOK : SPINS_PER_LOOK)) {
			barrier_cpu_relax();
			return did;
		}
		return sockets_look(s, 0) || did;
	}
	if (sockets_look(s, CC_MIN(wait_ns, sleep_ns(s, now)))) {
		s->busy_until_ns = mono_ns() + s->opts.spin_us * MONO_NS_PER_US;
		return true;
	}
	return did;
}

int ssd_run(struct ssd *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0) {
		log_error("signalfd: %s", strerror(errno));
		return -errno;
	}
	(void)prctl(PR_SET_TIMERSLACK,
		    1000UL); /* naps as long as asked for; without it they are a little longer */
	while (!s->stop)
		(void)ssd_turn(s, UINT64_MAX);
	close(s->signal_fd);
	s->signal_fd = -1;
	return 0;
}
