#!/usr/bin/env bash
# Makes .venv beside this folder with the pinned packages and this project; at once done where that has happened before.
# PYTHON names another interpreter (3.11 or newer), e.g. PYTHON=python3.12 scripts/setup.sh
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: $python is $("$python" --version 2>&1), but Python 3.11 or newer is needed; set PYTHON=..." >&2
    exit 1
}
wanted="$(cat pyproject.toml scripts/constraints.txt | sha256sum | cut -d ' ' -f 1)"
stamp=.venv/monai_iel.installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
echo "setting up .venv (a few minutes the first time)"
"$python" -m venv .venv
export PIP_CONSTRAINT=scripts/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
# torch first: as a dependency of another package it would be resolved to its newest build.
.venv/bin/python -m pip install --quiet "$(grep '^torch==' scripts/constraints.txt)"
.venv/bin/python -m pip install --quiet --editable '.[dev]'
echo "$wanted" > "$stamp"
