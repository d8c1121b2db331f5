"""The report's panel of nearest training pictures."""

from helpers.evaluation import SIDE, context, stripes

from gan_jax import grids
from gan_jax.evaluation.held_out import nearest_neighbours
from gan_jax.reporting.neighbours import panel


def test_the_panel_has_a_row_for_each_sample(monkeypatch):
    found = nearest_neighbours(context(lambda c: stripes(c["label"], seed=5)), count=4, k=2)
    shown = []
    monkeypatch.setattr(grids, "encode_png", lambda grid: shown.append(grid.shape) or b"")
    _, html = panel(found, "flat")
    scale = grids.tile_scale(SIDE)
    assert shown == [(4 * SIDE * scale, 3 * SIDE * scale, 1)]
    assert f"{found.distances[3, 0]:.2f}" in html
