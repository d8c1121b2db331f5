"""Emoji in four styles at 64 px, single and paired, by Google, Twitter and Microsoft.

Copyright holders and licences are listed in `gan_jax/data/embedded/LICENSES.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, UInt8

from gan_jax.data.builders.base import (
    Example,
    Features,
    ImageSet,
    Split,
    as_image,
    picture,
    zip_repeated,
)

T = TypeVar("T")

EMBEDDED = Path(__file__).parent.parent / "embedded"

GROUPS = (
    *("smileys-emotion", "people-body", "animals-nature", "food-drink", "travel-places"),
    *("activities", "objects", "symbols", "flags"),
)
"""Unicode's groups, the classes of every style; some styles lack some of them."""

TEST_SHARE = 10
"""One emoji in this many is in the test split, in all styles.

Similar but unequal emoji, such as a man and a woman of the same profession, may be in both splits.
"""

EMBEDDING_SIZE = 384
"""Size of a caption embedding of all-MiniLM-L6-v2 (Wang et al., arXiv:2002.10957)."""

IDENTICAL = (
    ("1F431", "1F63A"),
    ("25FC", "1F533"),
    ("1F9D1-200D-1F680", "1F468-200D-1F680", "1F469-200D-1F680"),
    ("1F46A", "1F468-200D-1F468-200D-1F466", "1F9D1-200D-1F9D1-200D-1F9D2"),
    (
        "1F468-200D-1F468-200D-1F466-200D-1F466",
        "1F9D1-200D-1F9D1-200D-1F9D2-200D-1F9D2",
    ),
    ("1F468-200D-1F466", "1F9D1-200D-1F9D2"),
    ("1F468-200D-1F466-200D-1F466", "1F9D1-200D-1F9D2-200D-1F9D2"),
    ("1F1E6-1F1FA", "1F1ED-1F1F2"),
    ("1F1E8-1F1F5", "1F1EB-1F1F7", "1F1F2-1F1EB"),
    ("1F1E9-1F1EC", "1F1EE-1F1F4"),
    ("1F1EA-1F1E6", "1F1EA-1F1F8"),
    ("1F1F3-1F1F4", "1F1F8-1F1EF"),
    ("1F1FA-1F1F2", "1F1FA-1F1F8"),
)
"""Emoji with identical pixels in some style; they are in the same split."""

_FIRST = {code: alike[0] for alike in IDENTICAL for code in alike}


class Emoji(NamedTuple):
    """One emoji in one style: uint8 [64 64 3] on white, Unicode group, caption."""

    image: UInt8[np.ndarray, "h w c"]
    group: str
    caption: str


def representative(code: str) -> str:
    """Return the first of the emoji with the same pixels as this one; usually itself."""
    return _FIRST.get(code, code)


def hash_code(code: str, salt: str) -> int:
    """Hash a code point such as '1F468-200D-1F466' to an integer, equal for `IDENTICAL` emoji."""
    text = f"{salt}/{representative(code)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def in_test_split(code: str) -> bool:
    """Return whether an emoji is in the test split, in every style."""
    return hash_code(code, "test") % TEST_SHARE == 0


def in_x_half(code: str) -> bool:
    """Return whether a training emoji belongs to domain x of an unpaired data set; else to y."""
    return hash_code(code, "half") % 2 == 0


def read_style(style: str) -> dict[str, Emoji]:
    """Read all emoji of a style ('noto', 'twemoji', 'fluentflat', 'fluent3d') by code point."""
    with np.load(EMBEDDED / f"emoji_{style}_64.npz") as archive:
        columns = [archive[name] for name in ("codepoint", "images", "group", "name", "tags")]
    return {
        str(code): Emoji(image, str(group), caption(str(name), str(tags)))
        for code, image, group, name, tags in zip(*columns, strict=True)
    }


def caption(name: str, tags: str) -> str:
    """Join a name and its tags: 'red apple', 'fruit|red' -> 'red apple: fruit, red'."""
    return f"{name}: {tags.replace('|', ', ')}" if tags else name


def read_embeddings() -> dict[str, Float32[np.ndarray, "384"]]:
    """Read the unit-length embedding of every caption by code point."""
    with np.load(EMBEDDED / "emoji_minilm.npz") as archive:
        codes, vectors = archive["codepoint"], archive["caption"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {str(code): vector for code, vector in zip(codes, vectors, strict=True)}


def _sides(codes: list[str]) -> dict[str, list[str]]:
    return {
        "train": [code for code in codes if not in_test_split(code)],
        "test": [code for code in codes if in_test_split(code)],
    }


def _style_features() -> Features:
    import tensorflow_datasets as tfds

    return {
        "image": picture(64),
        "label": tfds.features.ClassLabel(names=list(GROUPS)),
        "text": tfds.features.Tensor(shape=(EMBEDDING_SIZE,), dtype=np.float32),
        "caption": tfds.features.Text(),
        "codepoint": tfds.features.Text(),
    }


def _style_splits(style: str) -> Mapping[str, Split]:
    emoji, vectors = read_style(style), read_embeddings()

    def example(code: str) -> Example:
        one = emoji[code]
        return code, {
            "image": as_image(one.image),
            "label": one.group,
            "text": vectors[code],
            "caption": one.caption,
            "codepoint": code,
        }

    return _splits(_sides(list(emoji)), example)


def _splits(sides: Mapping[str, list[T]], example: Callable[[T], Example]) -> Mapping[str, Split]:
    """Make a split of each list; `example` converts its items."""

    def examples(items: list[T]) -> Iterator[Example]:
        return map(example, items)

    return {
        name: Split(len(items), lambda items=items: examples(items))
        for name, items in sides.items()
    }


def _pair_features() -> Features:
    import tensorflow_datasets as tfds

    return {
        "x": picture(64),
        "y": picture(64),
        "caption": tfds.features.Text(),
        "codepoint": tfds.features.Text(),
    }


def _pair_splits(_: Path) -> Mapping[str, Split]:
    flat, solid = read_style("fluentflat"), read_style("fluent3d")

    def example(code: str) -> Example:
        return code, {
            "x": as_image(flat[code].image),
            "y": as_image(solid[code].image),
            "caption": flat[code].caption,
            "codepoint": code,
        }

    return _splits(_sides([code for code in flat if code in solid]), example)


def _unpaired_features() -> Features:
    import tensorflow_datasets as tfds

    codes = {"x_codepoint": tfds.features.Text(), "y_codepoint": tfds.features.Text()}
    return {"x": picture(64), "y": picture(64)} | codes


def _unpaired_splits(_: Path) -> Mapping[str, Split]:
    noto, twemoji = read_style("noto"), read_style("twemoji")
    sides = _sides([code for code in noto if code in twemoji])

    def example(codes: tuple[str, str]) -> Example:
        x, y = codes
        return f"{x} {y}", {
            "x": as_image(noto[x].image),
            "y": as_image(twemoji[y].image),
            "x_codepoint": x,
            "y_codepoint": y,
        }

    true_pairs = [(code, code) for code in sides["test"]]
    return _splits({"train": unrelated_pairs(sides["train"]), "test": true_pairs}, example)


def unrelated_pairs(codes: list[str]) -> list[tuple[str, str]]:
    """Pair unrelated codes of the two halves, each half in an order given by a hash.

    The shorter half repeats from its start, so that every code appears at least once.
    """
    xs = sorted((code for code in codes if in_x_half(code)), key=lambda code: hash_code(code, "x"))
    ys = sorted(
        (code for code in codes if not in_x_half(code)), key=lambda code: hash_code(code, "y")
    )
    return zip_repeated(xs, ys)


def _style(name: str, style: str, title: str, licence: str, homepage: str) -> ImageSet:
    return ImageSet(
        name=name,
        version="1.0.0",
        description=f"{title}, 64 px on white, with group, caption and the caption's vector; comes "
        "with the package. About one in ten is for testing, the same emoji in every style.",
        licence=licence,
        citation="",
        homepage=homepage,
        features=_style_features,
        splits=lambda _: _style_splits(style),
    )


_NOTO = "Noto Emoji, Copyright Google Inc., Apache License 2.0"
_TWEMOJI = "Twemoji graphics, Copyright Twitter, Inc and other contributors, CC-BY 4.0"
_FLUENT = "Fluent Emoji, Copyright (c) Microsoft Corporation, MIT"
_FLUENT_HOME = "https://github.com/microsoft/fluentui-emoji"

EMOJI_NOTO = _style(
    *("emoji_noto", "noto", "1,650 emoji by Google", _NOTO),
    homepage="https://github.com/googlefonts/noto-emoji",
)
EMOJI_TWEMOJI = _style(
    *("emoji_twemoji", "twemoji", "1,870 emoji by Twitter", _TWEMOJI),
    homepage="https://github.com/jdecked/twemoji",
)
EMOJI_FLUENT_FLAT = _style(
    *("emoji_fluent_flat", "fluentflat", "1,594 flat emoji by Microsoft", _FLUENT),
    homepage=_FLUENT_HOME,
)
EMOJI_FLUENT_3D = _style(
    *("emoji_fluent_3d", "fluent3d", "1,599 modelled emoji by Microsoft, without flags", _FLUENT),
    homepage=_FLUENT_HOME,
)

EMOJI_PAIRS = ImageSet(
    name="emoji_pairs",
    version="1.0.0",
    description="1,562 emoji by Microsoft, drawn flat (x) and modelled (y), 64 px on white: the "
    "same outlines nearly to the pixel; comes with the package.",
    licence=_FLUENT,
    citation="",
    homepage=_FLUENT_HOME,
    features=_pair_features,
    splits=_pair_splits,
)

EMOJI_NOTO_TWEMOJI = ImageSet(
    name="emoji_noto_twemoji",
    version="1.0.0",
    description="Emoji by Google (x) and by Twitter (y) for translation without pairs, 64 px on "
    "white; comes with the package. In 'train' no emoji is in both domains and the two pictures of "
    "a row have nothing to do with each other; in 'test' they show the same emoji.",
    licence=f"{_NOTO}; {_TWEMOJI}",
    citation="",
    homepage="https://github.com/googlefonts/noto-emoji",
    features=_unpaired_features,
    splits=_unpaired_splits,
    unpaired=("train",),
)
