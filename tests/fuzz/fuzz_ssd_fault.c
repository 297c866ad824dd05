/* SPDX-License-Identifier: BSD-3-Clause */
/* Fault rules of the software SSD: any text is taken or refused with a reason; what is taken can be
 * asked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ssd/ssd_fault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ssd_faults faults;
	struct ssd_fault_io io = { .qid = 1, .opc = 2, .nsid = 1, .lba = 5, .nblocks = 3 };
	struct errbuf eb = { "" };
	char text[512];
	uint32_t id;

	size = size < sizeof(text) ? size : sizeof(text) - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	faults.n = 0;
	if (ssd_fault_add(&faults, text, &id, &eb)) {
		if (!eb.text[0])
			abort();
		return 0;
	}
	for (unsigned i = 0; i < 8; i++) {
		const struct ssd_fault_effect *e = ssd_fault_decide(&faults, &io);

		if (e && e->end == SSD_FAULT_PASS && !e->delay_ns && !strstr(text, "delay"))
			abort(); /* a rule without effect */
	}
	if (ssd_fault_remove(&faults, id) || faults.n)
		abort();
	return 0;
}
