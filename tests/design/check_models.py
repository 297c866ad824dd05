#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The models of docs/design under spin: what is right holds, and each step taken away is missed."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DEPTH = 100000  # the search goes a few hundred steps deep
HASH_BITS = 20  # its table is cleared first: the usual 128 MiB cost more than a short search
LIMIT_S = 120   # for one search; it takes a second or two
TRAIL_LINES = 60
# Broken in both kinds of ring; the others have nothing to do with it.
OF_THE_RING = {'BREAK_DRIVER_BARRIER', 'BREAK_RING_BARRIER', 'BREAK_RING_LOOK'}


class Broken(Exception):
    """The machinery failed; nothing was verified."""


def command(argv, folder):
    run = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, timeout=LIMIT_S, check=False)
    if run.returncode:
        raise Broken(f'{" ".join(argv)}: exit status {run.returncode}\n{run.stdout}')
    return run.stdout


def is_broken(defines):
    return any(d.startswith('BREAK_') for d in defines)


def search(model, folder, defines, liveness):
    """Everything that can happen to the model: the verifier's report."""
    shutil.copy(model, folder)
    command(['spin', '-a', *(f'-D{d}' for d in defines), model.name], folder)
    # NFAIR: weak fairness among more than six processes
    options = ['-DNFAIR=3'] if liveness else ['-DSAFETY', '-DNOCLAIM']
    command(['gcc', '-w', '-O0' if is_broken(defines) else '-O1', *options, '-o', 'pan', 'pan.c'], folder)
    # -A: the claim alone, without the assertion of at_rest
    report = command(['./pan', f'-m{DEPTH}', f'-w{HASH_BITS}', *(['-a', '-f', '-A'] if liveness else [])], folder)
    if 'errors: ' not in report or re.search(r'^(pan: )?error', report, re.MULTILINE) or 'out of memory' in report:
        raise Broken(f'the search was cut short\n{report}')
    return report


def unreached(report):
    """Statements of the model that no execution comes to, the ends of endless processes apart."""
    parts = re.split(r'^unreached in (proctype|claim) ', report, flags=re.MULTILINE)
    for kind, part in zip(parts[1::2], parts[2::2]):
        if kind == 'proctype':
            yield from (line.strip() for line in part.splitlines() if ', state ' in line and '"-end-"' not in line)


def trail(model, folder, defines):
    lines = command(['spin', '-t', '-p', '-g', *(f'-D{d}' for d in defines), model.name], folder).splitlines()
    return '\n'.join(lines[-TRAIL_LINES:])


def check(model, defines, liveness):
    """None, or what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = search(model, folder, defines, liveness)
            found = 'errors: 0' not in report
            if is_broken(defines):
                sign = 'acceptance cycle' if liveness else 'assertion violated'
                return None if found and sign in report else f'is not missed: no "{sign}"\n{report}'
            if found:
                return f'{report}\n{trail(model, folder, defines)}'
            lost = [] if liveness else list(unreached(report))
            return '\n'.join(['never comes to:', *lost]) if lost else None
        except (Broken, OSError, subprocess.TimeoutExpired) as e:
            return str(e)


def cases(model):
    """(defines, liveness): right ones first, they take longest."""
    breaks = sorted(set(re.findall(r'^#ifn?def (BREAK_\w+)', model.read_text(), re.MULTILINE)))
    if not breaks:
        sys.exit(f'{model}: no BREAK_ switch: nobody knows whether it would find anything')
    variants = [[], ['EVENT_IDX']]
    for liveness in (False, True):
        for variant in variants:
            # fairness multiplies the states
            yield variant + (['REQUESTS=2'] if liveness else []), liveness
    for name in breaks:
        for variant in variants if name in OF_THE_RING else variants[:1]:
            yield variant + [name], False
    yield ['REQUESTS=2', 'BREAK_RING_LOOK'], True


def main():
    model = pathlib.Path(sys.argv[1]).resolve() / 'docs/design/sleep.pml'
    missing = [program for program in ('spin', 'gcc') if not shutil.which(program)]
    if missing:
        sys.exit(f'{missing[0]} is missing: install the package {missing[0]}')
    todo = list(cases(model))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(lambda case: check(model, *case), todo)
        for (defines, liveness), wrong in zip(todo, results):
            name = ' '.join([model.name, 'liveness' if liveness else 'safety', *defines])
            print(f'{name}: {wrong or "as it should be"}')
            failed += wrong is not None
    print(f'{len(todo)} searches, {failed} not as they should be')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
