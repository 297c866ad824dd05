/* SPDX-License-Identifier: BSD-3-Clause */
/* The client side of JSON-RPC over a UNIX socket. */
#include "tools/shared/rpcclient.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_DEPTH_MAX 32

static int connect_to(const char *path, unsigned timeout_s, int *ret_fd, struct errbuf *eb)
{
	struct timeval tv = { .tv_sec = (time_t)timeout_s };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if ((size_t)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path) >= sizeof(sa.sun_path))
		return errbuf_set(eb, -ENOTCONN, "the path of the socket is too long");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(eb, -ENOTCONN, "socket: %s", strerror(errno));
	/* When they fail we wait longer, that is all. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		const char *hint = errno == ENOENT || errno == ECONNREFUSED ?
					   " (is nvringd running? -s SOCKET names another socket)" :
					   "";

		errbuf_set(eb, -ENOTCONN, "cannot reach nvringd on %s: %s%s", sa.sun_path,
			   strerror(errno), hint);
		close(fd);
		return -ENOTCONN;
	}
	*ret_fd = fd;
	return 0;
}

static bool send_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		text += n;
		left -= (size_t)n;
	}
	return true;
}

/* One JSON value from the daemon, or NULL with errno. */
static struct json_object *receive(int fd)
{
	struct json_tokener *tok = json_tokener_new_ex(ANSWER_DEPTH_MAX);
	struct json_object *obj = NULL;
	char buf[16384];
	ssize_t n = 0;

	if (!tok)
		return NULL;
	while (!obj) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			break;
		obj = json_tokener_parse_ex(tok, buf, (int)n);
		if (!obj && json_tokener_get_error(tok) != json_tokener_continue) {
			errno = EBADMSG;
			n = -1;
			break;
		}
	}
	if (!obj && n == 0)
		errno = ECONNRESET;
	json_tokener_free(tok);
	return obj;
}

static int take_answer(struct json_object *answer, struct json_object **ret_result,
		       struct errbuf *eb)
{
	struct json_object *err, *msg, *result;

	if (json_object_object_get_ex(answer, "error", &err) &&
	    json_object_object_get_ex(err, "message", &msg))
		return errbuf_set(eb, -EIO, "%s", json_object_get_string(msg));
	if (!json_object_object_get_ex(answer, "result", &result))
		return errbuf_set(eb, -EIO, "the daemon's answer makes no sense");
	*ret_result = json_object_get(result);
	return 0;
}

int rpcclient_call(const char *path, unsigned timeout_s, const char *method, struct json_object *params,
		   struct json_object **ret_result, struct errbuf *eb)
{
	struct json_object *req = json_object_new_object(), *answer;
	int fd = -1, err;

	json_object_object_add(req, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(req, "id", json_object_new_int(1));
	json_object_object_add(req, "method", json_object_new_string(method));
	if (params)
		json_object_object_add(req, "params", params);
	err = connect_to(path, timeout_s, &fd, eb);
	if (err) {
		json_object_put(req);
		return err;
	}
	answer = send_all(fd, json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN)) ?
			 receive(fd) :
			 NULL;
	if (answer)
		err = take_answer(answer, ret_result, eb);
	else
		err = errbuf_set(eb, -ENOTCONN, "no answer from nvringd: %s",
				 errno == EAGAIN ? "timed out (--timeout SECONDS)" : strerror(errno));
	json_object_put(answer);
	json_object_put(req);
	close(fd);
	return err;
}
