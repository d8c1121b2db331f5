#!/usr/bin/env bash
# Runs the tests on other interpreters with the newest versions of all packages that pyproject.toml allows, in
# .matrix/INTERPRETER. The exact versions of scripts/constraints.txt are what scripts/test.sh tests.
# usage: bash scripts/matrix.sh [flags of pytest]      PYTHONS="python3.12 python3.13" names the interpreters
set -uo pipefail
cd "$(dirname "$0")/.."
failed=
for python in ${PYTHONS:-python3.12 python3.13}; do
    export VENV=.matrix/$(basename "$python")
    PYTHON=$python CONSTRAINTS= bash scripts/install.sh dev || { failed="$failed $python"; continue; }
    "$VENV/bin/python" -m pip list --disable-pip-version-check 2>/dev/null |
        grep -E '^(jax|jaxlib|flax|optax|orbax-checkpoint|numpy|grain) '
    "$VENV/bin/python" --version
    JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 "$VENV/bin/python" -m pytest --numprocesses 2 --dist worksteal "$@" ||
        failed="$failed $python"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
