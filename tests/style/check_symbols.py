#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Global symbols carry the registered prefix of their folder: nm over the libraries against symbols.json."""
import json
import pathlib
import re
import subprocess
import sys

GLOBAL = re.compile(r'^[0-9a-f]* [TDBRVWC] (\S+)$')
# What sanitizers and the compiler add by themselves.
FOREIGN = re.compile(r'^(__|_?asan|_?tsan|\.)')


def main():
    root, libs = pathlib.Path(sys.argv[1]), sys.argv[2:]
    data = json.loads((root / 'tests/style/symbols.json').read_text())
    errors, symbols = [], 0
    for lib in libs:
        folder, path = lib.split('=', 1)
        if folder not in data:
            errors.append(f'{folder}: no prefixes registered in symbols.json')
            continue
        out = subprocess.run(['nm', '--defined-only', '-g', path], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=True).stdout
        for line in out.splitlines():
            m = GLOBAL.match(line)
            if not m or FOREIGN.match(m.group(1)):
                continue
            symbols += 1
            if not any(m.group(1).startswith(p) for p in data[folder]):
                errors.append(f'{folder}: {m.group(1)} carries none of {", ".join(data[folder])}')
    print('\n'.join(errors) or f'{symbols} symbols of {len(libs)} libraries: all with a registered prefix')
    return 1 if errors or symbols == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
