/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of nvring-ssd. */
#ifndef TOOLS_SSD_SSD_OPTIONS_H
#define TOOLS_SSD_SSD_OPTIONS_H

#include "tools/ssd/ssd.h"

enum ssd_options_verdict {
	SSD_OPTIONS_RUN,
	SSD_OPTIONS_DONE,  /* answered on standard output */
	SSD_OPTIONS_USAGE, /* said on standard error */
	SSD_OPTIONS_BAD,   /* the reason is in eb */
};

enum ssd_options_verdict ssd_options_parse(int argc, char **argv, struct ssd_opts *o,
					   struct errbuf *eb);

#endif
