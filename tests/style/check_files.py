#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The shape of the files: length, function length, licence line, top level, forbidden functions."""
import pathlib
import re
import subprocess
import sys

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 130  # clang-format aims at 100; a table row or a format string torn apart reads worse
TOP = {'meson.build', 'drivers', 'vdpa', 'vhost', 'core', 'tests', 'tools', 'docs', 'README.md', 'LICENSE'}
# Functions that have a safer one.
FORBIDDEN = re.compile(r'(?<![\w.>])(strcpy|strcat|sprintf|gets|alloca|system|atoi|strtok)\s*\(')


def functions(lines):
    """(line, length) of each function: an opening brace in column 0 up to its closing one."""
    start = None
    for i, line in enumerate(lines):
        if line == '{':
            start = i
        elif line == '}' and start is not None:
            yield start, i - start - 1
            start = None


def check_source(path, text):
    errors = []
    lines = text.splitlines()
    if not lines or 'SPDX-License-Identifier: BSD-3-Clause' not in lines[0]:
        errors.append(f'{path}:1: no licence line')
    if len(lines) > FILE_LINES_MAX:
        errors.append(f'{path}: {len(lines)} lines, more than {FILE_LINES_MAX}')
    for i, line in enumerate(lines, 1):
        if len(line.expandtabs(8)) > LINE_COLUMNS_MAX:
            errors.append(f'{path}:{i}: more than {LINE_COLUMNS_MAX} columns')
        if FORBIDDEN.search(line) and not line.lstrip().startswith(('*', '/*')):
            errors.append(f'{path}:{i}: forbidden function: {line.strip()}')
        if line != line.rstrip():
            errors.append(f'{path}:{i}: space at the end of the line')
    for start, length in functions(lines):
        if length > FUNCTION_LINES_MAX and path.parts[0] != 'tests':
            errors.append(f'{path}:{start}: a function of {length} lines, more than {FUNCTION_LINES_MAX}')
    return errors


def check_top(root):
    ls = subprocess.run(['git', '-C', str(root), 'ls-files'], stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, text=True, check=False)
    tops = sorted({name.split('/')[0] for name in ls.stdout.splitlines()})
    return [f'{t}: the top level is fixed' for t in tops if t not in TOP and not t.startswith('.')]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    errors, files = check_top(root), 0
    for top in ('core', 'drivers', 'vhost', 'vdpa', 'tools', 'tests'):
        for path in sorted((root / top).rglob('*.[ch]')):
            files += 1
            errors += check_source(path.relative_to(root), path.read_text())
    print('\n'.join(errors) or f'{files} files in shape')
    return 1 if errors or files == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
