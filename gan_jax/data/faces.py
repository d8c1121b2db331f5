"""Captions of drawn faces, made from the attributes they were drawn with; pairs are held out.

A caption names some of six attributes in one of five phrasings. Its wrong caption is an edit: one
attribute that it names has another value. For the test of composition, faces in which certain pairs
of values meet, such as sunglasses and pale skin, are held out of the training split, while each
value is in it together with others (Park et al. 2021, Benchmark for Compositional Text-to-Image
Synthesis, NeurIPS Datasets and Benchmarks).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int8, Integer, UInt32

from gan_jax.data.builders import avatars
from gan_jax.data.captions import EMBEDDING_SIZE, hash_caption
from gan_jax.data.source import Records, Source, fingerprint
from gan_jax.errors import NoSplit, UserError

PREFIX = "captioned_"
"""The name of a data set with captions is this before the faces' name."""

HAIR: Mapping[str, str] = {
    **dict.fromkeys(("afro", "dreads1", "dreads2", "longAfro", "medium1"), "curly"),
    **dict.fromkeys(("bangs", "bangs2", "long", "longBangs", "longCurly", "medium2"), "long"),
    **dict.fromkeys(("medium3", "mediumBangs", "mediumBangs2", "mediumBangs3"), "long"),
    "mediumStraight": "long",
    **dict.fromkeys(("bantuKnots", "bun", "bun2", "buns", "cornrows", "cornrows2"), "tied"),
    "grayBun": "tied",
    **dict.fromkeys(("noHair1", "noHair2", "noHair3"), "bald"),
    **dict.fromkeys(("mohawk", "mohawk2"), "mohawk"),
    **dict.fromkeys(("hatBeanie", "hatHip"), "hat"),
    **dict.fromkeys(("hijab", "turban"), "scarf"),
    "bear": "bear",
}
"""The kind of hair of a head; those that are not listed are short."""

BEARDS = ("chin", "full", "goatee")  # prefixes of facial hair that is no moustache
SKIN = {
    "#ffdbb4": "pale",
    "#edb98a": "light",
    "#d08b5b": "tan",
    "#ae5d29": "brown",
    "#694d3d": "dark",
}
CLOTHES = {
    "#e78276": "red",
    "#ffcf77": "orange",
    "#fdea6b": "yellow",
    "#78e185": "green",
    "#9ddadb": "turquoise",
    "#8fa7df": "blue",
    "#e279c7": "pink",
}

Phrases = tuple[str, str]
"""A value in words: after "a person with", and as a sentence's predicate."""

ATTRIBUTES: Mapping[str, Mapping[str, Phrases]] = {
    "hair": {
        "short": ("short hair", "has short hair"),
        "long": ("long hair", "has hair down to the neck"),
        "curly": ("a cloud of curly hair", "has curly hair"),
        "tied": ("tied hair", "wears the hair tied"),
        "bald": ("a bald head", "is bald"),
        "mohawk": ("a mohawk", "has a mohawk"),
        "hat": ("a hat", "wears a hat"),
        "scarf": ("a headscarf", "wears a headscarf"),
        "bear": ("the fur of a bear", "is a bear"),
    },
    "eyewear": {
        "glasses": ("glasses", "wears glasses"),
        "sunglasses": ("sunglasses", "wears sunglasses"),
        "eyepatch": ("an eyepatch", "has an eyepatch"),
        "none": ("bare eyes", "has bare eyes"),
    },
    "beard": {
        "beard": ("a beard", "has a beard"),
        "moustache": ("a moustache", "has a moustache"),
        "none": ("a shaved chin", "is shaved"),
    },
    "mask": {
        "medical": ("a medical mask", "wears a medical mask"),
        "respirator": ("a respirator", "wears a respirator"),
        "none": ("an open face", "shows the whole face"),
    },
    "skin": {name: (f"{name} skin", f"has {name} skin") for name in SKIN.values()},
    "clothes": {name: (f"a {name} shirt", f"is dressed in {name}") for name in CLOTHES.values()},
}
"""Values of each attribute, in the order of their numbers, and their words."""

VALUES = {name: tuple(values) for name, values in ATTRIBUTES.items()}
HIDDEN = -1  # the number of a value that cannot be seen: the beard under a mask

HELD_OUT = (("hair", "clothes"), ("eyewear", "skin"))
"""Attributes of which pairs of values are held out; none is in two of them."""

STYLES = (  # beginning, between values, end, column of `ATTRIBUTES`, first attribute
    ("a person with ", ", ", "", 0, 0),
    ("", ", ", "", 0, 3),
    ("a drawing of somebody who ", " and ", "", 1, 2),
    ("this person ", ". it ", ".", 1, 4),
    ("portrait: ", "; ", "", 0, 1),
)
NAMED = 3  # attributes that a caption names at least
KEEP = 3 / 4  # the chance of another one to be named

TEXT_BYTES = 2 * len(ATTRIBUTES) + 3  # of a caption's random choices


class Described(NamedTuple):
    """What is known of the faces and captions of a split, row by row.

    Attributes:
        values: names of each attribute's values, by attribute.
        attributes: numbers of the faces' values, `HIDDEN` where it cannot be seen.
        named: whether the caption names the attribute.
        unseen: whether the attribute's value belongs to a pair that is held out of training.
    """

    values: Mapping[str, tuple[str, ...]]
    attributes: Int8[np.ndarray, "n k"]
    named: Bool[np.ndarray, "n k"]
    unseen: Bool[np.ndarray, "n k"]


def held_out(first: int | np.ndarray, second: int | np.ndarray) -> bool | np.ndarray:
    """Return whether the pair of two values' numbers is held out: one in seven of all pairs.

    Every value meets held-out partners in few of its pairs, and others in the rest.
    """
    return (first + second) % 7 == 1


def numbers_of(drawn: Mapping[str, str]) -> tuple[int, ...]:
    """Number the values of a face's attributes, from the `avatars.ATTRIBUTES` it was drawn from."""
    accessory = drawn["accessories"]
    glasses = "sunglasses" if accessory.startswith("sunglasses") else "glasses"
    facial = drawn["facialHair"]
    beard = "beard" if facial.startswith(BEARDS) else "moustache" if facial else "none"
    masks = {"medicalMask": "medical", "respirator": "respirator", "": "none"}
    found = {
        "hair": HAIR.get(drawn["head"], "short"),
        "eyewear": accessory if accessory == "eyepatch" else glasses if accessory else "none",
        "beard": "" if drawn["mask"] else beard,
        "mask": masks[drawn["mask"]],
        "skin": SKIN[drawn["skinColor"]],
        "clothes": CLOTHES[drawn["clothingColor"]],
    }
    return tuple(VALUES[name].index(value) if value else HIDDEN for name, value in found.items())


def unseen(attributes: Int8[np.ndarray, "n k"]) -> Bool[np.ndarray, "n k"]:
    """Return which values belong to a held-out pair."""
    names, found = list(VALUES), np.zeros(attributes.shape, bool)
    for pair in HELD_OUT:
        first, second = (names.index(name) for name in pair)
        held = held_out(attributes[:, first].astype(int), attributes[:, second].astype(int))
        found[:, [first, second]] |= np.asarray(held)[:, None]
    return found


class Caption(NamedTuple):
    """A caption of a face and its edit.

    Attributes:
        words: the caption.
        named: the numbers of the values that it names, `HIDDEN` for the others.
        wrong_words: the caption with another value of one attribute.
        wrong: the same numbers after the edit.
    """

    words: str
    named: tuple[int, ...]
    wrong_words: str
    wrong: tuple[int, ...]


def describe(attributes: tuple[int, ...], bits: int, *, all_unseen: bool = False) -> Caption:
    """Caption a face.

    Args:
        attributes: numbers of its values.
        bits: from which phrasing, named attributes and edit follow.
        all_unseen: name every value of a held-out pair; captions of faces without such pairs do
            not depend on it.
    """
    whole = attributes
    chance = hashlib.sha256(f"caption {bits}".encode()).digest()[:TEXT_BYTES]
    style, place, other, *rest = chance
    order, keep = np.argsort(rest[: len(whole)], kind="stable"), rest[len(whole) :]
    there = [int(k) for k in order if whole[k] != HIDDEN]
    must = unseen(np.array([whole], np.int8))[0] if all_unseen else np.zeros(len(whole), bool)
    kept = {k for n, k in enumerate(there) if n < NAMED or keep[k] < 256 * KEEP or must[k]}
    named = tuple(number if k in kept else HIDDEN for k, number in enumerate(whole))
    edits = [(k, v) for k in sorted(kept) for v in _others(whole, k)]
    # First the attribute, then its value: attributes are equally likely.
    edited = sorted({k for k, _ in edits})[place % len({k for k, _ in edits})]
    options = [v for k, v in edits if k == edited]
    wrong = (*named[:edited], options[other % len(options)], *named[edited + 1 :])
    return Caption(phrase(named, style), named, phrase(wrong, style), wrong)


def _others(whole: tuple[int, ...], attribute: int) -> list[int]:
    """List the other values of an attribute that meet no held-out partner in the face."""
    names, partner = list(VALUES), HIDDEN
    for pair in HELD_OUT:
        if names[attribute] in pair:
            (other,) = set(pair) - {names[attribute]}
            partner = whole[names.index(other)]
    count = len(VALUES[names[attribute]])
    values = [value for value in range(count) if value != whole[attribute]]
    return [v for v in values if partner == HIDDEN or not held_out(v, partner)]


def phrase(named: tuple[int, ...], style: int) -> str:
    """Write values as a caption in one of the `STYLES`."""
    start, between, end, column, first = STYLES[style % len(STYLES)]
    names = list(VALUES)
    order = [*range(first, len(names)), *range(first)]
    parts = [
        ATTRIBUTES[names[k]][VALUES[names[k]][named[k]]][column]
        for k in order
        if named[k] != HIDDEN
    ]
    return f"{start}{between.join(parts)}{end}"


def one_hot(named: tuple[int, ...]) -> Float32[np.ndarray, " e"]:
    """Encode the named values exactly: 1 for each, 0 for all else; `EMBEDDING_SIZE` numbers."""
    vector, start = np.zeros(EMBEDDING_SIZE, np.float32), 0
    for number, values in zip(named, VALUES.values(), strict=True):
        if number != HIDDEN:
            vector[start + number] = 1.0
        start += len(values)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


ENCODERS = {
    "words": lambda words, named: hash_caption(words),
    "attributes": lambda words, named: one_hot(named),
}
"""How captions become vectors of length 1: their hashed words, or exactly what they name."""


def caption_faces(faces: Source, *, split: str, encoding: str) -> Source:
    """Caption a split of drawn faces.

    Args:
        faces: the split, with `texts`.
        split: its name; where it has "train" in it, faces of held-out pairs are left out.
        encoding: a key of `ENCODERS`.

    Returns:
        A source of 'image', 'text' (the caption's embedding) and 'wrong_text' (that of its edit).
        In training a face gets another caption in each epoch; read in order, always the same one.

    Raises:
        UserError: the data set does not know what its faces were drawn from.
        NoSplit: no face is left.
    """
    texts = {} if faces.texts is None else faces.texts()
    if not texts.keys() >= set(avatars.ATTRIBUTES):
        raise UserError(
            f"unknown data set {PREFIX + faces.name!r}; did you mean '{PREFIX}avatars'?"
        )
    table = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    attributes = np.array([numbers_of(drawn) for drawn in table], np.int8)
    rows = np.arange(len(table))
    if "train" in split:
        rows = rows[~unseen(attributes).any(axis=1)]
    if not len(rows):
        raise NoSplit(f"split {split!r} of {PREFIX}{faces.name} holds no image")
    attributes, encode = attributes[rows], ENCODERS[encoding]

    def take(places: np.ndarray, bits: np.ndarray | None = None) -> dict[str, np.ndarray]:
        captions = [
            _caption(attributes[place], int(place), None if bits is None else int(chance))
            for place, chance in zip(places, places if bits is None else bits, strict=True)
        ]
        return {
            "image": faces.records.take(rows[places])["image"],
            "text": np.stack([encode(one.words, one.named) for one in captions]),
            "wrong_text": np.stack([encode(one.wrong_words, one.wrong) for one in captions]),
        }

    def window(places: Integer[np.ndarray, " b"], bits: UInt32[np.ndarray, " b"]):
        return take(places, bits)

    @functools.cache
    def canonical() -> tuple[Caption, ...]:
        return tuple(_caption(one, place, None) for place, one in enumerate(attributes))

    def described() -> Described:
        named = np.array([one.named for one in canonical()], np.int8) != HIDDEN
        return Described(VALUES, attributes, named, unseen(attributes) & named)

    facts = {"of": faces.fingerprint, "split": split, "encoding": encoding, "version": 1}
    return Source(
        PREFIX + faces.name,
        Records(len(rows), take, window),
        fingerprint({**facts, "words": ATTRIBUTES, "styles": STYLES}),
        len(rows),
        None,
        None,
        f"{faces.description} Captions name their attributes; pairs of values are held out.",
        captions=lambda: tuple(one.words for one in canonical()),
        attributes=None if faces.attributes is None else lambda: _rows(faces, rows),
        described=described,
        encode=hash_caption if encoding == "words" else None,
    )


def _caption(attributes: np.ndarray, place: int, bits: int | None) -> Caption:
    """The caption of a face: by random bits in training, else by its place."""
    numbers = tuple(attributes.tolist())
    return describe(numbers, place if bits is None else bits, all_unseen=bits is None)


def _rows(faces: Source, rows: np.ndarray) -> Mapping[str, np.ndarray]:
    assert faces.attributes is not None
    return {name: has[rows] for name, has in faces.attributes().items()}
