"""Pictures of a style-based generator: truncation, noise, style mixing, directions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gan_jax.editing.explorer import requests
from gan_jax.editing.explorer.pictures import Command, Picture, Pictures
from gan_jax.editing.style_space import CUTOFF, SAMPLES, Direction, LatentSpace
from gan_jax.editing.styles import bands, broadcast, mask, parse_layers, push, replace, truncate
from gan_jax.grids import to_uint8

MAX_STRENGTH = 6.0  # of an edit, in standard deviations of w, in both directions
MAX_PSI = 2.0  # of truncation, in both directions


@dataclass(frozen=True)
class EditRequest:
    """What to draw: the picture of a seed, mixed with another's and edited.

    Attributes:
        seed: of the picture.
        label: its class, 0 of an unconditional generator.
        psi: truncation, 1 for none.
        other: the seed of the styles to mix in.
        mix: the layers that take the styles of `other`.
        edit: the layers that edits change.
        noise: 0 for the constant noise, any other number for a draw.
        push: pairs of a direction's number and the strength of the edit along it.
    """

    seed: int = 0
    label: int = 0
    psi: float = 0.7
    other: int = 1
    mix: tuple[int, ...] = ()
    edit: tuple[int, ...] = ()
    noise: int = 0
    push: tuple[tuple[int, float], ...] = ()


class Classes(NamedTuple):
    """The classes of a conditional generator.

    Attributes:
        names: of the classes.
        first: the class that the page begins with.
        map: latents [b z] and one-hot labels [b k] to styles [b w].
        own_mean: truncate towards the mean w of the class, not towards that of all.
    """

    names: Sequence[str]
    first: int
    map: Callable[[Array, Array | None], Array]
    own_mean: bool = False


def read_request(
    query: str, layers: int, directions: int, classes: int = 0, label: int = 0
) -> EditRequest:
    """Parse the query of a URL, such as 'seed=3&psi=0.7&mix=0-3&d2=1.5'.

    Args:
        query: the fields of an `EditRequest`; `d2` is the strength along direction 2.
        layers: the number of layers.
        directions: the number of directions.
        classes: the number of classes; 0 of an unconditional generator.
        label: the class where the query has none.

    Raises:
        UserError: for an unknown parameter, or a value out of range.
    """

    def chosen(text: str) -> tuple[int, ...]:
        return parse_layers(text, layers) if text else ()

    pushes = {f"d{number}": number for number in range(directions)}
    fields: dict[str, requests.Read] = {
        **{name: requests.seed(name) for name in ("seed", "other", "noise")},
        "psi": requests.number("psi", float, -MAX_PSI, MAX_PSI),
        **{"mix": chosen, "edit": chosen},
        **{n: requests.number(n, float, -MAX_STRENGTH, MAX_STRENGTH) for n in pushes},
    }
    if classes:
        fields["label"] = requests.number("label", int, 0, classes - 1)
    values = requests.read(query, fields)
    pushed = {pushes[name]: values.pop(name) for name in list(values) if name in pushes}
    request = EditRequest(label=label, edit=tuple(range(layers)))
    request = dataclasses.replace(request, **values)
    return dataclasses.replace(request, push=tuple(sorted(pushed.items())))


def style_pictures(
    space: LatentSpace,
    directions: Sequence[Direction],
    *,
    classes: Classes | None = None,
    sample: Sequence[str] = (),
) -> Pictures:
    """Make the pictures of a latent space W; every program is compiled here.

    Args:
        space: of the generator.
        directions: those that have a slider.
        classes: of a class-conditional generator.
        sample: the words of the command that samples the run, such as ("gan-jax", "sample", RUN).
    """
    layers = space.styles.layers
    ws_of, synthesise = _styles_of(space, directions, classes), jax.jit(space.styles.synthesise)

    def render(ws: Array, noise: int) -> Picture:
        key = jax.random.key(noise) if noise else None
        return to_uint8(np.asarray(synthesise(ws, key))[0])

    def draw(request: EditRequest) -> Picture:
        return render(ws_of(request), request.noise)

    lerp = jax.jit(lambda a, b, t: a + t * (b - a))

    def between(a: EditRequest, b: EditRequest, place: float) -> Picture:
        # Styles are interpolated with all edits in them; the noise is that of A.
        return render(lerp(ws_of(a), ws_of(b), np.float32(place)), a.noise)

    draw(EditRequest(noise=1))  # a program of its own: the constant noise has no key
    names, label = ((), 0) if classes is None else (classes.names, classes.first)

    def read(query: str) -> EditRequest:
        return read_request(query, layers, len(directions), len(names), label)

    facts: Mapping[str, object] = {
        "styles": {
            "layers": layers,
            "max_strength": MAX_STRENGTH,
            "bands": {name: f"{band[0]}-{band[-1]}" for name, band in bands(layers).items()},
            "directions": [{"name": one.name, "help": one.help} for one in directions],
        },
        "classes": list(names),
        "label": label,
    }
    mean = ("--truncation-mean", "class") if classes is not None and classes.own_mean else ()

    def command(request: EditRequest) -> Command:
        words = [*sample, "--show", "truncation", "--count", "1", "--seed", str(request.seed)]
        words += ["--strengths", f"{request.psi:g}", "--layers", f"0-{min(CUTOFF, layers) - 1}"]
        words += ["--labels", names[request.label], *mean] if names else []
        used = {"mixing": request.mix, "directions": request.push, "noise": request.noise}
        without = " and ".join(name for name, value in used.items() if value)
        return Command(tuple(words), f"without {without}" if without else "")

    return Pictures(read, draw, between, command, facts)


def _styles_of(
    space: LatentSpace, directions: Sequence[Direction], classes: Classes | None
) -> Callable[[EditRequest], Float[Array, "1 l w"]]:
    """The function from a request to the styles of its picture."""
    styles, layers = space.styles, space.styles.layers
    steps = np.stack([np.zeros_like(styles.mean), *(direction.step for direction in directions)])
    truncated = mask(range(min(CUTOFF, layers)), layers)
    map_ = styles.map if classes is None else classes.map

    @jax.jit
    def first(key: Key[Array, ""], label: Array | None) -> Float[Array, "1 w"]:
        return map_(styles.prior(key, jnp.zeros(1, int)), label)

    @jax.jit
    def edited(
        w: Float[Array, "2 n"],
        mean: Float[Array, " n"],
        psi: Float[Array, ""],
        mixed: Array,
        chosen: Array,
        strengths: Float[Array, " k"],
    ) -> Float[Array, "1 l n"]:
        both = truncate(broadcast(w, layers), mean, psi, truncated)
        ws = replace(both[:1], both[1:], mixed)
        return push(ws, (strengths @ jnp.asarray(steps))[None], chosen)

    def one_hot(label: int) -> Array | None:
        return None if classes is None else jax.nn.one_hot(np.array([label]), len(classes.names))

    def w_of(seed: int, label: int) -> Float[np.ndarray, "1 w"]:
        """The first sample of a seed, which `sample --seed` draws first as well."""
        return np.asarray(first(jax.random.key(seed), one_hot(label)))

    own = _class_means(space, classes)

    def of(request: EditRequest) -> Array:
        strengths = np.zeros(len(steps), np.float32)
        for number, strength in request.push:
            strengths[number + 1] = strength
        w = np.concatenate([w_of(seed, request.label) for seed in (request.seed, request.other)])
        mixed, chosen = mask(request.mix, layers), mask(request.edit, layers)
        mean = own(request.label)
        return edited(w, mean, np.float32(request.psi), mixed, chosen, strengths)

    return of


def _class_means(
    space: LatentSpace, classes: Classes | None
) -> Callable[[int], Float[Array, " w"]]:
    """The mean w that truncation moves a class towards, by its number."""
    styles = space.styles
    if classes is None or not classes.own_mean:
        everywhere = jnp.asarray(styles.mean)
        return lambda label: everywhere
    count = len(classes.names)

    @jax.jit
    def mean(label: Array) -> Array:
        z = styles.prior(jax.random.key(0), jnp.arange(SAMPLES))
        return classes.map(
            z, jnp.broadcast_to(jax.nn.one_hot(label, count), (SAMPLES, count))
        ).mean(0)

    found = cache(lambda label: mean(jnp.asarray(label)))
    found(classes.first)
    return found
