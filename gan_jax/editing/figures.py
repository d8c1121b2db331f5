"""Pictures of a space of styles, for `sample.py --show`: mixing, truncation, noise, walks ...

Each show is a function of the space and of what was asked; it gives sheets and lines to print.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from gan_jax.editing import mixing, projection, walks
from gan_jax.editing.style_space import METHODS, Direction, LatentSpace, shown
from gan_jax.editing.styles import bands, broadcast, choose, mask, render
from gan_jax.errors import UserError, nearest
from gan_jax.grids import heat, image_grid, sheet
from gan_jax.latents import lerp

Image = np.ndarray  # uint8 [h w 3]


class Asked(NamedTuple):
    """What is to be shown.

    `count` pictures or directions; `psi` truncates; `layers` as `styles.choose` reads it, "" for
    the show's own; `strengths` of edits in standard deviations, or psis of a truncation sweep.
    `target` [h w c] in [-1, 1] gives what to project, by `steps` of `distance`; `attributes` their
    directions and why some have none. `space` of a walk is "z" or "w", through `stops` latents.
    """

    key: Key[Array, ""]
    count: int = 6
    psi: float = 0.7
    layers: str = ""
    strengths: tuple[float, ...] = ()
    method: str = "sefa"
    frames: int = 120
    stops: int = 6
    space: str = "w"
    steps: int = 500
    target: Callable[[], np.ndarray] | None = None
    distance: Callable[[], projection.Loss | None] = lambda: None
    attributes: Callable[[], tuple[list[Direction], dict[str, str]]] | None = None


class Drawn(NamedTuple):
    """A sheet, lines to print, and what draws the frames of an animation where there is one."""

    still: Image
    said: Sequence[str] = ()
    frames: Callable[[], Sequence[Image]] | None = None


def show_mixing(space: LatentSpace, asked: Asked) -> Drawn:
    """Figure 3: pictures at the left, with the coarse, middle or fine styles of those above.

    With `layers`, the styles of these.
    """
    layers = space.styles.layers
    parts = {asked.layers: choose(asked.layers, layers)} if asked.layers else bands(layers)
    tops, sides = asked.count, max(1, min(3, asked.count))
    w = space.draw(asked.key, np.arange(tops + sides))
    columns, rows = np.split(np.asarray(shown(space, w, asked.psi)), [tops])
    grids, names = [], [""]
    for name, chosen in parts.items():
        grid = mixing.mixing_grid(space.styles.synthesise, rows, columns, mask(chosen, layers))
        grids.append(grid[1:] if grids else grid)
        names += [f"{name} {span(chosen)}" if name in bands(layers) else name] * sides
    return Drawn(sheet(np.concatenate(grids), names))


def span(layers: Sequence[int]) -> str:
    """Neighbouring layers as a range: '0-3'."""
    return f"{layers[0]}-{layers[-1]}" if len(layers) > 1 else f"{layers[0]}"


def show_truncation(space: LatentSpace, asked: Asked) -> Drawn:
    """Figure 8: each picture from psi 1 through the mean at 0 to its opposite at -1."""
    psis = asked.strengths or (1.0, 0.7, 0.5, 0.0, -0.5, -1.0)
    layers = space.styles.layers
    ws = broadcast(jnp.asarray(space.draw(asked.key, np.arange(asked.count))), layers)
    chosen = mask(choose(asked.layers or "all", layers), layers)
    pictures = mixing.truncation_sweep(space.styles.synthesise, ws, space.styles.mean, psis, chosen)
    return Drawn(sheet(pictures, columns=[f"psi {psi:g}" for psi in psis]))


def show_noise(space: LatentSpace, asked: Asked) -> Drawn:
    """Figures 4 and 5: two draws of the noise, none, only in some layers; and what it moves.

    The last column is each pixel's standard deviation over 64 draws, white the largest.
    """
    layers = space.styles.layers
    ws = shown(space, space.draw(asked.key, np.arange(asked.count)), asked.psi)
    parts = {asked.layers: choose(asked.layers, layers)} if asked.layers else bands(layers)
    everything = range(layers)
    noise = [jax.random.fold_in(asked.key, number) for number in range(3)]
    columns = {
        "noise 1": render(space.styles.synthesise, ws, noise[0]),
        "noise 2": render(space.styles.synthesise, ws, noise[1]),
        "none": render(space.without(everything).synthesise, ws),
    }
    for name, chosen in parts.items():
        others = [layer for layer in everything if layer not in chosen]
        columns[name] = render(space.without(others).synthesise, ws, noise[0])
    deviation = mixing.noise_deviation(space.styles.synthesise, ws, noise[2])
    pictures = np.stack([*columns.values()], axis=1)
    pictures = np.broadcast_to(pictures, (*pictures.shape[:-1], 3))
    maps = heat(deviation) / np.float32(127.5) - 1.0
    pictures = np.concatenate([pictures, maps[:, None]], axis=1)
    said = [
        f"deviation of a pixel by noise: mean {deviation.mean():.4f}, most {deviation.max():.4f}"
    ]
    return Drawn(sheet(pictures, columns=[*columns, "moves"]), said=said)


def show_walk(space: LatentSpace, asked: Asked) -> Drawn:
    """A closed walk of each picture: great circles in Z, or straight lines in W."""
    styles, index = space.styles, np.arange(asked.stops * asked.count)
    if asked.space not in ("z", "w"):
        raise UserError(f"a walk is in 'z' or 'w', not {asked.space!r}")
    if asked.space == "z":
        z = styles.prior(asked.key, jnp.asarray(index))
        path = walks.loop(z.reshape(asked.stops, asked.count, -1), styles.between, asked.frames)
        w = jax.lax.map(lambda z: styles.map(z, None), path)
    else:
        points = jnp.asarray(space.draw(asked.key, index))
        w = walks.loop(points.reshape(asked.stops, asked.count, -1), lerp, asked.frames)
    ws = shown(space, np.asarray(w).reshape(asked.frames * asked.count, -1), asked.psi)
    pictures = render(styles.synthesise, ws).reshape(asked.frames, asked.count, *shape_of(space))
    every = max(1, asked.frames // 8)
    return Drawn(
        sheet(pictures[::every].swapaxes(0, 1)),
        frames=lambda: [image_grid(frame) for frame in pictures],
    )


def shape_of(space: LatentSpace) -> tuple[int, ...]:
    """Of a picture: (h, w, c)."""
    ws = broadcast(space.styles.mean[None], space.styles.layers)
    return jax.eval_shape(space.styles.synthesise, ws, None).shape[1:]


def show_project(space: LatentSpace, asked: Asked) -> Drawn:
    """A real picture at the left, and the generator's on their way to it: in W, then in W+."""
    if asked.target is None:
        raise UserError("there is no picture to project: say --input PICTURE")
    target, sample = asked.target(), space.sample()
    deviation = float(np.sqrt(np.square(sample - sample.mean(axis=0)).sum(axis=1).mean()))
    loss = projection.squares_and(asked.distance())
    start = broadcast(space.styles.mean[None], space.styles.layers)[0]
    rows, said = [], []
    for name, plus in (("W", False), ("W+", True)):
        found = projection.project(
            *(target, space.styles.synthesise, start, deviation, loss, asked.key),
            plus=plus,
            steps=asked.steps,
            shown=min(8, asked.steps),
        )
        start = jnp.asarray(found.ws)
        rows.append(np.concatenate([target[None], found.shown]))
        squares = float(np.square(found.shown[-1] - target).mean())
        said.append(
            f"{name}: loss {found.losses[0]:.4f} -> {found.losses[-1]:.4f}, "
            f"mean square of the pixels {squares:.4f}"
        )
    columns = ["picture", *(f"step {step}" for step in found.steps)]
    pictures = np.stack(rows)

    def frames() -> list[Image]:
        return [
            sheet(pictures[:, [0, n]], ["W", "W+"], [columns[0], columns[n]])
            for n in range(1, len(columns))
        ]

    return Drawn(sheet(pictures, ["W", "W+"], columns), said, frames)


def show_directions(space: LatentSpace, asked: Asked) -> Drawn:
    """One picture pushed along each direction, a row each; as an animation, to and fro."""
    layers = space.styles.layers
    chosen = choose(asked.layers or "all", layers)
    found, said = find(space, asked, chosen)
    strengths = asked.strengths or (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
    ws = shown(space, space.draw(asked.key, np.arange(1)), asked.psi)
    ws = jnp.repeat(ws, len(found), axis=0)
    steps, where = np.stack([one.step for one in found]), mask(chosen, layers)
    pictures = mixing.edits(space.styles.synthesise, ws, steps, strengths, where)
    names = [one.name for one in found]
    most = max(map(abs, strengths))

    def frames() -> list[Image]:
        turns = np.sin(2.0 * np.pi * np.arange(asked.frames) / asked.frames)
        swept = mixing.edits(space.styles.synthesise, ws, steps, list(most * turns), where)
        return [sheet(swept[:, n : n + 1], names) for n in range(asked.frames)]

    labels = [f"{strength:+g}" for strength in strengths]
    return Drawn(sheet(pictures, names, labels), said, frames)


def find(
    space: LatentSpace, asked: Asked, layers: Sequence[int]
) -> tuple[list[Direction], list[str]]:
    """The directions asked for. Raises UserError for a method that does not exist."""
    if asked.method == "attributes":
        if asked.attributes is None:
            raise UserError("directions of attributes need data that tells them; 'avatars' does")
        found, missing = asked.attributes()
        said = [f"no direction of {name}: {why}" for name, why in missing.items()]
        if not found:
            raise UserError("; ".join(said))
        return found, said
    if asked.method not in METHODS:
        valid = nearest(asked.method, [*METHODS, "attributes"])
        raise UserError(f"no directions by {asked.method!r}; did you mean {valid}?")
    return METHODS[asked.method](space, layers, asked.count), []


SHOWS: Mapping[str, Callable[[LatentSpace, Asked], Drawn]] = {
    "mixing": show_mixing,
    "truncation": show_truncation,
    "noise": show_noise,
    "walk": show_walk,
    "project": show_project,
    "directions": show_directions,
}
