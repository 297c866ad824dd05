#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Adds up test results for tests/run.

tally.py add TALLY STAGE LOG TIME  appends what meson's testlog.json LOG says to the file TALLY, shows failures
tally.py fail TALLY STAGE WHAT     appends one failure
tally.py sum TALLY                 prints what was skipped and failed, and the last line; exit status 1 if anything failed
"""

import json
import pathlib
import re
import sys

LINES_SHOWN = 60
PASSED = {"OK", "EXPECTEDFAIL"}
REASON = re.compile(r"^SKIP: (.+)$", re.MULTILINE)
# a case that cmocka skipped, and the remark before it
CASE_SKIPPED = re.compile(r"(?:^(?!ok|not ok|\d)(?:# )?([^\n]+)\n)?^(?:not )?ok \d+ # SKIP (\S+)$", re.MULTILINE)


def outcome(entry):
    """passed, failed or skipped, and why."""
    result = entry["result"]
    if result in PASSED:
        return "passed", ""
    if result == "SKIP":
        reasons = dict.fromkeys(REASON.findall(entry.get("stdout") or ""))
        return "skipped", "; ".join(reasons) or "no reason given"
    return "failed", result.lower()


def show(name, entry):
    """What a failed test said."""
    print(f"-- {name}: exit status {entry.get('returncode')}")
    for stream in ("stdout", "stderr"):
        for line in (entry.get(stream) or "").splitlines()[-LINES_SHOWN:]:
            print(f"   {line}")


def add(tally, stage, log, took):
    path = pathlib.Path(log)
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with open(tally, "a", encoding="utf-8") as out:
        for entry in entries:
            state, why = outcome(entry)
            counts[state] += 1
            name = entry["name"].split(" / ")[-1]
            print(json.dumps([state, stage, name, why]), file=out)
            for remark, case in CASE_SKIPPED.findall(entry.get("stdout") or ""):
                counts["skipped"] += 1
                print(json.dumps(["skipped", stage, f"{name}: {case}", remark or "no reason given"]), file=out)
            if state == "failed":
                show(name, entry)
    if not entries:
        fail(tally, stage, "no test has run")
        counts["failed"] = 1
    print(f"== {stage}: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + f" ({took})")


def fail(tally, stage, what):
    with open(tally, "a", encoding="utf-8") as out:
        print(json.dumps(["failed", stage, what, ""]), file=out)


def total(tally):
    rows = [json.loads(line) for line in pathlib.Path(tally).read_text(encoding="utf-8").splitlines()]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for state, stage, name, why in rows:
        counts[state] += 1
        if state != "passed":
            print(f"{state}: {stage}: {name}{': ' + why if why else ''}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] or not counts["passed"] else 0


def main():
    command, *rest = sys.argv[1:] or [""]
    known = {"add": add, "fail": fail, "sum": total}
    if command not in known:
        sys.exit(__doc__)
    sys.exit(known[command](*rest))


if __name__ == "__main__":
    main()
