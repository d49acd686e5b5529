#!/usr/bin/env bash
# Sets up and runs all checks: lint, format, types, tests. Arguments go to pytest; the slow tests: scripts/run_tests.sh -m slow
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/python -m pytest "$@"
