"""Figures of a latent space for `gan-jax sample --show`: mixing, noise, walks, directions, more.

Each figure is a function of the space and of the `FigureOptions`; `FIGURES` lists them by name.
Figures 3, 4, 5 and 8 are those of Karras et al. 2019, arXiv:1812.04948.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from gan_jax.editing import mixing, projection, walks
from gan_jax.editing.style_space import METHODS, Direction, LatentSpace, truncated_styles
from gan_jax.editing.styles import bands, broadcast, mask, parse_layers, render
from gan_jax.errors import UserError, nearest
from gan_jax.grids import heat, image_grid, sheet
from gan_jax.latents import lerp

Image = np.ndarray  # uint8 [h w 3]


class FigureOptions(NamedTuple):
    """What a figure shows; each figure reads some of the options.

    Attributes:
        key: of the latents and the noise.
        count: the number of pictures, or of directions.
        psi: truncation; 1 is none.
        layers: as `styles.parse_layers` reads them; "" for the figure's own choice.
        strengths: of edits, in standard deviations of w; of a truncation sweep its psis.
        method: of directions: "sefa", "pca" or "attributes".
        frames: of an animation.
        stops: the number of latents that a walk visits.
        space: in which a walk is made, "z" or "w".
        steps: of a projection.
        target: gives the picture [h w c] in [-1, 1] to project.
        distance: gives the perceptual distance of a projection, or None for pixels alone.
        attributes: gives the directions of attributes, and the reasons why some have none.
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


class Figure(NamedTuple):
    """A drawn figure.

    Attributes:
        image: the whole figure.
        lines: text to print with it.
        frames: draws the frames of its animation; None for a figure that does not move.
    """

    image: Image
    lines: Sequence[str] = ()
    frames: Callable[[], Sequence[Image]] | None = None


def mixing_figure(space: LatentSpace, options: FigureOptions) -> Figure:
    """Draw figure 3: style mixing.

    Pictures at the left take the coarse, middle or fine styles of the pictures above, or with
    `options.layers` the styles of those layers.
    """
    layers = space.styles.layers
    parts = _layer_groups(space, options)
    tops, sides = options.count, max(1, min(3, options.count))
    w = space.draw(options.key, np.arange(tops + sides))
    columns, rows = np.split(np.asarray(truncated_styles(space, w, options.psi)), [tops])
    grids, names = [], [""]
    for name, chosen in parts.items():
        grid = mixing.mixing_grid(space.styles.synthesise, rows, columns, mask(chosen, layers))
        grids.append(grid[1:] if grids else grid)
        names += [f"{name} {span(chosen)}" if name in bands(layers) else name] * sides
    return Figure(sheet(np.concatenate(grids), names))


def _layer_groups(space: LatentSpace, options: FigureOptions) -> dict[str, tuple[int, ...]]:
    """The layers that a user chose, or else the coarse, middle and fine ones, by name."""
    layers = space.styles.layers
    if options.layers:
        return {options.layers: parse_layers(options.layers, layers)}
    return bands(layers)


def span(layers: Sequence[int]) -> str:
    """Write neighbouring layers as a range: '0-3'."""
    return f"{layers[0]}-{layers[-1]}" if len(layers) > 1 else f"{layers[0]}"


def truncation_figure(space: LatentSpace, options: FigureOptions) -> Figure:
    """Draw figure 8: each picture from psi 1 through the mean at 0 to its opposite at -1."""
    psis = options.strengths or (1.0, 0.7, 0.5, 0.0, -0.5, -1.0)
    layers = space.styles.layers
    ws = broadcast(jnp.asarray(space.draw(options.key, np.arange(options.count))), layers)
    chosen = mask(parse_layers(options.layers or "all", layers), layers)
    pictures = mixing.truncation_sweep(space.styles.synthesise, ws, space.styles.mean, psis, chosen)
    return Figure(sheet(pictures, columns=[f"psi {psi:g}" for psi in psis]))


def noise_figure(space: LatentSpace, options: FigureOptions) -> Figure:
    """Draw figures 4 and 5: two draws of the noise, no noise, and noise in some layers only.

    The last column is each pixel's standard deviation over 64 draws, white the largest.
    """
    ws = truncated_styles(space, space.draw(options.key, np.arange(options.count)), options.psi)
    layers, parts = range(space.styles.layers), _layer_groups(space, options)
    noise = [jax.random.fold_in(options.key, number) for number in range(3)]
    columns = {
        "noise 1": render(space.styles.synthesise, ws, noise[0]),
        "noise 2": render(space.styles.synthesise, ws, noise[1]),
        "none": render(space.without(layers).synthesise, ws),
    }
    for name, chosen in parts.items():
        others = [layer for layer in layers if layer not in chosen]
        columns[name] = render(space.without(others).synthesise, ws, noise[0])
    deviation = mixing.noise_deviation(space.styles.synthesise, ws, noise[2])
    pictures = np.stack([*columns.values()], axis=1)
    pictures = np.broadcast_to(pictures, (*pictures.shape[:-1], 3))
    maps = heat(deviation) / np.float32(127.5) - 1.0
    pictures = np.concatenate([pictures, maps[:, None]], axis=1)
    line = f"deviation of a pixel by noise: mean {deviation.mean():.4f}, most {deviation.max():.4f}"
    return Figure(sheet(pictures, columns=[*columns, "moves"]), [line])


def walk_figure(space: LatentSpace, options: FigureOptions) -> Figure:
    """Draw a closed walk of each picture: great circles in Z, or straight lines in W.

    Raises:
        UserError: for another space.
    """
    styles, index = space.styles, np.arange(options.stops * options.count)
    if options.space not in ("z", "w"):
        raise UserError(f"a walk is in 'z' or 'w', not {options.space!r}")
    shape = (options.stops, options.count, -1)
    if options.space == "z":
        z = styles.prior(options.key, jnp.asarray(index))
        path = walks.loop(z.reshape(shape), styles.between, options.frames)
        w = jax.lax.map(lambda z: styles.map(z, None), path)
    else:
        points = jnp.asarray(space.draw(options.key, index))
        w = walks.loop(points.reshape(shape), lerp, options.frames)
    w = np.asarray(w).reshape(options.frames * options.count, -1)
    pictures = render(styles.synthesise, truncated_styles(space, w, options.psi))
    pictures = pictures.reshape(options.frames, options.count, *picture_shape(space))
    every = max(1, options.frames // 8)
    return Figure(
        sheet(pictures[::every].swapaxes(0, 1)),
        frames=lambda: [image_grid(frame) for frame in pictures],
    )


def picture_shape(space: LatentSpace) -> tuple[int, ...]:
    """The shape (h, w, c) of the generator's pictures."""
    ws = broadcast(space.styles.mean[None], space.styles.layers)
    return jax.eval_shape(space.styles.synthesise, ws, None).shape[1:]


def projection_figure(space: LatentSpace, options: FigureOptions) -> Figure:
    """Draw a real picture at the left, and its projections step by step: into W, then into W+.

    Raises:
        UserError: without a picture to project.
    """
    if options.target is None:
        raise UserError("there is no picture to project: say --input PICTURE")
    target, sample = options.target(), space.sample()
    deviation = float(np.sqrt(np.square(sample - sample.mean(axis=0)).sum(axis=1).mean()))
    loss = projection.reconstruction_loss(options.distance())
    start = broadcast(space.styles.mean[None], space.styles.layers)[0]
    rows, lines, steps = [], [], ()
    for name, plus in (("W", False), ("W+", True)):
        result = projection.project(
            target,
            space.styles.synthesise,
            start,
            deviation,
            loss,
            options.key,
            plus=plus,
            steps=options.steps,
            snapshots=min(8, options.steps),
        )
        start, steps = jnp.asarray(result.ws), result.steps
        rows.append(np.concatenate([target[None], result.pictures]))
        error = float(np.square(result.pictures[-1] - target).mean())
        lines.append(
            f"{name}: loss {result.losses[0]:.4f} -> {result.losses[-1]:.4f}, "
            f"mean square of the pixels {error:.4f}"
        )
    columns = ["picture", *(f"step {step}" for step in steps)]
    pictures = np.stack(rows)

    def frames() -> list[Image]:
        return [
            sheet(pictures[:, [0, n]], ["W", "W+"], [columns[0], columns[n]])
            for n in range(1, len(columns))
        ]

    return Figure(sheet(pictures, ["W", "W+"], columns), lines, frames)


def directions_figure(space: LatentSpace, options: FigureOptions) -> Figure:
    """Draw a picture edited along each direction, a row each; the animation goes back and forth."""
    layers = space.styles.layers
    numbers = parse_layers(options.layers or "all", layers)
    directions, lines = find_directions(space, options, numbers)
    strengths = options.strengths or (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
    ws = truncated_styles(space, space.draw(options.key, np.arange(1)), options.psi)
    ws = jnp.repeat(ws, len(directions), axis=0)
    steps = np.stack([direction.step for direction in directions])
    chosen = mask(numbers, layers)
    pictures = mixing.edits(space.styles.synthesise, ws, steps, strengths, chosen)
    names = [direction.name for direction in directions]

    def frames() -> list[Image]:
        turns = np.sin(2.0 * np.pi * np.arange(options.frames) / options.frames)
        swept = list(max(map(abs, strengths)) * turns)
        edited = mixing.edits(space.styles.synthesise, ws, steps, swept, chosen)
        return [sheet(edited[:, n : n + 1], names) for n in range(options.frames)]

    labels = [f"{strength:+g}" for strength in strengths]
    return Figure(sheet(pictures, names, labels), lines, frames)


def find_directions(
    space: LatentSpace, options: FigureOptions, layers: Sequence[int]
) -> tuple[list[Direction], list[str]]:
    """Find directions by the chosen method.

    Returns:
        The directions, and lines to print: the attributes that have none, and why.

    Raises:
        UserError: for an unknown method, or when no attribute has a direction.
    """
    if options.method == "attributes":
        if options.attributes is None:
            raise UserError("directions of attributes need data that tells them; 'avatars' does")
        directions, missing = options.attributes()
        lines = [f"no direction of {name}: {reason}" for name, reason in missing.items()]
        if not directions:
            raise UserError("; ".join(lines))
        return directions, lines
    if options.method not in METHODS:
        valid = nearest(options.method, [*METHODS, "attributes"])
        raise UserError(f"no directions by {options.method!r}; did you mean {valid}?")
    return METHODS[options.method](space, layers, options.count), []


FIGURES: Mapping[str, Callable[[LatentSpace, FigureOptions], Figure]] = {
    "mixing": mixing_figure,
    "truncation": truncation_figure,
    "noise": noise_figure,
    "walk": walk_figure,
    "project": projection_figure,
    "directions": directions_figure,
}
