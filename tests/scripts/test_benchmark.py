"""The benchmark counts and times what it says, and its pages say what was measured."""

import functools
import types

import benchmark
import jax
import numpy as np
import pytest
from benchmarks import cases, chips, hlo, inputs, measure, scaling, table

from gan_jax.errors import UserError
from gan_jax.networks import products
from gan_jax.networks.conv import conv
from gan_jax.networks.cpu import onednn

CPU_CONVOLUTIONS = True


def test_perceptrons_need_the_products_counted_by_hand():
    case = cases.CASES["gan_mlp"]
    timed = case.make(64)
    assert timed.flops / case.count(64) == pytest.approx(1.0, abs=0.005)
    timed.play()


def test_products_in_a_loop_count_as_often_as_it_runs():
    def turns(x, y):
        return jax.lax.fori_loop(0, 7, lambda _, x: jax.numpy.tanh(x @ y), x) @ y.T

    x, y = jax.numpy.ones((3, 4)), jax.numpy.ones((4, 4))
    text = jax.jit(turns).lower(x, y).compile().as_text()
    assert hlo.matrix_products(text) == 8 * 2 * 3 * 4 * 4


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
def test_products_of_the_library_count():
    def turned(x, y):
        return products.product(x, y, transpose_a=True)

    x, y = jax.numpy.ones((2, 300, 400)), jax.numpy.ones((2, 300, 200))
    with onednn.enabled():
        text = jax.jit(turned).lower(x, y).compile().as_text()
    assert " dot(" not in text
    assert hlo.matrix_products(text) == 2 * 2 * 400 * 300 * 200


@pytest.mark.skipif(not onednn.is_available(), reason="this jaxlib has no oneDNN")
def test_convolutions_of_the_library_count():
    x, kernel = jax.numpy.ones((4, 33, 33, 8)), jax.numpy.ones((3, 3, 8, 16))
    with onednn.enabled():
        text = jax.jit(lambda x, k: conv(x, k, stride=2)).lower(x, kernel).compile().as_text()
    assert " dot(" not in text
    assert hlo.matrix_products(text) == 2 * 4 * 17 * 17 * 9 * 8 * 16


def test_sides_take_turns_and_the_first_two_are_not_timed(monkeypatch):
    monkeypatch.setattr(measure, "TURN", 0.0)
    order = []
    sides = ("project", "eager", "compiled")
    plays = {side: functools.partial(order.append, side) for side in sides}
    wall, cpu = measure.alternate(plays, rounds=3, limit=60.0)
    assert order == [*sides] * 5
    assert [len(took) for took in (*wall.values(), *cpu.values())] == [3] * 6
    wall, _ = measure.alternate(dict.fromkeys(sides, lambda: None), rounds=9, limit=0.0)
    assert [len(took) for took in wall.values()] == [3] * 3


def test_short_rounds_fill_a_turn_that_opens_with_one_not_timed(monkeypatch):
    """By a clock that only plays move."""
    monkeypatch.setattr(measure, "TURN", 0.1)
    order, now = [], [0.0]
    clock = types.SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: now[0])
    monkeypatch.setattr(measure, "time", clock)

    def play(side, seconds):
        order.append(side)
        now[0] += seconds

    plays = {"project": lambda: play("short", 0.02), "eager": lambda: play("long", 0.2)}
    wall, _ = measure.alternate(plays, rounds=3, limit=60.0)
    timed = "".join(side[0] for side in order).split("l")[2:-1]
    assert len(timed) == 3 and all(len(turn) == 6 for turn in timed), order
    assert order.count("long") == 5 and wall["project"] == pytest.approx([0.02] * 3)


def test_a_case_is_measured_by_its_sides():
    facts = measure.together("gan_mlp", 8, ("project", "remat"), 3, 0.0)
    assert facts["seconds"]["remat"] == np.median(facts["turns"]["remat"])
    assert facts["images_per_second"] == pytest.approx(8 / facts["seconds"]["project"])
    assert facts["flops_over_hand_count"] == pytest.approx(1.0, abs=0.005)
    with pytest.raises(UserError, match="'features' does not train"):
        measure.make("features", 1, "remat")


def test_the_page_says_what_was_measured():
    sides = ("project", "eager", "compiled")
    case = {
        "batch_size": 64,
        "images_per_second": 128.0,
        "seconds": dict(zip(sides, (0.5, 0.75, 0.6), strict=True)),
        "turns": {"project": [0.4, 0.5, 0.6], "eager": [0.75] * 3, "compiled": [0.6] * 3},
        "first_seconds": {
            **dict(zip(sides, (9.0, 1.0, 30.0), strict=True)),
            "project with its cache": 2.0,
        },
        "memory_mib": dict(zip(sides, (700.0, 500.0, 400.0), strict=True)),
        "flops": 1e10,
        "flops_over_hand_count": 0.59,
    }
    bare = {**case, "flops": None, "flops_over_hand_count": None}
    found = {
        "machine": table.machine(),
        "cases": {"dcgan": case, "other": bare},
        "remat": {
            "dcgan": {"memory_mib": {"project": 700.0, "remat": 500.0}, "times_as_long": 1.25}
        },
        "pipeline": {"avatars": {"images_per_second": 1280.0, "case": "dcgan"}},
        "landscape_points_per_second": 20.0,
        "matrix_gflops": 100.0,
    }
    page = table.markdown(found)
    speed = "| 64 | 2 | 1.33 | 1.67 | 1.20 | 1.00 to 1.50 |"
    assert f"| dcgan {speed} 20 | 0.59 |" in page
    assert f"| other {speed} — | — |" in page
    assert "| dcgan | 9.0 | 2.0 | 1.0 | 30.0 |" in page
    assert "| dcgan | 700 | 500 | 400 |" in page
    assert "| dcgan | 700 | 500 | 1.25 |" in page
    assert "one large product (100 GFLOP/s here)" in page
    assert "| input pipeline, avatars: images | 1280 | 10.0 (dcgan) |" in page
    assert found["machine"]["processor"] in page and found["machine"]["date"] in page


def test_an_unknown_case_is_answered_with_the_nearest(monkeypatch):
    monkeypatch.setattr("sys.argv", ["benchmark.py", "dcgn"])
    with pytest.raises(UserError, match=r"'dcgn'; did you mean 'c?dcgan'"):
        benchmark.main()


def test_devices_exchange_gradients_and_the_page_compares_with_one():
    facts = scaling.measure("gan_mlp", scaling.Options(rounds=1))
    assert facts["exchanges"] >= 2 and facts["bytes"] > 1e6, "eight devices: each move's gradients"
    rows = [
        {"processes": 1, "devices": 1, "seconds": 0.5, "exchanges": 0, "bytes": 0},
        {"processes": 2, "devices": 2, "seconds": 0.6, "exchanges": 4, "bytes": 2**21},
    ]
    page = scaling.markdown({"dcgan": rows})
    assert "| dcgan | 1 | 1 | 2 | 1.00 | 0 | 0.0 |" in page
    assert "| dcgan | 2 | 2 | 1.67 | 1.20 | 4 | 2.0 |" in page


def test_what_exchanges_leave_of_256_chips():
    """By hand: 3.2 MB, summed by 200 GB/s, and 16 hops; one chip exchanges nothing."""
    one = chips.Round("stylegan2:ffhq256", 16, 64, 0.1, "memory", exchanges=10, size=3_200_000)
    assert one.exchanging(1) == 0.0
    assert one.exchanging(2) == pytest.approx(1.5 * 3.2e6 / 200e9 + 10 * 4e-6)
    assert one.exchanging(16) == pytest.approx(2 * 255 / 256 * 3.2e6 / 200e9 + 10 * 60e-6)
    rows = {
        name: {"plans": [plan], "when": "2026-12-01", "with": {"jax": "0.10.2"}}
        for name, plan in {
            "first": planned("stylegan2:ffhq256", seconds=0.1),
            "second": planned("dcgan:celeba64", seconds=0.0005),
            "too large": planned("r3gan:ffhq64", fits=False),
            "of another chip": planned("r3gan:ffhq64", topology="cuda:h100x4"),
        }.items()
    }
    assert chips.rounds_of(rows)[0] == one
    page = chips.markdown(rows)
    row = "| 16 | 100 | 10 | 3 | 160 (100 %) | 639 (100 %) |"
    assert f"| stylegan2:ffhq256 | 64 {row}" in page and "r3gan" not in page
    assert page.count("| memory |") == 1 and page.count("| exchanges |") == 2, "one in the head"


def planned(recipe, **other):
    """What chips reads of a plan."""
    exchanges = {"all-reduce": (9, 3_000_000), "all-gather": (1, 200_000)}
    facts = {"recipe": recipe, "rows": 16, "asked": 64, "bound": "memory", "seconds": 0.1}
    facts |= {"compiled": True, "fits": True, "topology": "v5e:2x2", "collectives": exchanges}
    return facts | other


def test_the_pipeline_is_measured_on_pictures_that_are_made(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(inputs, "LARGE", 3)
    monkeypatch.setattr(inputs, "BATCH", 4)
    options = inputs.Options(work=str(tmp_path), count=70, gigabytes=0.003)
    for name in inputs.SOURCES:
        facts = inputs.measure(inputs.SOURCES[name](tmp_path, options), count=2)
        assert facts["images_per_second"] > 0 and facts["start_seconds"] > 0
        if name != "shards":
            assert facts["pictures"] == 65, "the others are held out"
    links = len(list((tmp_path / "tfds").rglob("*.array_record*")))
    assert facts["pictures"] == 3 * links > 3, "each link counts"
    page = inputs.markdown({"zip, later": {**facts, "pictures": 6, "start_seconds": 1.25}}, options)
    assert "| a zip, 32 px; later start | 6 | 1.2 |" in page
