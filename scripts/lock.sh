#!/usr/bin/env bash
# Writes requirements-lock.txt and requirements-dev-lock.txt anew from the requirement files: every package that is
# installed, with the hashes of its files, for every system and every Python from 3.11. Needs `pip install uv`.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"
}

lock requirements.txt --output-file requirements-lock.txt
# The packages that both have must be the same.
lock requirements-dev.txt --constraints requirements-lock.txt --output-file requirements-dev-lock.txt
