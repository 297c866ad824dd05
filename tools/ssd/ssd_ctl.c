/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: a line of words in, a line of JSON back. {"error":"…"} or what was asked for.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "drivers/uri.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

#define LINE_MAX_BYTES 1024
#define WORDS_MAX      16
#define KELVIN	       273
#define ANSWER_WAIT_S  10 /* every command is answered at once */

struct ssd_ctl {
	struct unixsock sock;
	struct {
		int fd; /* -1: free */
		size_t have;
		char line[LINE_MAX_BYTES];
	} client[SSD_CTL_CLIENTS_MAX];
};

/*
 * Commands: 0 and additions to @out, or -errno with eb
 */
typedef int (*command_fn)(struct ssd *s, int n, char **words, struct json_object *out,
			  struct errbuf *eb);

static void add_number(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static int number(const char *text, uint64_t max, uint64_t *ret, struct errbuf *eb)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || v > max)
		return errbuf_set(eb, -EINVAL, "must be a number up to %llu, not \"%.60s\"",
				  (unsigned long long)max, text);
	*ret = v;
	return 0;
}

static int do_fault(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	uint32_t id;
	int err;

	(void)n;
	err = ssd_fault_add(&s->faults, words[1], &id, eb);
	if (!err)
		add_number(out, "id", id);
	return err;
}

static int do_fault_remove(struct ssd *s, int n, char **words, struct json_object *out,
			   struct errbuf *eb)
{
	uint64_t id;

	(void)n;
	(void)out;
	if (!strcmp(words[1], "all")) {
		s->faults.n = 0;
		return 0;
	}
	if (number(words[1], UINT32_MAX, &id, eb))
		return -EINVAL;
	if (ssd_fault_remove(&s->faults, (uint32_t)id))
		return errbuf_set(eb, -ENOENT, "no fault rule has the id %s", words[1]);
	return 0;
}

static int do_faults(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	struct json_object *list = json_object_new_array();

	(void)n;
	(void)words;
	(void)eb;
	for (unsigned i = 0; i < s->faults.n; i++) {
		const struct ssd_fault_rule *r = &s->faults.rule[i];
		struct json_object *o = json_object_new_object();

		add_number(o, "id", r->id);
		json_object_object_add(o, "rule", json_object_new_string(r->text));
		add_number(o, "matched", r->matches);
		add_number(o, "fired", r->fired);
		json_object_array_add(list, o);
	}
	json_object_object_add(out, "faults", list);
	return 0;
}

static int do_resize(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	uint64_t nsid, bytes;

	(void)n;
	(void)out;
	if (number(words[1], SSD_NS_MAX, &nsid, eb))
		return -EINVAL;
	if (!ssd_ns_get(s, (uint32_t)nsid))
		return errbuf_set(eb, -ENOENT, "there is no namespace %s", words[1]);
	if (uri_size_parse(words[2], &bytes))
		return errbuf_set(eb, -EINVAL, "\"%.60s\" is no size, such as 64M or 1G", words[2]);
	return ssd_ns_resize(s, &s->ns[nsid], bytes, eb);
}

static int smart_set(struct ssd *s, const char *word, struct errbuf *eb)
{
	struct ssd_health *h = &s->health;
	const char *value = strchr(word, '=');
	size_t n = value ? (size_t)(value - word) : 0;
	uint64_t v;

	if (!value || number(value + 1, UINT32_MAX, &v, eb))
		return errbuf_set(eb, -EINVAL, "\"%.60s\": must be KEY=NUMBER", word);
	if (!strncmp(word, "temperature", n) && n == 11 && v <= 1000)
		h->temperature = (uint16_t)(v + KELVIN);
	else if (!strncmp(word, "spare", n) && n == 5 && v <= 100)
		h->spare = (uint8_t)v;
	else if (!strncmp(word, "spare-threshold", n) && n == 15 && v <= 100)
		h->spare_thresh = (uint8_t)v;
	else if (!strncmp(word, "used", n) && n == 4 && v <= 255)
		h->used = (uint8_t)v;
	else if (!strncmp(word, "media-errors", n) && n == 12)
		h->media_errors = v;
	else
		return errbuf_set(
			eb, -EINVAL,
			"\"%.60s\": temperature=0…1000 (Celsius), spare=0…100, "
			"spare-threshold=0…100, used=0…255, media-errors=N or warning=0…31",
			word);
	return 0;
}

/* Bits of the critical warning that no number stands behind. */
static int warning_set(struct ssd *s, const char *value, struct errbuf *eb)
{
	uint8_t mine = NVME_SMART_CRIT_SPARE | NVME_SMART_CRIT_TEMP;
	uint64_t v;

	if (number(value, 31, &v, eb))
		return -EINVAL;
	if (v & ~s->health.critical &
	    (NVME_SMART_CRIT_DEGRADED | NVME_SMART_CRIT_READ_ONLY | NVME_SMART_CRIT_BACKUP))
		ssd_event_raise(s, SSD_EVENT_SMART_RELIABILITY);
	s->health.critical = (uint8_t)((s->health.critical & mine) | (v & (uint8_t)~mine));
	return 0;
}

static int do_smart(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	(void)out;
	for (int i = 1; i < n; i++) {
		int err;

		if (!strncmp(words[i], "warning=", 8))
			err = warning_set(s, words[i] + 8, eb);
		else
			err = smart_set(s, words[i], eb);
		if (err)
			return err;
	}
	ssd_event_health(s);
	return 0;
}

static int do_remove(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	(void)eb;
	ssd_ctrlr_remove(s, true);
	return 0;
}

static int do_plug(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	(void)eb;
	ssd_ctrlr_remove(s, false);
	return 0;
}

static int do_unplug_request(struct ssd *s, int n, char **words, struct json_object *out,
			     struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	if (s->pci.req_irq < 0)
		return errbuf_set(eb, -ENOTCONN, "no client has asked for this interrupt");
	ssd_pci_signal(s->pci.req_irq);
	return 0;
}

static int do_disconnect(struct ssd *s, int n, char **words, struct json_object *out,
			 struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	if (!s->conn)
		return errbuf_set(eb, -ENOTCONN, "there is no client");
	ssd_conn_close(s, "by order of the control socket");
	return 0;
}

static int do_fatal(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	(void)eb;
	ssd_ctrlr_fatal(s, "by order of the control socket");
	return 0;
}

static int do_hang(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	(void)eb;
	s->hung = true;
	return 0;
}

static struct json_object *queue_list(const struct ssd *s)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i <= s->sq_last; i++) {
		struct json_object *o;

		if (!s->sq[i].live && !s->cq[i].live)
			continue;
		o = json_object_new_object();
		add_number(o, "id", i);
		if (s->sq[i].live) {
			add_number(o, "sq_entries", s->sq[i].size);
			add_number(o, "commands", s->sq[i].commands);
		}
		if (s->cq[i].live) {
			add_number(o, "cq_entries", s->cq[i].size);
			add_number(o, "completions", s->cq[i].entries);
		}
		json_object_array_add(list, o);
	}
	return list;
}

static int do_counters(struct ssd *s, int n, char **words, struct json_object *out,
		       struct errbuf *eb)
{
	const struct ssd_counters *c = &s->counters;

	(void)n;
	(void)words;
	(void)eb;
	add_number(out, "sq_doorbell_changes", c->sq_bell_changes);
	add_number(out, "cq_doorbell_changes", c->cq_bell_changes);
	add_number(out, "sq_doorbell_messages", c->sq_bell_messages);
	add_number(out, "cq_doorbell_messages", c->cq_bell_messages);
	add_number(out, "bad_doorbells", c->bad_bells);
	add_number(out, "region_reads", c->region_reads);
	add_number(out, "region_writes", c->region_writes);
	add_number(out, "interrupts", c->irqs);
	add_number(out, "clients", c->clients);
	add_number(out, "faults", c->faults);
	add_number(out, "data_errors", c->data_errors);
	add_number(out, "boundary_crossings", c->crossings);
	add_number(out, "dma_regions", s->dma.n);
	add_number(out, "reads", s->health.reads);
	add_number(out, "writes", s->health.writes);
	add_number(out, "hmb_writes", s->hmb.stamps);
	json_object_object_add(out, "queues", queue_list(s));
	return 0;
}

static int do_status(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	struct json_object *list = json_object_new_array();

	(void)n;
	(void)words;
	(void)eb;
	json_object_object_add(out, "client", json_object_new_boolean(s->conn != NULL));
	json_object_object_add(out, "ready",
			       json_object_new_boolean((s->csts & NVME_CSTS_RDY) != 0));
	json_object_object_add(out, "fatal", json_object_new_boolean(s->fatal));
	json_object_object_add(out, "hung", json_object_new_boolean(s->hung));
	json_object_object_add(out, "removed", json_object_new_boolean(s->removed));
	for (uint32_t i = 1; i <= SSD_NS_MAX; i++) {
		struct ssd_ns *ns = ssd_ns_get(s, i);
		struct json_object *o;

		if (!ns)
			continue;
		o = json_object_new_object();
		add_number(o, "nsid", i);
		add_number(o, "bytes", ns->bytes);
		add_number(o, "block", 1u << ns->shift);
		json_object_object_add(o, "attached", json_object_new_boolean(ns->attached));
		json_object_object_add(o, "read_only",
				       json_object_new_boolean(ssd_ns_is_protected(ns)));
		json_object_object_add(o, "path", json_object_new_string(ns->path));
		json_object_array_add(list, o);
	}
	json_object_object_add(out, "namespaces", list);
	return 0;
}

static int do_quit(struct ssd *s, int n, char **words, struct json_object *out, struct errbuf *eb)
{
	(void)n;
	(void)words;
	(void)out;
	(void)eb;
	s->stop = true;
	return 0;
}

static const struct {
	const char *name, *args;
	int min, max; /* words behind the name */
	command_fn fn;
} commands[] = {
	{ "fault", "RULE", 1, 1, do_fault },
	{ "fault-remove", "ID|all", 1, 1, do_fault_remove },
	{ "faults", "", 0, 0, do_faults },
	{ "resize", "NSID SIZE", 2, 2, do_resize },
	{ "smart", "KEY=NUMBER...", 1, WORDS_MAX - 1, do_smart },
	{ "remove", "", 0, 0, do_remove },
	{ "plug", "", 0, 0, do_plug },
	{ "unplug-request", "", 0, 0, do_unplug_request },
	{ "disconnect", "", 0, 0, do_disconnect },
	{ "fatal", "", 0, 0, do_fatal },
	{ "hang", "", 0, 0, do_hang },
	{ "counters", "", 0, 0, do_counters },
	{ "status", "", 0, 0, do_status },
	{ "quit", "", 0, 0, do_quit },
};

static int execute(struct ssd *s, char *line, struct json_object *out, struct errbuf *eb)
{
	char *words[WORDS_MAX], *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \t\r", &save); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " \t\r", &save))
		words[n++] = w;
	if (n == 0)
		return errbuf_set(eb, -EINVAL, "no command");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(words[0], commands[i].name))
			continue;
		if (n - 1 < commands[i].min || n - 1 > commands[i].max)
			return errbuf_set(eb, -EINVAL, "usage: %s %s", commands[i].name,
					  commands[i].args);
		return commands[i].fn(s, n, words, out, eb);
	}
	return errbuf_set(eb, -EINVAL,
			  "unknown command \"%.40s\" (known: fault, fault-remove, faults, resize, "
			  "smart, remove, "
			  "plug, unplug-request, disconnect, fatal, hang, counters, status, quit)",
			  words[0]);
}

static bool answer(struct ssd *s, int fd, char *line)
{
	struct json_object *out = json_object_new_object();
	struct errbuf eb;
	const char *text;
	bool sent;

	if (execute(s, line, out, &eb)) {
		json_object_put(out);
		out = json_object_new_object();
		json_object_object_add(out, "error", json_object_new_string(eb.text));
	}
	ssd_queue_irqs(s); /* of events that this raised */
	text = json_object_to_json_string_ext(out, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE);
	sent = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) ==
		       (ssize_t)strlen(text) &&
	       send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
	json_object_put(out);
	return sent;
}

/*
 * Connections
 */
int ssd_ctl_open(struct ssd *s, struct errbuf *eb)
{
	struct ssd_ctl *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < SSD_CTL_CLIENTS_MAX; i++)
		c->client[i].fd = -1;
	err = unixsock_listen(s->ctl_path, 0600, SSD_BACKLOG, &c->sock, eb);
	if (err) {
		free(c);
		return err;
	}
	s->ctl = c;
	return 0;
}

static void client_close(struct ssd_ctl *c, unsigned i)
{
	close(c->client[i].fd);
	c->client[i].fd = -1;
	c->client[i].have = 0;
}

void ssd_ctl_close(struct ssd *s)
{
	struct ssd_ctl *c = s->ctl;

	if (!c)
		return;
	for (unsigned i = 0; i < SSD_CTL_CLIENTS_MAX; i++) {
		if (c->client[i].fd >= 0)
			client_close(c, i);
	}
	unixsock_close(&c->sock, s->ctl_path);
	free(c);
	s->ctl = NULL;
}

unsigned ssd_ctl_pollfds(const struct ssd *s, struct pollfd *fds)
{
	if (!s->ctl)
		return 0;
	fds[0] = (struct pollfd){ .fd = s->ctl->sock.fd, .events = POLLIN };
	for (unsigned i = 0; i < SSD_CTL_CLIENTS_MAX; i++)
		fds[i + 1] = (struct pollfd){ .fd = s->ctl->client[i].fd, .events = POLLIN };
	return SSD_CTL_CLIENTS_MAX + 1;
}

static void client_accept(struct ssd_ctl *c)
{
	int fd = accept4(c->sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < SSD_CTL_CLIENTS_MAX; i++) {
		if (c->client[i].fd >= 0)
			continue;
		c->client[i].fd = fd;
		return;
	}
	close(fd);
}

static void client_read(struct ssd *s, unsigned i)
{
	struct ssd_ctl *c = s->ctl;
	size_t *have = &c->client[i].have;
	char *line = c->client[i].line, *end;
	ssize_t n = recv(c->client[i].fd, line + *have, LINE_MAX_BYTES - *have, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_close(c, i);
		return;
	}
	*have += (size_t)n;
	while ((end = memchr(line, '\n', *have))) {
		size_t used = (size_t)(end - line) + 1;

		*end = '\0';
		if (!answer(s, c->client[i].fd, line)) {
			client_close(c, i);
			return;
		}
		*have -= used;
		memmove(line, line + used, *have);
	}
	if (*have == LINE_MAX_BYTES)
		client_close(c, i); /* no line of ours is that long */
}

void ssd_ctl_events(struct ssd *s, const struct pollfd *fds, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		if (fds[i].revents && s->ctl->client[i - 1].fd == fds[i].fd)
			client_read(s, i - 1);
	}
	if (n && fds[0].revents)
		client_accept(s->ctl);
}

/*
 * The other end
 */
static int print_answer(int fd)
{
	char buf[65536];
	size_t have = 0;
	ssize_t n = 0;

	while (have < sizeof(buf) - 1 &&
	       (n = recv(fd, buf + have, sizeof(buf) - 1 - have, 0)) > 0) {
		have += (size_t)n;
		if (buf[have - 1] == '\n')
			break;
	}
	buf[have] = '\0';
	if (!have) {
		fputs(n < 0 && errno == EAGAIN ? "nvring-ssd: no answer: is that the socket of --ctl?\n" :
						 "nvring-ssd: the SSD ended without an answer\n",
		      stderr);
		return 1;
	}
	fputs(buf, stdout);
	return strncmp(buf, "{\"error\":", 9) == 0;
}

/* -1, said why. */
static int ctl_connect(const char *path)
{
	struct sockaddr_un sa;
	struct errbuf eb;
	int fd;

	if (unixsock_address(path, &sa, &eb)) {
		fprintf(stderr, "nvring-ssd: %s\n", eb.text);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	fprintf(stderr, "nvring-ssd: cannot reach %s: %s; was nvring-ssd started with --ctl %s?\n", path, strerror(errno), path);
	if (fd >= 0)
		close(fd);
	return -1;
}

int ssd_ctl_call(const char *socket_path, int nwords, char **words)
{
	const struct timeval patience = { .tv_sec = ANSWER_WAIT_S };
	char line[LINE_MAX_BYTES];
	size_t len = 0;
	int fd, rc;

	for (int i = 0; i < nwords; i++) {
		int n = snprintf(line + len, sizeof(line) - len, "%s%s", words[i],
				 i + 1 < nwords ? " " : "\n");

		if (n < 0 || (size_t)n >= sizeof(line) - len || strchr(words[i], '\n')) {
			fputs("nvring-ssd: a command is one line of at most 1000 characters\n",
			      stderr);
			return 2;
		}
		len += (size_t)n;
	}
	fd = ctl_connect(socket_path);
	if (fd < 0)
		return 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	rc = send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len ? print_answer(fd) : 1;
	close(fd);
	return rc;
}
