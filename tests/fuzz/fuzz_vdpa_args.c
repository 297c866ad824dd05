/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the arguments of a vDPA device: what is taken is in its bounds, what is refused is one line and changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "vdpa/vdpa_args.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check_taken(const struct vdpa_args *a)
{
	check(a->backend[0] && memchr(a->backend, '\0', sizeof(a->backend)));
	check(memchr(a->disk, '\0', sizeof(a->disk)) && memchr(a->serial, '\0', sizeof(a->serial)));
	check(a->queues >= 1 && a->queues <= VDPA_QUEUES_MAX);
	check(a->stop_ms >= 10 && a->stop_ms <= 600000 && a->resize_s <= 3600);
	check(a->read_only <= 1 && a->packed <= 1 && a->widen <= 1);
	check(!a->has_cpus || CPU_COUNT(&a->cpus) > 0);
	check(a->mode == REACTOR_ADAPTIVE || a->mode == REACTOR_POLL || a->mode == REACTOR_INTERRUPT);
	check(qos_limits_check(&a->limits, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vdpa_args a, before;
	struct errbuf eb = { "" };
	char *text = malloc(size + 1);

	check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	memset(&a, 0x5a, sizeof(a));
	before = a;
	if (vdpa_args_parse(text, &a, &eb) == 0) {
		check_taken(&a);
	} else {
		check(eb.text[0] && !strchr(eb.text, '\n'));
		check(memcmp(&a, &before, sizeof(a)) == 0);
	}
	free(text);
	return 0;
}
