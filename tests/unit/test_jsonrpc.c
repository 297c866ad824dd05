/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON-RPC without sockets: framing at every cut, envelopes, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>

#include "core/base/cc.h"
#include "tools/nvringd/jsonrpc.h"

/* Feeds all of @text in pieces of @piece bytes; the values that came out, joined by '|'. */
static int feed(const char *text, size_t piece, char *out, size_t out_len)
{
	size_t len = strlen(text), at = 0;
	struct jsonrpc_stream s;
	int n = 0;

	assert_int_equal(jsonrpc_stream_init(&s), 0);
	out[0] = '\0';
	while (at < len && n >= 0) {
		struct json_object *v = NULL;
		size_t used = 0;

		n = jsonrpc_stream_feed(&s, text + at, CC_MIN(piece, len - at), &used, &v);
		at += used;
		if (n == 1) {
			strncat(out, json_object_to_json_string_ext(v, 0), out_len - strlen(out) - 2);
			strncat(out, "|", 2);
			json_object_put(v);
		} else if (n == 0) {
			assert_true(used > 0);
		}
	}
	if (n >= 0)
		n = jsonrpc_stream_is_partial(&s) ? 1 : 0;
	jsonrpc_stream_fini(&s);
	return n;
}

static const struct {
	const char *text, *values;
	int end; /* 0: nothing left over, 1: a value is under way, -errno */
} streams[] = {
	{ "{\"a\":1}{\"b\":2}\n[3] \"x\" ", "{\"a\":1}|{\"b\":2}|[3]|\"x\"|", 0 },
	{ " \r\n\t ", "", 0 },
	{ "{\"a\":", "", 1 },
	{ "{\"a\":1}}", "{\"a\":1}|", -EBADMSG },
	{ "['a']", "", -EBADMSG },
	{ "\"\xff\" ", "", -EBADMSG },
	{ "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "", -E2BIG },
	{ "null {}", "null|{}|", 0 },
	{ "nonsense", "", -EBADMSG },
};

static void values_come_out_wherever_the_stream_is_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		for (size_t piece = 1; piece <= strlen(streams[i].text); piece++) {
			char out[256];

			assert_int_equal(feed(streams[i].text, piece, out, sizeof(out)),
					 streams[i].end);
			assert_string_equal(out, streams[i].values);
		}
	}
}

static void a_value_without_end_is_cut_off(void **state)
{
	char *text = malloc(4096);
	struct json_object *v = NULL;
	struct jsonrpc_stream s;
	size_t used, total = 0;
	int n = 0;

	memset(text, 'a', 4096);
	text[0] = '"';
	assert_int_equal(jsonrpc_stream_init(&s), 0);
	while (n == 0) {
		n = jsonrpc_stream_feed(&s, text, 4096, &used, &v);
		text[0] = 'a';
		total += used;
	}
	assert_int_equal(n, -E2BIG);
	assert_int_equal(total, JSONRPC_REQUEST_BYTES_MAX);
	jsonrpc_stream_fini(&s);
	free(text);
}

static const struct {
	const char *text;
	int code;
	const char *why, *method, *id; /* id as JSON; NULL: none */
	bool is_notification;
} requests[] = {
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}", 0, NULL, "m", "1", false },
	{ "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"m\",\"params\":{}}", 0, NULL, "m", "\"x\"",
	  false },
	{ "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", 0, NULL, "m", NULL, true },
	{ "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", 0, NULL, "m", NULL, false },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"more\":true}", 0, NULL, "m", "1", false },
	{ "7", JSONRPC_INVALID_REQUEST, "a request must be an object", NULL, NULL, false },
	{ "{}", JSONRPC_INVALID_REQUEST, "jsonrpc must be \"2.0\"", NULL, NULL, true },
	{ "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", JSONRPC_INVALID_REQUEST,
	  "jsonrpc must be \"2.0\"", NULL, "1", false },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1}", JSONRPC_INVALID_REQUEST,
	  "method must be a text of at most 63 characters", NULL, "1", false },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
	  "\"0123456789012345678901234567890123456789012345678901234567890123\"}",
	  JSONRPC_INVALID_REQUEST, "method must be a text of at most 63 characters", NULL, "1", false },
	{ "{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"m\"}", JSONRPC_INVALID_REQUEST,
	  "id must be a number, a text or null", NULL, NULL, false },
	{ "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}", JSONRPC_INVALID_PARAMS,
	  "params must be an object", "m", "1", false },
};

static void envelopes_are_checked(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct json_object *msg = json_tokener_parse(requests[i].text);
		struct jsonrpc_request req;
		const char *why = NULL;

		assert_int_equal(jsonrpc_request_parse(msg, &req, &why), requests[i].code);
		if (requests[i].why)
			assert_string_equal(why, requests[i].why);
		if (requests[i].method)
			assert_string_equal(req.method, requests[i].method);
		if (requests[i].id)
			assert_string_equal(json_object_to_json_string_ext(req.id, 0), requests[i].id);
		else
			assert_null(req.id);
		assert_int_equal(req.is_notification, requests[i].is_notification);
		json_object_put(msg);
	}
}

static void answers_carry_the_id(void **state)
{
	struct json_object *id = json_object_new_string("q");
	struct json_object *ok = jsonrpc_result(id, json_object_new_int(3));
	struct json_object *bad = jsonrpc_error(NULL, JSONRPC_PARSE_ERROR, "not JSON");

	assert_string_equal(json_object_to_json_string_ext(ok, 0),
			    "{\"jsonrpc\":\"2.0\",\"id\":\"q\",\"result\":3}");
	assert_string_equal(json_object_to_json_string_ext(bad, 0),
			    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,"
			    "\"message\":\"not JSON\"}}");
	json_object_put(ok);
	json_object_put(bad);
	json_object_put(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_out_wherever_the_stream_is_cut),
		cmocka_unit_test(a_value_without_end_is_cut_off),
		cmocka_unit_test(envelopes_are_checked),
		cmocka_unit_test(answers_carry_the_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
