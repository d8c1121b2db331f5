"""Pictures of a generator of latents, by seed, class and caption."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gan_jax.editing.explorer import captions as captions_of
from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.captions import LONGEST, Captions
from gan_jax.editing.explorer.pictures import Command, Picture, Pictures
from gan_jax.errors import UserError
from gan_jax.game import State
from gan_jax.grids import to_uint8
from gan_jax.sampling.recipes import Columns, Networks
from gan_jax.sampling.sampler import Sampler

OVER = 512  # conditions of batch statistics computed anew, as `sample --captions` takes them


@dataclass(frozen=True)
class LatentRequest:
    """What to draw: the first sample of a seed.

    Attributes:
        seed: of the latent and the noise.
        label: the class, 0 of an unconditional generator.
        caption: the number of a caption of the data.
        text: a caption in free text, instead of that of the data.
    """

    seed: int = 0
    label: int = 0
    caption: int = 0
    text: str = ""


def latent_pictures(
    sampler: Sampler,
    state: State,
    *,
    classes: Sequence[str] = (),
    captions: Captions | None = None,
    label: int = 0,
    sample: Sequence[str] = (),
) -> Pictures:
    """Make the pictures of a generator of latents.

    Args:
        sampler: of the game.
        state: whose networks make the pictures.
        classes: their names, of a class-conditional generator.
        captions: those of the data, of a generator conditioned on captions.
        label: the class that the page begins with.
        sample: the words of the command that samples the run, such as ("gan-jax", "sample", RUN).
    """
    variables, recipe = _variables(sampler, state, captions), sampler.recipe
    prior, interpolate, decode = recipe.prior, recipe.between, recipe.decode
    assert prior is not None and interpolate is not None and decode is not None

    def conditions(request: LatentRequest) -> dict[str, np.ndarray]:
        columns: dict[str, np.ndarray] = {"index": np.zeros(1, int)}
        if classes:
            columns["label"] = np.array([request.label], np.int32)
        if captions is not None:
            columns["text"] = _embedding(captions, request)[None]
        return columns

    def networks(request: LatentRequest) -> Networks:
        return variables["" if captions is None else captions.all[request.caption].split]

    generate = jax.jit(lambda v, key, batch: recipe.draw(v, key, batch, False)[0][0])

    @jax.jit
    def midway(v: Networks, keys: tuple[Array, Array], t: Array, batch: Columns) -> Array:
        a, b = (prior(key, jnp.zeros(1, int)) for key in keys)
        return decode(v, interpolate(a, b, jnp.full((1, 1), t)), batch)[0]

    def draw(request: LatentRequest) -> Picture:
        key = jax.random.key(request.seed)
        return to_uint8(np.asarray(generate(networks(request), key, conditions(request))))

    def between(a: LatentRequest, b: LatentRequest, place: float) -> Picture:
        batch = conditions(a if place < 0.5 else b)  # a class changes half-way
        if captions is not None:
            ends = (conditions(one)["text"] for one in (a, b))
            first, second = ends
            batch["text"] = first + np.float32(place) * (second - first)
        keys = (jax.random.key(a.seed), jax.random.key(b.seed))
        return to_uint8(np.asarray(midway(networks(a), keys, np.float32(place), batch)))

    def command(request: LatentRequest) -> Command:
        return _command(request, sample, classes, captions)

    return Pictures(
        _reader(classes, captions, label),
        draw,
        between,
        command,
        {
            "classes": list(classes),
            "label": label,
            "captions": None
            if captions is None
            else {"count": len(captions.all), "free": captions.encode is not None},
        },
        {} if captions is None else {"/captions": captions_of.route(captions)},
    )


def _variables(sampler: Sampler, state: State, captions: Captions | None) -> dict[str, Networks]:
    """The networks' variables for the captions of each split; "" of other generators.

    Batch statistics over captions are those over the split that `sample` takes them from.
    """
    if captions is None:
        return {"": sampler.freeze(state, lambda: {"index": np.arange(1)}).variables}
    return {
        split: sampler.freeze(
            state, lambda source=source: sampler.conditions(source, OVER)
        ).variables
        for split, source in captions.sources.items()
    }


def _embedding(captions: Captions, request: LatentRequest) -> np.ndarray:
    if request.text and captions.encode is not None:
        return captions.encode(request.text)
    return captions.embedding(request.caption)


def _reader(
    classes: Sequence[str], captions: Captions | None, label: int
) -> Callable[[str], LatentRequest]:
    fields: dict[str, requests.Read] = {"seed": requests.seed()}
    if classes:
        fields["label"] = requests.number("label", int, 0, len(classes) - 1)
    if captions is not None:
        fields["caption"] = requests.number("caption", int, 0, len(captions.all) - 1)
        if captions.encode is not None:
            fields["text"] = _free_text

    def read(query: str) -> LatentRequest:
        return LatentRequest(**{"label": label, **requests.read(query, fields)})

    return read


def _free_text(text: str) -> str:
    if len(text) > LONGEST:
        raise UserError(f"text of {len(text)} characters: at most {LONGEST} are read")
    return " ".join(text.split())


def _command(
    request: LatentRequest, sample: Sequence[str], classes: Sequence[str], captions: Captions | None
) -> Command:
    words = [*sample, "--seed", str(request.seed), "--columns", "1"]
    if classes:
        return Command((*words, "--labels", classes[request.label]))
    if captions is None:
        return Command((*words, "--count", "1"))
    if request.text:
        return Command((), "no command draws free text; choose a caption of the data")
    caption = captions.all[request.caption]
    split = ["--split", caption.split] if caption.split else []
    return Command((*words, "--captions", str(caption.row), str(caption.row), *split))
