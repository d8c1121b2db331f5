"""Figures of loss landscapes and vector fields for papers.

Every function returns a matplotlib `Figure`; `figure.savefig("x.pdf")` writes vector graphics. The
colours are those of Okabe and Ito, which are distinguishable with colour blindness.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Complex, Float
from matplotlib.figure import Figure

from gan_jax.landscape.field import Arrows, Path

COLOURS = {
    "generator": "#D55E00",
    "discriminator": "#0072B2",
    "all": "#222222",
    "real": "#0072B2",
    "fake": "#D55E00",
}
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def curves(
    x: Float[np.ndarray, " n"],
    lines: Mapping[str, Float[np.ndarray, " n"]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """Plot named curves over a common axis."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, y), colour in zip(lines.items(), CYCLE, strict=False):
        axes.plot(x, y, color=COLOURS.get(name, colour), label=name)
    axes.axhline(0.0, color="#999999", linewidth=0.6)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.legend(frameon=False)
    return _plain(figure)


def phase_portrait(
    fields: Mapping[str, Arrows],
    paths: Mapping[str, Float[np.ndarray, "n 2"]],
    *,
    xlabel: str = r"generator $\theta$",
    ylabel: str = r"discriminator $\psi$",
) -> Figure:
    """Plot the dynamics of games of two scalars, one panel each, with their trajectories if given.

    Args:
        fields: panel title -> dynamics.
        paths: panel title -> trajectory of (generator, discriminator) parameters.
        xlabel: of the generator's parameter.
        ylabel: of the discriminator's parameter.
    """
    figure = Figure(figsize=(3.4 * len(fields), 3.4), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(fields), sharey=True))
    for axes, (name, a) in zip(panels, fields.items(), strict=True):
        axes.streamplot(a.x, a.y, a.dx, a.dy, color="#999999", linewidth=0.6, density=0.9)
        if name in paths:
            axes.plot(*paths[name].T, color=COLOURS["fake"], linewidth=1.2)
            axes.plot(*paths[name][0], "o", color=COLOURS["fake"], markersize=4)
        axes.plot(0, 0, "+", color="#222222")
        reach = np.abs(a.x).max()
        axes.set(title=name, xlabel=xlabel, aspect="equal", xlim=(-reach, reach))
        axes.set(ylim=(-reach, reach))
    panels[0].set_ylabel(ylabel)
    return _plain(figure)


def plane(
    alphas: Sequence[float] | Float[np.ndarray, " n"],
    betas: Sequence[float] | Float[np.ndarray, " m"],
    losses: Mapping[str, Float[np.ndarray, "n m"]],
    *,
    moved: str,
) -> Figure:
    """Plot contours of every player's loss on a plane through the parameters of player `moved`."""
    figure = Figure(figsize=(4.2 * len(losses), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(losses), sharey=True))
    for axes, (player, values) in zip(panels, losses.items(), strict=True):
        contours = axes.contourf(alphas, betas, values.T, levels=24, cmap="cividis")
        axes.contour(alphas, betas, values.T, levels=12, colors="white", linewidths=0.4)
        figure.colorbar(contours, ax=axes, label=f"{player}'s loss (nats)")
        axes.plot(0, 0, "+", color="white")
        axes.set(xlabel=rf"$\alpha$ ({moved}, first direction)", title=player)
    panels[0].set_ylabel(rf"$\beta$ ({moved}, second direction)")
    return _plain(figure)


def path(line: Path) -> Figure:
    """Plot losses, path-norm and path-angle from the start (0) to the end (1) of a line."""
    figure = Figure(figsize=(10.5, 3.1), layout="constrained")
    losses, norm, angle = figure.subplots(1, 3)
    for player, values in line.losses.items():
        losses.plot(line.alphas, values, color=COLOURS.get(player), label=player)
    losses.set(ylabel="loss (nats)", title="losses")
    losses.legend(frameon=False)
    norm.semilogy(line.alphas, line.norm, color=COLOURS["all"])
    norm.set(ylabel=r"$\|v\|$", title="path-norm")
    angle.plot(line.alphas, line.angle, color=COLOURS["all"], label="both")
    for player, values in line.player_angle.items():
        angle.plot(line.alphas, values, color=COLOURS.get(player), linewidth=0.8, label=player)
    angle.set(ylabel=r"$\cos(v,\ \theta^*-\theta)$", title="path-angle", ylim=(-1.05, 1.05))
    angle.legend(frameon=False)
    for axes in (losses, norm, angle):
        axes.axvline(1.0, color="#999999", linewidth=0.6, linestyle="--")
        axes.set(xlabel=r"$\alpha$: start 0, end 1")
    angle.axhline(0.0, color="#999999", linewidth=0.6)
    return _plain(figure)


def eigenvalues(spectra: Mapping[str, Complex[np.ndarray, " n"]]) -> Figure:
    """Plot eigenvalues in the complex plane, one panel each; imaginary parts indicate rotation."""
    figure = Figure(figsize=(3.6 * len(spectra), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(spectra)))
    for axes, (name, values) in zip(panels, spectra.items(), strict=True):
        axes.axhline(0.0, color="#999999", linewidth=0.6)
        axes.axvline(0.0, color="#999999", linewidth=0.6)
        real, imaginary = np.real(values), np.imag(values)
        axes.scatter(real, imaginary, s=14, color=COLOURS.get(name, COLOURS["all"]))
        axes.set(title=name, xlabel=r"Re $\lambda$", ylabel=r"Im $\lambda$")
        reach = 1.15 * max(float(np.abs(values).max()), 1e-6)
        axes.set(xlim=(min(-0.1 * reach, 1.15 * float(real.min())), reach))
        axes.set(ylim=(-reach, reach) if np.abs(imaginary).max() > 0 else (-1, 1))
    return _plain(figure)


def mixtures(
    real: Float[np.ndarray, "n 2"], fakes: Mapping[str, Float[np.ndarray, "m 2"]]
) -> Figure:
    """Plot generated points over real points, one panel per name."""
    figure = Figure(figsize=(2.6 * len(fakes), 2.9), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(fakes), sharex=True, sharey=True))
    for axes, (name, points) in zip(panels, fakes.items(), strict=True):
        axes.scatter(*real.T, s=3, alpha=0.4, linewidths=0, color=COLOURS["real"], label="real")
        axes.scatter(*points.T, s=3, alpha=0.4, linewidths=0, color=COLOURS["fake"], label="fake")
        axes.set(title=name, aspect="equal", xlabel="$x_1$")
    reach = 1.3 * float(np.abs(real).max())
    panels[0].set(ylabel="$x_2$", xlim=(-reach, reach), ylim=(-reach, reach))
    return _plain(figure)


def seeds(values: Mapping[str, Sequence[float]], *, xlabel: str) -> Figure:
    """Plot the values of every seed as points and their mean as a bar, one row per name."""
    figure = Figure(figsize=(6, 0.5 + 0.36 * len(values)), layout="constrained")
    axes = figure.subplots()
    for number, points in enumerate(values.values()):
        axes.plot(points, [number] * len(points), "o", color=CYCLE[0], markersize=4, alpha=0.7)
        if len(points):
            axes.plot([float(np.mean(points))] * 2, [number - 0.3, number + 0.3], color=CYCLE[1])
    axes.set(yticks=range(len(values)), yticklabels=list(values), xlabel=xlabel)
    axes.invert_yaxis()
    return _plain(figure)


def _plain(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure
