/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the control interface up to the method: framing in pieces, envelopes, parameters of every method. */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

/* The method's struct and nothing behind it is written. */
static void check_params(const struct rpc_method *m, struct json_object *obj)
{
	static max_align_t params[RPC_PARAMS_BYTES_MAX / sizeof(max_align_t)];
	struct errbuf eb = { "" };

	memset(params, 0x5a, sizeof(params));
	if (rpc_method_params(m, obj, params, &eb))
		check(eb.text[0]);
	for (size_t i = m->params_bytes; i < sizeof(params); i++)
		check(((unsigned char *)params)[i] == 0x5a);
}

static void one_request(struct json_object *msg)
{
	const struct rpc_method *m;
	struct jsonrpc_request req;
	const char *why = NULL;
	int code = jsonrpc_request_parse(msg, &req, &why);

	check(!code == !why);
	m = code ? NULL : rpc_method_find(req.method);
	if (m)
		check_params(m, req.params);
}

static void one_value(struct json_object *value)
{
	one_request(value);
	if (!json_object_is_type(value, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(value); i++)
		one_request(json_object_array_get_idx(value, i));
}

/* A stream that is cut every @piece bytes. */
static void one_stream(const char *data, size_t size, size_t piece)
{
	struct jsonrpc_stream s;
	size_t at = 0;
	int n = 0;

	check(jsonrpc_stream_init(&s) == 0);
	while (n >= 0 && at < size) {
		struct json_object *value = NULL;
		size_t len = CC_MIN(piece, size - at), used = 0;

		n = jsonrpc_stream_feed(&s, data + at, len, &used, &value);
		check(used <= len && (n != 0 || used == len));
		at += used;
		if (n == 1) {
			one_value(value);
			json_object_put(value);
		}
	}
	jsonrpc_stream_fini(&s);
}

/* "METHOD{PARAMS}": straight to the parameters. */
static void one_call(const char *data, size_t size)
{
	const char *brace = memchr(data, '{', size);
	struct json_tokener *tok = json_tokener_new();
	const struct rpc_method *m;
	struct json_object *obj;
	char name[64];
	size_t n = brace ? (size_t)(brace - data) : sizeof(name);

	check(tok);
	if (n < sizeof(name)) {
		memcpy(name, data, n);
		name[n] = '\0';
		m = rpc_method_find(name);
		obj = m ? json_tokener_parse_ex(tok, brace, (int)(size - n)) : NULL;
		if (obj)
			check_params(m, obj);
		json_object_put(obj);
	}
	json_tokener_free(tok);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says which of the two, and how the stream is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 0x80)
		one_call((const char *)data + 1, size - 1);
	else
		one_stream((const char *)data + 1, size - 1, data[0] % 64 + 1u);
	return 0;
}
