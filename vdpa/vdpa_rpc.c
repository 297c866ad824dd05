/* SPDX-License-Identifier: BSD-3-Clause */
/* One question, one answer. */
#include "vdpa/vdpa_rpc.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (16u << 20)
#define ANSWER_DEPTH_MAX 32

static int rpc_connect(const char *path, unsigned ms, int *ret_fd, struct errbuf *eb)
{
	const struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return errbuf_set(eb, -ENAMETOOLONG, "%.100s…: longer than a socket's name can be", path);
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(eb, -errno, "socket: %s", strerror(errno));
	if (!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) &&
	    !connect(fd, (const struct sockaddr *)&sa, sizeof(sa))) {
		*ret_fd = fd;
		return 0;
	}
	err = errbuf_set(eb, -errno, "%s: no nvringd answers there: %s", path, strerror(errno));
	close(fd);
	return err;
}

static int rpc_send(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

/* Piece by piece, until it is one value. */
static int rpc_receive(int fd, struct json_object **ret)
{
	struct json_tokener *tok = json_tokener_new_ex(ANSWER_DEPTH_MAX);
	struct json_object *obj = NULL;
	size_t total = 0;
	char buf[4096];
	int err = tok ? 0 : -ENOMEM;

	while (!err && !obj) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n == 0 ? -ECONNRESET : errno == EAGAIN ? -ETIMEDOUT : -errno;
			break;
		}
		total += (size_t)n;
		obj = json_tokener_parse_ex(tok, buf, (int)n);
		if (!obj && (json_tokener_get_error(tok) != json_tokener_continue ||
			     total > ANSWER_BYTES_MAX))
			err = -EBADMSG;
	}
	if (tok)
		json_tokener_free(tok);
	if (!err)
		*ret = obj;
	return err;
}

static int rpc_take(struct json_object *answer, struct json_object **ret, struct errbuf *eb)
{
	struct json_object *err, *msg, *result;

	if (json_object_object_get_ex(answer, "error", &err) && json_object_object_get_ex(err, "message", &msg))
		return errbuf_set(eb, -EREMOTEIO, "nvringd: %.400s", json_object_get_string(msg));
	if (!json_object_object_get_ex(answer, "result", &result))
		return errbuf_set(eb, -EBADMSG, "the daemon's answer makes no sense");
	*ret = json_object_get(result);
	return 0;
}

int vdpa_rpc_call(const char *path, unsigned ms, const char *method, struct json_object *params,
		  struct json_object **ret, struct errbuf *eb)
{
	struct json_object *request = json_object_new_object(), *answer = NULL;
	int fd = -1, err;

	json_object_object_add(request, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(request, "id", json_object_new_int(1));
	json_object_object_add(request, "method", json_object_new_string(method));
	json_object_object_add(request, "params", params);
	err = rpc_connect(path, ms, &fd, eb);
	if (!err) {
		err = rpc_send(fd, json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
		if (!err)
			err = rpc_receive(fd, &answer);
		err = err ? errbuf_set(eb, err, "%s: %s: %s", path, method, strerror(-err))
			  : rpc_take(answer, ret, eb);
		close(fd);
	}
	json_object_put(answer);
	json_object_put(request);
	return err;
}
