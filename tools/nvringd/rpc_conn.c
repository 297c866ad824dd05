/* SPDX-License-Identifier: BSD-3-Clause */
/* One client of the control interface: bytes in, calls, bytes out. */
#include "tools/nvringd/rpc_conn_priv.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"

#define CONN_IN_BYTES 16384

struct rpc_call {
	struct json_object *id; /* borrowed from the message under way */
	bool is_notification;
	bool under_way;
	max_align_t params[RPC_PARAMS_BYTES_MAX / sizeof(max_align_t)];
};

struct rpc_conn {
	struct list link;
	struct rpc_server *server; /* NULL: cut off, waits for its call to end */
	struct wiring *w;
	struct reactor_fd rfd;
	int fd;
	bool eof;	/* nothing more to read */
	bool broken;	/* not readable as JSON any more: ends once the answers are out */
	bool is_running; /* inside conn_run */
	struct jsonrpc_stream stream;
	struct json_object *msg;     /* under way: a request or a batch */
	size_t batch_at;	     /* next of the batch */
	struct json_object *answers; /* of the batch */
	struct rpc_call call;
	char *out; /* the answer on its way */
	size_t out_at, out_len;
	size_t in_at, in_len;
	char in[CONN_IN_BYTES];
};

static void conn_run(struct rpc_conn *c);

struct rpc_conn *rpc_conn_of(struct list *link)
{
	return list_entry(link, struct rpc_conn, link);
}

struct wiring *rpc_wiring(const struct rpc_call *call)
{
	return container_of(call, struct rpc_conn, call)->w;
}

const void *rpc_params(const struct rpc_call *call)
{
	return call->params;
}

/*
 * Answers
 */

/* Puts @answer (taken over) on its way to the client. */
static void conn_send(struct rpc_conn *c, struct json_object *answer)
{
	const char *text = json_object_to_json_string_ext(
		answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t len = text ? strlen(text) : 0;

	assert(!c->out);
	c->out = malloc(len + 1);
	if (c->out && len) {
		memcpy(c->out, text, len);
		c->out[len] = '\n';
		c->out_at = 0;
		c->out_len = len + 1;
	} else {
		free(c->out);
		c->out = NULL;
		c->broken = true; /* out of memory: the close is the answer */
	}
	json_object_put(answer);
}

static void message_end(struct rpc_conn *c)
{
	json_object_put(c->msg);
	c->msg = NULL;
	c->batch_at = 0;
	if (c->answers && json_object_array_length(c->answers))
		conn_send(c, c->answers);
	else
		json_object_put(c->answers);
	c->answers = NULL;
}

static void call_end(struct rpc_call *call, struct json_object *answer)
{
	struct rpc_conn *c = container_of(call, struct rpc_conn, call);

	assert(call->under_way);
	call->under_way = false;
	if (call->is_notification)
		json_object_put(answer);
	else if (c->answers)
		json_object_array_add(c->answers, answer);
	else
		conn_send(c, answer);
	if (!c->answers)
		message_end(c);
	conn_run(c);
}

void rpc_answer(struct rpc_call *call, struct json_object *result)
{
	call_end(call, jsonrpc_result(call->id, result));
}

void rpc_fail(struct rpc_call *call, int code, const char *fmt, ...)
{
	char text[ERRBUF_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	call_end(call, jsonrpc_error(call->id, code, text));
}

/*
 * Calls
 */

static void dispatch(struct rpc_conn *c, struct json_object *msg)
{
	struct rpc_call *call = &c->call;
	const struct rpc_method *m;
	struct jsonrpc_request req;
	const char *why = NULL;
	struct errbuf eb;
	int code = jsonrpc_request_parse(msg, &req, &why);

	call->id = req.id;
	call->is_notification = code == 0 && req.is_notification;
	call->under_way = true;
	if (code) {
		rpc_fail(call, code, "%s", why);
		return;
	}
	m = rpc_method_find(req.method);
	if (!m) {
		rpc_fail(call, JSONRPC_NO_METHOD, "no method \"%s\" (rpc_get_methods lists them)",
			 req.method);
		return;
	}
	if (rpc_method_params(m, req.params, call->params, &eb)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "%s", eb.text);
		return;
	}
	m->fn(call, call->params);
}

/* The next call of the message under way. */
static void message_next(struct rpc_conn *c)
{
	size_t n;

	if (!c->answers) {
		dispatch(c, c->msg);
		return;
	}
	n = json_object_array_length(c->msg);
	if (c->batch_at == n)
		message_end(c);
	else
		dispatch(c, json_object_array_get_idx(c->msg, c->batch_at++));
}

static void message_begin(struct rpc_conn *c, struct json_object *value)
{
	size_t n;

	c->msg = value;
	if (!json_object_is_type(value, json_type_array))
		return;
	n = json_object_array_length(value);
	if (n > 0 && n <= JSONRPC_BATCH_MAX) {
		c->answers = json_object_new_array();
		return;
	}
	conn_send(c, jsonrpc_error(NULL, JSONRPC_INVALID_REQUEST,
				   n ? "too many calls in one batch" : "an empty batch"));
	message_end(c);
}

static void parse_input(struct rpc_conn *c)
{
	struct json_object *value = NULL;
	size_t used = 0;
	int n = jsonrpc_stream_feed(&c->stream, c->in + c->in_at, c->in_len - c->in_at, &used,
				    &value);

	c->in_at += used;
	if (n > 0) {
		/* NULL is JSON null: give it to the checks as something that is no request. */
		message_begin(c, value ? value : json_object_new_string("null"));
		return;
	}
	if (n == 0)
		return;
	c->broken = true;
	conn_send(c, jsonrpc_error(NULL, n == -E2BIG ? JSONRPC_INVALID_REQUEST : JSONRPC_PARSE_ERROR,
				   n == -E2BIG ? "the request is too long or nested too deeply" :
						 "not JSON"));
}

/*
 * The connection
 */

static void write_output(struct rpc_conn *c)
{
	ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->out_at += (size_t)n;
	else
		c->broken = true; /* the client has gone: drop what is left */
	if (c->out_at < c->out_len && !c->broken)
		return;
	free(c->out);
	c->out = NULL;
}

static void read_input(struct rpc_conn *c)
{
	ssize_t n;

	if (c->in_at == c->in_len) {
		c->in_at = 0;
		c->in_len = 0;
	}
	n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
	if (n > 0)
		c->in_len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		c->eof = true;
}

/* One thing that can be done without waiting; false: nothing. */
static bool conn_step(struct rpc_conn *c)
{
	if (c->call.under_way || !c->server)
		return false;
	if (c->out) {
		write_output(c);
		return !c->out;
	}
	if (c->msg) {
		message_next(c);
		return true;
	}
	if (c->broken || c->in_at == c->in_len)
		return false;
	parse_input(c);
	return true;
}

static void on_event(struct reactor_fd *rfd, uint32_t events)
{
	struct rpc_conn *c = container_of(rfd, struct rpc_conn, rfd);

	if (rfd->events & EPOLLIN)
		read_input(c);
	conn_run(c);
}

/* What to wait for now. Nothing (a call is under way): no events at all, not even a hang-up, which would spin. */
static void conn_watch(struct rpc_conn *c)
{
	uint32_t want = c->call.under_way ? 0 : c->out ? EPOLLOUT : EPOLLIN;
	int err = 0;

	if (!want)
		reactor_fd_detach(&c->rfd);
	else if (!c->rfd.reactor)
		err = reactor_fd_attach(c->server->control, &c->rfd, c->fd, want, on_event);
	else if (c->rfd.events != want)
		err = reactor_fd_modify(&c->rfd, want);
	if (err)
		rpc_conn_destroy(c);
}

static void conn_free(struct rpc_conn *c)
{
	jsonrpc_stream_fini(&c->stream);
	json_object_put(c->msg);
	json_object_put(c->answers);
	free(c->out);
	free(c);
}

static void conn_run(struct rpc_conn *c)
{
	if (c->is_running)
		return;
	c->is_running = true;
	while (conn_step(c))
		;
	c->is_running = false;
	if (!c->server) {
		if (!c->call.under_way)
			conn_free(c);
		return;
	}
	if (!c->call.under_way && !c->out && (c->eof || c->broken))
		rpc_conn_destroy(c);
	else
		conn_watch(c);
}

int rpc_conn_create(struct rpc_server *s, int fd)
{
	struct rpc_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (jsonrpc_stream_init(&c->stream)) {
		free(c);
		return -ENOMEM;
	}
	c->server = s;
	c->w = s->w;
	c->fd = fd;
	list_add_tail(&s->conns, &c->link);
	s->nconns++;
	conn_watch(c);
	return 0;
}

void rpc_conn_destroy(struct rpc_conn *c)
{
	reactor_fd_detach(&c->rfd);
	close(c->fd);
	list_del(&c->link);
	c->server->nconns--;
	c->server = NULL;
	if (!c->call.under_way && !c->is_running)
		conn_free(c);
}
