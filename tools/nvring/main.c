/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring: the command line of nvringd. */
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "tools/nvring/cli.h"

/* What a character is, and how wide: by the user's locale; where none is set (cron, systemd), UTF-8 as everywhere. */
static void set_characters(void)
{
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
	set_characters();
	return cli_main(argc, argv);
}
