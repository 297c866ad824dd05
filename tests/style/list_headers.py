#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The headers of the tree, one a line, for the build of each alone."""
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
for top in ('core', 'drivers', 'vhost', 'vdpa', 'tools', 'tests'):
    for path in sorted((root / top).rglob('*.h')):
        print(path.relative_to(root).as_posix())
