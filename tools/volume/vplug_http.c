/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin's HTTP server: limits, bodies, status codes. */
#include "tools/volume/vplug_http.h"

#include <errno.h>
#include <json-c/json.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/unixsock.h"
#include "tools/volume/vplug.h"

#define LOG_TAG "http"
#include "core/base/log.h"

#define CONNECTIONS_MAX	     64
#define IDLE_TIMEOUT_S	     30
#define HEADER_BYTES_MAX     16384
#define CONTENT_TYPE	     "application/vnd.docker.plugins.v1.1+json"

struct vplug_http {
	struct vplug *v;
	struct MHD_Daemon *daemon;
	char path[108];
	struct unixsock sock;
};

/* A body on its way. */
struct body {
	size_t len;
	bool is_too_long;
	char text[VPLUG_BODY_BYTES_MAX];
};

static enum MHD_Result answer_with(struct MHD_Connection *c, unsigned status, struct json_object *obj)
{
	const char *text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
								 MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc = MHD_NO;

	if (r) {
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE);
		rc = MHD_queue_response(c, status, r);
		MHD_destroy_response(r);
	}
	json_object_put(obj);
	return rc;
}

static enum MHD_Result serve(struct vplug_http *h, struct MHD_Connection *c, const char *url, const struct body *b)
{
	struct json_object *answer = NULL;
	struct vplug_request r;
	struct errbuf eb;
	int err;

	if (b->is_too_long)
		return answer_with(c, MHD_HTTP_CONTENT_TOO_LARGE, vplug_error("the request is too long"));
	err = vplug_request_parse(url, b->text, b->len, &r, &eb);
	if (err)
		return answer_with(c, err == -ENOENT ? MHD_HTTP_NOT_FOUND : MHD_HTTP_BAD_REQUEST, vplug_error(eb.text));
	if (vplug_do(h->v, &r, &answer, &eb)) {
		log_warn("%s %s: %s", url, r.name, eb.text);
		return answer_with(c, MHD_HTTP_INTERNAL_SERVER_ERROR, vplug_error(eb.text));
	}
	return answer_with(c, MHD_HTTP_OK, answer);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version, const char *data, size_t *data_len, void **ctx)
{
	struct body *b = *ctx;

	if (!b) {
		*ctx = b = malloc(sizeof(*b));
		if (!b)
			return MHD_NO;
		b->len = 0;
		b->is_too_long = false;
		return MHD_YES;
	}
	if (*data_len) {
		if (*data_len > sizeof(b->text) - b->len)
			b->is_too_long = true;
		if (!b->is_too_long) {
			memcpy(b->text + b->len, data, *data_len);
			b->len += *data_len;
		}
		*data_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
		return answer_with(c, MHD_HTTP_METHOD_NOT_ALLOWED, vplug_error("only POST is understood here"));
	return serve(arg, c, url, b);
}

static void on_completed(void *arg, struct MHD_Connection *c, void **ctx, enum MHD_RequestTerminationCode why)
{
	free(*ctx);
	*ctx = NULL;
}

int vplug_http_start(struct vplug *v, const char *path, struct vplug_http **ret, struct errbuf *eb)
{
	struct vplug_http *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	h->v = v;
	snprintf(h->path, sizeof(h->path), "%s", path);
	err = unixsock_listen(path, 0600, CONNECTIONS_MAX, &h->sock, eb); /* root alone: who may mount is root */
	if (err) {
		free(h);
		return err;
	}
	h->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, on_request, h,
				     MHD_OPTION_LISTEN_SOCKET, h->sock.fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				     (size_t)HEADER_BYTES_MAX, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				     MHD_OPTION_END);
	if (!h->daemon) {
		unixsock_close(&h->sock, h->path);
		free(h);
		return errbuf_set(eb, -EIO, "%s: the HTTP server does not start", path);
	}
	*ret = h;
	return 0;
}

void vplug_http_stop(struct vplug_http *h)
{
	if (!h)
		return;
	unixsock_remove(&h->sock, h->path);
	MHD_stop_daemon(h->daemon); /* closes the socket */
	free(h);
}
