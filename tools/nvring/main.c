/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring: the command line of nvringd. */
#include "tools/nvring/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
