"""Encoded images of any size and mode to square uint8 arrays of one resolution."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from gan_jax.errors import UserError, nearest

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
"""Pillow's resampling filters; all except 'nearest' are antialiased when they shrink an image."""

MODES = {1: "L", 3: "RGB"}
"""Pillow's image mode for each number of channels."""

T = TypeVar("T")


class BadImageError(Exception):
    """A file cannot be read as an image; the message gives the reason."""


class Preprocessing(NamedTuple):
    """How an image becomes a square array. Part of every data fingerprint.

    Attributes:
        resolution: side of the square in pixels.
        channels: 1 (grey) or 3 (RGB).
        resize: key of `FILTERS`.
        crop: key of `CROPS`.
    """

    resolution: int
    channels: int
    resize: str
    crop: str

    def checked(self) -> Preprocessing:
        """Return self if all values are valid.

        Raises:
            UserError: names the invalid value.
        """
        if self.resize not in FILTERS:
            guess = nearest(self.resize, FILTERS)
            raise UserError(f"unknown resize filter {self.resize!r}; did you mean {guess}?")
        if self.crop not in CROPS:
            guess = nearest(self.crop, CROPS)
            raise UserError(f"unknown crop {self.crop!r}; did you mean {guess}?")
        if self.channels not in MODES:
            raise UserError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels}")
        if self.resolution < 1:
            raise UserError(f"resolution must be at least 1, not {self.resolution}")
        return self


def _center(image: Image.Image) -> Image.Image:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


CROPS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "center": _center,
    "none": lambda image: image,
}
"""Crop before the resize: the centre square, or none (the resize then changes the aspect ratio)."""


def to_square(image: Image.Image, preprocessing: Preprocessing) -> UInt8[np.ndarray, "h w c"]:
    """Crop and resize an 8-bit image to uint8 [resolution resolution channels]."""
    mode = MODES[preprocessing.channels]
    image = image if image.mode == mode else image.convert(mode)
    image = CROPS[preprocessing.crop](image)
    size = (preprocessing.resolution, preprocessing.resolution)
    if image.size != size:
        image = image.resize(size, FILTERS[preprocessing.resize])
    return np.asarray(image).reshape(*size, preprocessing.channels)


def to_8bit(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation and convert to an opaque 8-bit grey or RGB image.

    Transparent pixels are composited over white.

    Raises:
        BadImageError: the pixels are floats or 32-bit integers, whose range is unknown.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _from_16bit(image)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return image if image.mode in ("L", "RGB") else image.convert(_nearest_mode(image.mode))


def _nearest_mode(mode: str) -> str:
    return "L" if mode in ("1", "L", "LA", "La") else "RGB"


def _from_16bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        raise BadImageError(f"its pixels ({image.mode}) are neither 8 nor 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def decode(data: bytes, preprocessing: Preprocessing) -> UInt8[np.ndarray, "h w c"]:
    """Decode an encoded image to uint8 [resolution resolution channels].

    Raises:
        BadImageError: the bytes are not a complete image.
    """
    return read_image(data, lambda image: to_square(image, preprocessing))


def read_image(data: bytes, transform: Callable[[Image.Image], T]) -> T:
    """Decode an encoded image, convert it with `to_8bit`, and return `transform` of it.

    Raises:
        BadImageError: the bytes are not a complete image.
    """
    if not data:
        raise BadImageError("it is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return transform(to_8bit(image))
    except BadImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BadImageError("it is not an image") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise BadImageError(f"it has more than {limit} million pixels") from error
    except Exception as error:  # decoders raise arbitrary exceptions on damaged bytes
        raise BadImageError(one_line(error)) from error


def make_decoder(preprocessing: Preprocessing, name: str) -> Callable[[bytes], np.ndarray]:
    """Make the function that decodes images of data set `name`; it raises UserError if damaged."""

    def read(data: bytes) -> np.ndarray:
        try:
            return decode(data, preprocessing)
        except BadImageError as error:
            raise UserError(f"data set {name!r} holds a damaged image: {error}") from error

    return read


def one_line(error: Exception) -> str:
    """Return an exception's message on one line, or its type where the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__
