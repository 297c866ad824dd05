/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the configuration file: refused with a reason, or taken, and then it survives its own way out and back. */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvringd/config.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

/* What was accepted is written such that it is accepted again and means the same. */
static void round_trip(const struct config *c)
{
	struct json_object *once = config_build(c), *twice;
	const char *text = json_object_to_json_string_ext(once, JSON_C_TO_STRING_PLAIN);
	struct errbuf eb;
	struct config again;

	config_init(&again);
	check(config_parse(&again, "again", text, strlen(text), &eb) == 0);
	check(config_finish(&again, &eb) == 0);
	twice = config_build(&again);
	check(json_object_equal(once, twice));
	json_object_put(twice);
	json_object_put(once);
	config_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct errbuf eb = { "" };
	struct config c;
	int err;

	config_init(&c);
	err = config_parse(&c, "fuzz.json", (const char *)data, size, &eb);
	if (!err)
		err = config_finish(&c, &eb);
	if (err)
		check(strncmp(eb.text, "fuzz.json: ", 11) == 0);
	else
		round_trip(&c);
	config_fini(&c);
	return 0;
}
