#!/usr/bin/env bash
# Installs a small TeX, with which the tests compile the bundles for papers, where it is missing.
set -euo pipefail
command -v pdflatex >/dev/null && kpsewhich booktabs.sty >/dev/null && exit 0
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
as_root apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    texlive-latex-base texlive-latex-recommended
