#!/usr/bin/env bash
# Sets up and runs the main job on the phantom volumes: trains with and without the IEL on noisy annotations, evaluates
# on clean labels, segments the test volumes, and writes a report. Arguments go to "monai-iel paired", e.g. --seed 1
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
exec .venv/bin/monai-iel paired runs/default --data data/phantom --noise noise/block_shared "$@"
