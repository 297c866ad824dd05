#!/usr/bin/env bash
# Shows (or with --fix mends) the layout of the lines changed since REV (default HEAD) by clang-format.
set -euo pipefail
cd "$(dirname "$0")/../.."
fix=
[ "${1:-}" = --fix ] && { fix=1; shift; }
rev=${1:-HEAD}
command -v git-clang-format >/dev/null || { echo "format.sh: clang-format is missing: apt-get install clang-format" >&2; exit 1; }
if [ -n "$fix" ]; then
	git clang-format "$rev" -- '*.c' '*.h'
else
	git clang-format --diff "$rev" -- '*.c' '*.h'
fi
