/* SPDX-License-Identifier: BSD-3-Clause */
/* One question, one answer, one deadline for both. */
#include "core/rpc/rpcclient.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "core/base/unixsock.h"

#define ANSWER_BYTES_MAX (16u << 20)
#define ANSWER_DEPTH_MAX 32

/* The next call on @fd waits no longer than until @end_ns. 0, -ETIMEDOUT, -errno. */
static int limit_wait(int fd, uint64_t end_ns)
{
	uint64_t now = mono_ns(), us = end_ns > now ? (end_ns - now) / MONO_NS_PER_US : 0;
	const struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000) };

	if (us == 0) /* which the kernel would take for no limit */
		return -ETIMEDOUT;
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) ?
		       -errno :
		       0;
}

/* What a call says that has waited too long. */
static int socket_error(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static const char *reason(int err)
{
	return err == -ETIMEDOUT ? "timed out" : strerror(-err);
}

static int rpc_connect(const char *path, uint64_t end_ns, int *ret_fd, struct errbuf *eb)
{
	struct sockaddr_un sa;
	int fd, err = unixsock_address(path, &sa, eb);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(eb, -errno, "socket: %s", strerror(errno));
	err = limit_wait(fd, end_ns);
	if (!err && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)))
		err = socket_error();
	if (!err) {
		*ret_fd = fd;
		return 0;
	}
	close(fd);
	return errbuf_set(eb, err, "cannot reach nvringd on %s: %s", path, reason(err));
}

static int rpc_send(int fd, const char *text, uint64_t end_ns)
{
	size_t left = strlen(text);
	int err = 0;

	while (left && !err) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n >= 0) {
			text += n;
			left -= (size_t)n;
			err = left ? limit_wait(fd, end_ns) : 0;
		} else if (errno != EINTR) {
			err = socket_error();
		}
	}
	return err;
}

/* Piece by piece, until it is one value. */
static int rpc_receive(int fd, uint64_t end_ns, struct json_object **ret)
{
	struct json_tokener *tok = json_tokener_new_ex(ANSWER_DEPTH_MAX);
	struct json_object *obj = NULL;
	size_t total = 0;
	char buf[16384];
	int err = tok ? limit_wait(fd, end_ns) : -ENOMEM;

	while (!err && !obj) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n == 0 ? -ECONNRESET : socket_error();
			break;
		}
		total += (size_t)n;
		obj = json_tokener_parse_ex(tok, buf, (int)n);
		if (!obj && (json_tokener_get_error(tok) != json_tokener_continue || total > ANSWER_BYTES_MAX))
			err = -EBADMSG;
		else if (!obj)
			err = limit_wait(fd, end_ns);
	}
	if (tok)
		json_tokener_free(tok);
	if (!err)
		*ret = obj;
	return err;
}

static int take_answer(struct json_object *answer, struct json_object **ret, struct errbuf *eb)
{
	struct json_object *err, *msg, *result;

	if (json_object_object_get_ex(answer, "error", &err) && json_object_object_get_ex(err, "message", &msg))
		return errbuf_set(eb, -EREMOTEIO, "%s", json_object_get_string(msg));
	if (!json_object_object_get_ex(answer, "result", &result))
		return errbuf_set(eb, -EBADMSG, "the daemon's answer makes no sense");
	*ret = json_object_get(result);
	return 0;
}

static int exchange(int fd, const char *path, struct json_object *request, uint64_t end_ns, struct json_object **ret,
		    struct errbuf *eb)
{
	struct json_object *answer = NULL;
	int err = rpc_send(fd, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), end_ns);

	if (!err)
		err = rpc_receive(fd, end_ns, &answer);
	if (err == -EBADMSG)
		return errbuf_set(eb, err, "the daemon's answer makes no sense");
	if (err)
		return errbuf_set(eb, err, "no answer from nvringd on %s: %s", path, reason(err));
	err = take_answer(answer, ret, eb);
	json_object_put(answer);
	return err;
}

int rpcclient_call(const char *path, unsigned ms, const char *method, struct json_object *params,
		   struct json_object **ret, struct errbuf *eb)
{
	uint64_t end_ns = mono_ns() + ms * (uint64_t)MONO_NS_PER_MS;
	struct json_object *request = json_object_new_object();
	int fd = -1, err;

	json_object_object_add(request, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(request, "id", json_object_new_int(1));
	json_object_object_add(request, "method", json_object_new_string(method));
	if (params)
		json_object_object_add(request, "params", params);
	err = rpc_connect(path, end_ns, &fd, eb);
	if (!err) {
		err = exchange(fd, path, request, end_ns, ret, eb);
		close(fd);
	}
	json_object_put(request);
	return err;
}
