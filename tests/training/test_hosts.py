"""Several processes train one game: as one process would, and ending together."""

import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from helpers.paths import ROOT

from gan_jax import parallel
from gan_jax.training import checkpoint, run_dir

RING = ["experiments/gan.py:ring8", "--generator.optimizer", "sgd"]
RING += ["--discriminator.optimizer", "sgd", "--run.metrics", "--run.best", ""]
SECONDS = 300  # on a busy machine; a lost process is noticed after 100
OFTEN = ["--run.checkpoint-kimg", "1.28", "--run.sample-kimg", "0", "--run.evaluate-kimg", "0"]


def start(workdir, kimg, *, count, devices=1):
    """`count` processes that train together, of `devices` virtual devices each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "scripts/train.py", *RING, *OFTEN, "--workdir", str(workdir)]
    command += ["--run.kimg", str(kimg)]
    hosts = [
        ["--hosts", f"localhost:{port},{count},{i}"] if count > 1 else [] for i in range(count)
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return [
        subprocess.Popen([*command, *flags], cwd=ROOT, env=environment, **pipes) for flags in hosts
    ]


def end(processes):
    """Exit codes and what was printed; none is left running."""
    try:
        printed = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], printed


def wait_for_checkpoint(workdir, after, processes):
    deadline = time.monotonic() + SECONDS
    while not [step for step in checkpoint.steps(workdir) if step > after]:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), end(processes)
        time.sleep(0.05)


def parameters(workdir):
    return jax.device_get(run_dir.load(workdir)[2].params)


def test_two_processes_play_the_rounds_of_one(tmp_path):
    ways = {"two": {"count": 2}, "one": {"count": 1, "devices": 2}}
    for name, how in ways.items():
        codes, printed = end(start(tmp_path / name, 2.56, **how))
        assert set(codes) == {0}, printed
    two, one = (parameters(tmp_path / name) for name in ways)
    assert run_dir.load(tmp_path / "two")[1] == 10
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == len(
        (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_that_is_preempted_or_killed_ends_all_and_any_number_resumes(tmp_path):
    workdir = tmp_path / "run"
    processes = start(workdir, 2000.0, count=2)
    wait_for_checkpoint(workdir, 0, processes)
    processes[1].send_signal(signal.SIGTERM)
    codes, printed = end(processes)
    assert codes == [143, 143], printed
    saved = max(checkpoint.steps(workdir))
    assert all(f"saved round {saved}; the same command resumes" in text for text in printed)

    processes = start(workdir, 2000.0, count=2)
    wait_for_checkpoint(workdir, saved, processes)
    processes[1].kill()
    codes, printed = end(processes)
    # At once by our line; by jax's, when the heartbeat is missed, where a call never comes back.
    assert codes in ([1, -signal.SIGKILL], [-signal.SIGABRT, -signal.SIGKILL]), printed
    ours, theirs = "another process of this run has ended", "another task died"
    assert ours in printed[0] or theirs in printed[0]

    saved = max(checkpoint.steps(workdir))
    kimg = (saved + 5) * 256 / 1000
    codes, printed = end(start(workdir, kimg, count=1))
    assert codes == [0], printed
    assert max(checkpoint.steps(workdir)) == saved + 5


@pytest.mark.parametrize("hosts", ["here", "localhost,2,0", "localhost:1,2", "localhost:1,2,2"])
def test_what_says_not_where_the_others_are_is_refused(hosts):
    with pytest.raises(ValueError, match="hosts = "):
        parallel.join(hosts)
