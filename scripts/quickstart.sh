#!/usr/bin/env bash
# From nothing to a DCGAN that has learned garments: installs, trains, says where to look.
# usage: bash scripts/quickstart.sh [flags of train.py]
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/install.sh
exec .venv/bin/python scripts/train.py experiments/dcgan.py:quickstart --workdir runs/quickstart "$@"
