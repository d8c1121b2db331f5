#!/usr/bin/env bash
# Everything that must hold before a commit: format, lint, types, documentation, tests on eight virtual devices.
# usage: bash scripts/test.sh [flags of pytest]
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/install.sh dev
export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/pyright --pythonpath .venv/bin/python
bash scripts/docs.sh
.venv/bin/python -m pytest --numprocesses 2 --dist worksteal "$@"
