"""Ahead-of-time plans: the round that trains, for chips that are not here."""

import functools
import importlib.util
import json
import re
import subprocess
import sys

import jax
import pytest
from helpers.paths import ROOT

from gan_jax import config
from gan_jax.build import schedule
from gan_jax.build.data import open_data
from gan_jax.data.pipeline import batches
from gan_jax.errors import UserError
from gan_jax.planning import chips, compiler, hlo, lowering, plan, search, table
from gan_jax.planning.compiler import Compilation
from gan_jax.planning.report import describe

CPU_CONVOLUTIONS = True

KINDS = ["gan.py:ring8", "dcgan.py:celeba64", "cgan.py:cifar10", "pix2pix.py:facades"]
KINDS += ["cyclegan.py:horse2zebra", "text_to_image.py:cub", "vae.py:emoji", "stylegan.py:emoji"]


def tiny(recipe):
    return config.tiny(config.recipe(f"{ROOT}/experiments/{recipe}"))


@pytest.mark.parametrize("recipe", KINDS)
def test_the_shapes_are_those_of_the_data(recipe):
    experiment = tiny(recipe)
    shapes = lowering.batch_shapes(experiment, 8)
    found = next(batches(open_data(experiment), batch_size=8, seed=0))
    assert {n: (found[n].shape, found[n].dtype) for n in shapes} == {
        n: (x.shape, x.dtype) for n, x in shapes.items()
    }


@functools.cache
def lowered(recipe, platform="tpu", devices=4):
    experiment = tiny(recipe)
    stage = schedule.stages(experiment)[-1]
    rows = lowering.rows_per_device(stage, devices)
    program = lowering.lower(experiment, stage, rows, platform=platform, count=devices)
    return experiment, stage, program


def planned(recipe, topology="v5e:2x2", overflow="", name="r"):
    """The plan of a recipe that was lowered, or that did not fit."""
    where = chips.read_slice(topology)
    experiment, stage, program = lowered(recipe, devices=where.devices)
    target = plan.Target(name, experiment, where, stage)
    return target, plan.summarise(target, program, Compilation(overflow=overflow))


def test_accelerators_get_plain_convolutions_and_the_cpu_its_own():
    """No form of the CPU's is in the program of a TPU: its only products are its networks' own."""
    counts = {}
    for platform in ("tpu", "cuda", "cpu"):
        text = lowered("dcgan.py:celeba64", platform)[2].lowered.as_text()
        counts[platform] = (text.count("stablehlo.convolution"), text.count("stablehlo.dot"))
    assert counts["tpu"] == counts["cuda"]
    assert counts["tpu"][0] > 20 and counts["cpu"][0] == 0
    assert counts["cpu"][1] > counts["tpu"][1] + 20


def test_a_plan_counts_a_devices_share():
    """Half the rows on twice the devices: half the products; gradients are exchanged in full."""
    found = {}
    for topology in ("v5e:2x2", "v5e:2x4"):
        target, one = planned("dcgan.py:celeba64", topology)
        found[target.slice.devices] = one
    four, eight = found[4], found[8]
    assert (four.rows, eight.rows) == (2, 1) and four.batch_size == eight.batch_size == 8
    assert 1.6 < four.flops / eight.flops < 2.1
    sent = {n: one.collectives["all-reduce"][1] for n, one in found.items()}
    assert sent[4] == sent[8] >= 4 * four.parameters
    assert four.fits is None and not four.compiled and four.moved is None


TEXT = """
HloModule m
%fused_computation (p: f32[8,3]) -> f32[8,3] {
  %x = f32[99,1]{1,0:T(8,128)} add(%p, %p)
}
ENTRY %main (a: f32[8,3]) -> f32[8,3] {
  %a = f32[8,3]{1,0:T(8,128)} parameter(0)
  %b = bf16[2,256]{1,0:T(8,128)(2,1)} convert(%a)
  %v = f32[8,3]{1,0:T(8,128)S(1)} copy(%a)
  %all-reduce.1 = (f32[8,3]{1,0:T(8,128)}, f32[5]{0}) all-reduce(%a, %b), replica_groups={}
  %g = (f32[2,3], f32[8,3]) all-gather-start(%b), dimensions={0}
  ROOT %d = f32[8,3]{0,1:T(8,128)} all-gather-done(%g)
}
"""


def test_what_devices_exchange_is_read_from_the_compilers_text():
    assert hlo.collectives(TEXT) == {"all-reduce": (1, 116), "all-gather": (1, 96)}


def test_padding_is_what_tiles_add():
    assert hlo.tiled("f32", "3,64", "1,0", "T(8,128)") == 4096
    assert hlo.tiled("f32", "3,64", "0,1", "T(8,128)") == 64 * 128 * 4
    assert hlo.tiled("bf16", "2,8,128", "2,1,0", "T(8,128)(2,1)") == 2 * 8 * 128 * 2
    wide, dense = 4096 + 4096 + 4096, 96 + 1024 + 96
    ratio, worst = hlo.padding(TEXT)
    assert ratio == pytest.approx(wide / dense)
    assert worst[0][1:] == (4096, 96)


def test_an_overflow_is_a_sentence():
    message = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 18.00G of 15.75G hbm"
    assert hlo.needs(message) == "needs 18.00G of 15.75G"
    other = "Ran out of memory on HBM ... (18.00G) exceeds available HBM (15.75G)"
    assert hlo.needs(other) == "needs 18.00G of 15.75G"
    one = planned("gan.py:ring8", overflow=message)[1]
    assert one.fits is False
    assert "does not fit: needs 18.00G of 15.75G" in describe(one)


def test_the_bound_is_the_slower_of_products_and_memory():
    chip = chips.CHIPS["v5e"]
    assert plan.roofline(chip, "bfloat16", 197e12, 1.0) == (1.0, "products")
    assert plan.roofline(chip, "float32", 1.0, 819e9) == (1.0, "memory")
    assert plan.roofline(chips.CHIPS["h100"], "float32", 495e12, None)[0] == 1.0


@pytest.mark.parametrize(
    ("text", "count", "devices"), [("v5e:4x4", 16, 16), ("v3:2x2", 4, 8), ("cuda:a100-80x8", 8, 8)]
)
def test_a_slice_is_read(text, count, devices):
    where = chips.read_slice(text)
    assert (where.chips, where.devices) == (count, devices)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("v5x:2x2", "no chip .v5x.; did you mean .v5"),
        ("v5e", "say one like"),
        ("cuda:h10x4", "h100"),
    ],
)
def test_what_is_no_slice_is_refused(text, says):
    with pytest.raises(UserError, match=says):
        chips.read_slice(text)


def test_a_line_through_two_plans_says_what_fits():
    one = planned("gan.py:ring8")[1]
    small = one.__class__(**{**vars(one), "rows": 10, "memory": 2 * 2**30})
    large = one.__class__(**{**vars(one), "rows": 20, "memory": 3 * 2**30})
    assert plan.more_rows(small, large) == 150


@pytest.mark.parametrize(
    ("how", "room", "largest", "says", "tried"),
    [
        ("search", 500, 40, "80 do not fit", [20, 40, 80]),
        ("extrapolate", 500, 50, "extrapolated from 10 and 20", [20]),
        ("extrapolate", 150, 10, "20 do not fit", [20]),
        ("search", 50, None, "the batch does not fit", []),
    ],
)
def test_the_largest_batch_is_searched_or_extrapolated(
    how, room, largest, says, tried, monkeypatch
):
    """With a chip of `room` bytes and ten bytes a row."""
    target, base = planned("gan.py:ring8")
    seen = []

    def of(rows):
        known = {"rows": rows, "memory": 10 * rows, "capacity": room, "fits": 10 * rows <= room}
        return base.__class__(**{**vars(base), **known})

    def attempt(target, rows, request):
        seen.append(rows)
        return of(rows)

    monkeypatch.setattr(search, "attempt", attempt)
    found = search.enlarge(of(10), target, search.Request(largest=how))
    assert (found.largest, found.how_largest, seen) == (largest, says, tried)


def test_the_script_plans_without_a_compiler_and_says_how_to_get_one():
    command = [sys.executable, "scripts/tpu_plan.py", "experiments/gan.py:ring8"]
    done = subprocess.run([*command, "--json", "True"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)
    assert one["rows"] * 4 == one["batch_size"] == one["asked"] == 256
    if importlib.util.find_spec("libtpu"):
        return
    done = subprocess.run([*command, "--compile", "True"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: --compile needs the package libtpu .*\.\[plan\].*\n", done.stderr)


def test_a_table_keeps_rows_and_names_what_failed():
    one = planned("gan.py:ring8", name="experiments/gan.py:ring8")[1]
    about = {"when": "2026-01-02", "with": {"jax": "1"}, "topology": "v5e:2x2"}
    rows = {
        "a": about | {"recipe": one.recipe, "plans": [json.loads(json.dumps(vars(one)))]},
        "b": about | {"recipe": "experiments/x.py:y", "plans": [], "failed": "not compiled"},
    }
    rows["c"] = rows["a"] | {"topology": "v5e:4x4", "failed": "too long"}
    text = table.markdown(rows)
    assert "| gan:ring8 | v5e:2x2 |" in text and "| x:y | v5e:2x2 | not compiled |" in text
    assert "on 2026-01-02 with jax 1" in text
    assert "over" in table.digest(rows)[2] and "v5e:4x4" in table.digest(rows)[0]
    assert "| ? | — too long |" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert widths == 3 * [5] + 5 * [15]


def test_no_state_is_made(monkeypatch):
    """The game is begun, but only traced."""
    begun, init = [], lowering.game.init

    def spy(*given):
        begun.extend(jax.tree.leaves(state := init(*given)))
        return state

    monkeypatch.setattr(lowering.game, "init", spy)
    assert lowering.size(lowered.__wrapped__("gan.py:ring8")[2].state) > 0
    assert begun and all(isinstance(leaf, jax.core.Tracer) for leaf in begun)


def test_lowering_leaves_the_configuration_of_jax_as_it_is():
    before = dict(jax.config.values)
    lowered.__wrapped__("gan.py:ring8")
    assert dict(jax.config.values) == before


def test_a_compiled_plan_knows_memory_traffic_and_padding():
    """With this machine's compiler in place of a chip's."""
    experiment = tiny("gan.py:ring8")
    stage = schedule.stages(experiment)[-1]
    devices = jax.devices()[:4]
    program = lowering.lower(experiment, stage, 2, platform="cpu", count=4, devices=devices)
    target = plan.Target("r", experiment, chips.read_slice("v5e:2x2"), stage)
    # The extra `plan` has the compilers of jax 0.10; those of 0.12 do not know how "least" is said.
    effort = "least" if jax.__version__.startswith("0.10.") else "full"
    one = plan.summarise(target, program, compiler.compile_for_chip(program.lowered, effort))
    assert one.compiled and one.fits and one.flops > 0 and one.moved
    assert one.memory and one.state < one.memory < one.capacity
    assert one.padding == 0.0 and one.collectives["all-reduce"][0] > 0  # a CPU has no tiles
    assert "fits: " in describe(one)
