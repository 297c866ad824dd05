/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of nvringd into a configuration. */
#ifndef TOOLS_NVRINGD_OPTIONS_H
#define TOOLS_NVRINGD_OPTIONS_H

#include "tools/nvringd/config.h"

enum options_verdict {
	OPTIONS_RUN,	   /* @c is complete and checked */
	OPTIONS_DONE,	   /* --help and the like: answered on standard output */
	OPTIONS_USAGE,	   /* the command line is no command line; said on standard error */
	OPTIONS_BAD_CONFIG /* understood, but cannot be: the reason is in eb */
};

/* @c is initialised by the caller and his to finish, whatever comes back. Prints only in the cases named above. */
enum options_verdict options_parse(int argc, char **argv, struct config *c, struct errbuf *eb);

#endif
