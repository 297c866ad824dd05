/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring: the command line of nvringd. */
#include <locale.h>

#include "tools/nvring/cli.h"

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, ""); /* how wide a character is */
	return cli_main(argc, argv);
}
