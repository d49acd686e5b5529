#!/usr/bin/env bash
# Sets up and runs all checks: lint, format, types, tests. Arguments go to pytest; the slow tests: scripts/run_tests.sh -m slow
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# A process for each core, each with one thread, so that they do not take the cores from each other.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest --numprocesses auto --dist loadfile "$@"
