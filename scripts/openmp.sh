#!/usr/bin/env bash
# Sees to the OpenMP library that LightGBM takes from the system. Takes the Python that LightGBM is installed for.
set -euo pipefail
"$1" -c "import lightgbm" 2>/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libgomp1 >/dev/null
else
  echo "LightGBM, which trainmodel and hybrid_ml use, needs a library of the system: apt install libgomp1" >&2
fi
