"""Data sets whose licences allow models trained on them to be passed on, and what they ask for.

Nothing is legal advice: the list has the sets whose files the package itself may ship, and those
made of the same material. `embedded/LICENSES.md` has the licences; each set names its sections.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gan_jax.data import faces
from gan_jax.data.builders import drawn_avatars
from gan_jax.errors import UserError

LICENSES = Path(__file__).parent / "embedded" / "LICENSES.md"


class Shippable(NamedTuple):
    """A data set on which a model that is passed on may be trained.

    Attributes:
        sections: of `LICENSES.md`, by the file in their titles.
        stand_in: an embedded set with the same conditions (captions, classes, speakers), from which
            samples take them; "" where the set itself comes with the package.
        licence: of models trained on it, as an SPDX expression.
    """

    sections: tuple[str, ...]
    stand_in: str = ""
    licence: str = "Apache-2.0"


_GARMENTS, _PEEPS = ("fashion_mnist_t10k.npz",), ("avatars_openPeeps_64.npz",)
_INK = ("faces_ink_colour_64.npz",)
_NOTO, _TWEMOJI = "emoji_noto_64.npz", "emoji_twemoji_64.npz"
_FLAT, _3D = "emoji_fluentflat_64.npz", "emoji_fluent3d_64.npz"
_VOICES = ("vc_it_male_8k.flac", "vc_it_female_8k.flac")
_SHARE_ALIKE = "LicenseRef-CC-BY-SA-3.0-IT"  # what is made of one voice is passed on under it

SHIPPABLE: Mapping[str, Shippable] = {
    "fashion_mnist_10k": Shippable(_GARMENTS),
    "fashion_mnist": Shippable(_GARMENTS, "fashion_mnist_10k"),
    "emoji_noto": Shippable((_NOTO,)),
    "emoji_twemoji": Shippable((_TWEMOJI,)),
    "emoji_fluent_flat": Shippable((_FLAT,)),
    "emoji_fluent_3d": Shippable((_3D,)),
    "emoji_pairs": Shippable((_FLAT, _3D)),
    "emoji_noto_twemoji": Shippable((_NOTO, _TWEMOJI)),
    "faces_ink_colour": Shippable(_INK),
    "avatars": Shippable(_PEEPS),
    "voices_it_sample": Shippable(_VOICES, licence=_SHARE_ALIKE),
    "voices_it": Shippable(_VOICES, "voices_it_sample", _SHARE_ALIKE),
}


def find_shippable(name: str) -> Shippable:
    """Find what the licence of a data set allows and asks for.

    Args:
        name: of the data set. Drawn faces of any number and size are those of `avatars`, and
            "captioned_" before their name adds captions of this project's own.

    Raises:
        UserError: a model trained on it may not be passed on, as far as this project knows.
    """
    drawn = name.removeprefix(faces.PREFIX)
    if drawn != name or name.startswith("avatars_"):
        whole = name.removesuffix(drawn) + "avatars"  # the embedded set
        if drawn == "avatars" or drawn_avatars.parse(drawn) is not None:
            return Shippable(_PEEPS, "" if name == whole else whole)
    if name not in SHIPPABLE:
        known = ", ".join(SHIPPABLE)
        raise UserError(
            f"a model trained on {name!r} may not be shipped: its licence is not known to allow "
            f"it; these are: {known}, and drawn faces"
        )
    return SHIPPABLE[name]


def facts(section: str) -> dict[str, str]:
    """Read the rows of a section of `LICENSES.md`: what, made by, attribution, licence and so on.

    Raises:
        KeyError: there is no such section.
    """
    for text in LICENSES.read_text().split("\n## "):
        if f"`{section}`" in text.partition("\n")[0]:
            rows = re.findall(r"^\| ([a-z ]+) \| (.*) \|$", text, flags=re.MULTILINE)
            rows = [
                (name, row.replace(", [text below](#the-mit-licence)", "")) for name, row in rows
            ]
            return {name: re.sub(r"\*\*|\[([^\]]*)\]\([^)]*\)", r"\1", row) for name, row in rows}
    raise KeyError(section)
