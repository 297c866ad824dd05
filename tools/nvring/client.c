/* SPDX-License-Identifier: BSD-3-Clause */
/* The client side of JSON-RPC over a UNIX socket. */
#include "tools/nvring/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/nvring/cli.h"
#include "tools/shared/rundir.h"

#define ANSWER_DEPTH_MAX 32

int client_path(const struct cli *cli, char *buf, size_t len, struct errbuf *eb)
{
	if (cli->socket) {
		if ((size_t)snprintf(buf, len, "%s", cli->socket) < len)
			return 0;
		return errbuf_set(eb, -ENOENT, "the path of the socket is too long");
	}
	if (rundir_rpc_path(buf, len) == 0)
		return 0;
	return errbuf_set(eb, -ENOENT, "XDG_RUNTIME_DIR is not set: give --socket PATH");
}

static int connect_to(const struct cli *cli, int *ret_fd, struct errbuf *eb)
{
	struct timeval tv = { .tv_sec = (time_t)cli->timeout_s };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, err = client_path(cli, sa.sun_path, sizeof(sa.sun_path), eb);

	if (err)
		return CLI_UNREACHABLE;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		errbuf_set(eb, -errno, "socket: %s", strerror(errno));
		return CLI_UNREACHABLE;
	}
	/* When they fail we wait longer, that is all. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		const char *hint = errno == ENOENT || errno == ECONNREFUSED ?
					   " (is nvringd running? -s SOCKET names another socket)" :
					   "";

		errbuf_set(eb, -errno, "cannot reach nvringd on %s: %s%s", sa.sun_path,
			   strerror(errno), hint);
		close(fd);
		return CLI_UNREACHABLE;
	}
	*ret_fd = fd;
	return CLI_OK;
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
	    json_object_object_get_ex(err, "message", &msg)) {
		errbuf_set(eb, -EIO, "%s", json_object_get_string(msg));
		return CLI_FAILED;
	}
	if (!json_object_object_get_ex(answer, "result", &result)) {
		errbuf_set(eb, -EBADMSG, "the daemon's answer makes no sense");
		return CLI_FAILED;
	}
	*ret_result = json_object_get(result);
	return CLI_OK;
}

int client_try(struct cli *cli, const char *method, struct json_object *params,
	       struct json_object **ret_result, struct errbuf *eb)
{
	struct json_object *req = json_object_new_object(), *answer;
	int fd = -1, rc;

	json_object_object_add(req, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(req, "id", json_object_new_int(1));
	json_object_object_add(req, "method", json_object_new_string(method));
	if (params)
		json_object_object_add(req, "params", params);
	rc = connect_to(cli, &fd, eb);
	if (rc) {
		json_object_put(req);
		return rc;
	}
	answer = send_all(fd, json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN)) ?
			 receive(fd) :
			 NULL;
	if (answer) {
		rc = take_answer(answer, ret_result, eb);
	} else {
		errbuf_set(eb, -errno, "no answer from nvringd: %s",
			   errno == EAGAIN ? "timed out (--timeout SECONDS)" : strerror(errno));
		rc = CLI_UNREACHABLE;
	}
	json_object_put(answer);
	json_object_put(req);
	close(fd);
	return rc;
}

int client_call(struct cli *cli, const char *method, struct json_object *params,
		struct json_object **ret_result)
{
	struct errbuf eb;
	int rc = client_try(cli, method, params, ret_result, &eb);

	return rc ? cli_error(rc, "%s", eb.text) : CLI_OK;
}
