#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Includes point down the floors: every #include is checked against layers.json."""
import json
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def rule_for(folders, path):
    """The rule of the longest folder that holds `path`, or of the file itself."""
    best = None
    for name in folders:
        if (str(path) + '/').startswith(name + '/') and (best is None or len(name) > len(best)):
            best = name
    return best


def check_ours(root, path, name, rule, private_suffix):
    """What is wrong with including our own header `name` from `path`, as a list of reasons."""
    errors = []
    if not (root / name).exists() and not name.endswith('config.h'):
        errors.append(f'"{name}" is not written from the root')
    if not any(name.startswith(p) for p in rule['ours']):
        errors.append(f'this folder may not include "{name}"')
    if name.endswith(private_suffix) and path.parts[0] != 'tests' \
       and pathlib.Path(name).parent != path.parent:
        errors.append(f'"{name}" is private to its folder')
    return errors


def check_file(root, path, data):
    folder = rule_for(data['folders'], path)
    if folder is None:
        return [f'{path}: no rule for its folder in layers.json']
    rule = data['folders'][folder]
    errors = []
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        m = INCLUDE.match(line)
        if not m:
            continue
        kind, name = m.groups()
        if kind == '"':
            found = check_ours(root, path, name, rule, data['private_suffix'])
        else:
            limited = any(name.startswith(p) for p in data['restricted_libs'])
            allowed = any(name.startswith(p) for p in rule.get('libs', []))
            found = [f'this folder may not include <{name}>'] if limited and not allowed else []
        errors += [f'{path}:{number}: {e}' for e in found]
    return errors


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    data = json.loads((root / 'tests/style/layers.json').read_text())
    errors, files = [], 0
    for top in ('core', 'drivers', 'vhost', 'vdpa', 'tools', 'tests'):
        for path in sorted((root / top).rglob('*.[ch]')):
            files += 1
            errors += check_file(root, path.relative_to(root), data)
    print('\n'.join(errors) or f'{files} files: every include follows the floors')
    return 1 if errors or files == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
