#!/usr/bin/env bash
# Builds the documentation site into dist/docs; links are checked, nothing is fetched while building.
# usage: bash scripts/docs.sh [serve [ADDRESS:PORT]]
# The tools (pyproject.toml, extra docs) go into .venv-docs at the first call; the package itself is
# only read, so jax is not needed. DOCS_VENV names another environment, PYTHON the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 2; }

PYTHON=${PYTHON:-python3}
VENV=${DOCS_VENV:-.venv-docs}
export NO_MKDOCS_2_WARNING=1
if ! [ -x "$VENV/bin/mkdocs" ]; then
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$PYTHON is $("$PYTHON" --version 2>&1), but 3.11 or newer is needed: set PYTHON"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV" || fail "cannot make $VENV"
    "$PYTHON" -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["optional-dependencies"]["docs"]))
' | "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --requirement /dev/stdin
fi
case ${1:-build} in
    build) exec "$VENV/bin/mkdocs" build --strict ;;
    serve) exec "$VENV/bin/mkdocs" serve --dev-addr "${2:-127.0.0.1:8001}" ;;
    *) fail "no command '$1'; there are build and serve" ;;
esac
