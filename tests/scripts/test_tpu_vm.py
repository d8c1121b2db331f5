"""scripts/tpu_vm.sh: what it prints, and what it does with a gcloud that runs everything here."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.paths import ROOT

SCRIPT = ROOT / "scripts" / "tpu_vm.sh"
TABLE = "experiments/ablations/objectives.py"
# A gcloud whose machines are folders of $VMS: ssh runs its command in one, but installs nothing.
GCLOUD = """#!/bin/bash
echo "$*" >> "$VMS/calls"
[ "$1 $2 $3" = "compute tpus tpu-vm" ] || exit 1
vm="$VMS/$5"
case $4 in
    create) mkdir -p "$vm/gan_jax/.venv/bin"; cp "$VMS/python" "$vm/gan_jax/.venv/bin/python" ;;
    delete) rm -r "$vm" ;;
    ssh) [[ "$*" == *install.sh* ]] || { cd "$vm" && bash -c "${@: -1}"; } ;;
    describe) echo "${STATE:-READY}" ;;
esac
"""
PYTHON = """#!/bin/bash
echo "trained $*"
"""


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *words],
        env={"PATH": os.environ["PATH"], "VENV": sys.prefix, "ZONE": "here", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def cloud(tmp_path):
    for name, text in {"gcloud": GCLOUD, "python": PYTHON}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VMS": str(tmp_path)}


def log(cloud: dict[str, str], vm: str = "gan-0") -> str:
    file = Path(cloud["VMS"]) / vm / "gan_jax" / "train.log"
    for _ in range(100):
        if file.exists() and file.read_text():
            break
        time.sleep(0.05)
    return file.read_text()


def test_a_dry_run_prints_commands_that_a_shell_can_read_and_runs_none(cloud):
    done = call("launch", "gan-0", "experiments/dcgan.py:celeba64", "--seed", "1", **cloud)
    assert done.returncode == 0
    words = shlex.split(done.stdout)
    assert words[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "gan-0"]
    assert "--worker=all" in words
    remote = words[words.index("--command") + 1]
    assert "train.py experiments/dcgan.py:celeba64 --hosts auto" in remote
    assert "--workdir runs/dcgan-celeba64 --seed 1" in remote
    assert not (Path(cloud["VMS"]) / "calls").exists()


def test_spot_machines_and_projects_are_settings():
    made = call("create", "gan-0", SPOT="1", PROJECT="mine", TYPE="v6e-8").stdout
    assert "--project mine --accelerator-type v6e-8 --version v2-alpha-tpuv6e --spot" in made


def test_launched_training_outlives_the_connection_and_leaves_a_log(cloud):
    assert call("--run", "create", "gan-0", **cloud).returncode == 0
    done = call("--run", "launch", "gan-0", "experiments/gan.py:ring8", **cloud)
    assert done.returncode == 0, done.stderr
    assert "trained scripts/train.py experiments/gan.py:ring8 --hosts auto" in log(cloud)
    assert (Path(cloud["VMS"]) / "gan-0/gan_jax/train.pid").read_text().strip().isdigit()


def test_a_machine_that_was_taken_away_is_made_again_and_resumes(cloud):
    folder = Path(cloud["VMS"])
    fake = (folder / "gcloud").read_text().replace("${STATE:-READY}", "$(cat $VMS/state)")
    fake = fake.replace('delete) rm -r "$vm"', 'delete) rm -r "$vm"; echo READY > $VMS/state')
    (folder / "gcloud").write_text(fake)
    (folder / "state").write_text("PREEMPTED\n")
    call("--run", "create", "gan-0", **cloud)
    done = call("--run", "keep", "gan-0", "experiments/gan.py:ring8", EVERY="0.2", **cloud)
    assert done.returncode == 0, done.stderr
    calls = [line.split()[3] for line in (folder / "calls").read_text().splitlines()]
    assert calls.count("create") == 2, "once more than by hand"
    again = calls.index("delete")
    assert calls[again : again + 2] == ["delete", "create"]
    assert "trained" in log(cloud)


def test_a_table_is_spread_over_machines_and_every_run_is_on_one_of_them():
    done = call("ablate", TABLE, "a", "b")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [shlex.split(line)[5] for line in lines] == ["a", "b"]
    runs = [shlex.split(line)[-1].count("scripts/ablate.py") for line in lines]
    from gan_jax import config

    table = config.table(str(ROOT / TABLE))
    assert sum(runs) == len(table.rows) * len(table.seeds)


@pytest.mark.parametrize(
    ("words", "environment", "line"),
    [
        (("lunch", "x"), {}, "no command 'lunch'"),
        (("create",), {}, "needs a VM's name"),
        (("create", "x"), {"ZONE": ""}, "ZONE is not set"),
        (("launch", "x"), {}, "needs a recipe"),
        (("ablate", TABLE), {}, "needs a VM's name after the table"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(words, environment, line):
    done = call(*words, **environment)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
