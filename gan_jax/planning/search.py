"""The plans of a recipe on a slice, by stage, and the largest batch that fits."""

import dataclasses
import time
from collections.abc import Iterator

from gan_jax import config
from gan_jax.build import schedule
from gan_jax.planning import compiler, lowering
from gan_jax.planning.chips import Slice
from gan_jax.planning.compiler import Compilation
from gan_jax.planning.plan import Plan, Target, more_rows, summarise
from gan_jax.planning.request import Request

DOUBLINGS = 8  # of the search for the largest batch


def plans(recipe: str, where: Slice, request: Request) -> Iterator[Plan]:
    """Plan a recipe on a slice, by stage."""
    experiment = config.recipe(recipe)
    if request.tiny:
        experiment = config.tiny(experiment)
    if config.counts_classes(experiment):  # without data any number serves
        experiment = config.change(experiment, {"game.classes": 10})
    if request.precision:
        experiment = config.change(experiment, {"precision": request.precision})
    stages = schedule.stages(experiment)
    for stage in stages if request.stage == "all" else stages[-1:]:
        target = Target(recipe, experiment, where, stage)
        rows = request.rows or lowering.rows_per_device(stage, where.devices)
        plan = attempt(target, rows, request)
        if request.compile and request.largest != "skip":
            plan = enlarge(plan, target, request)
        yield plan


def attempt(target: Target, rows: int, request: Request) -> Plan:
    """Lower, and compile where the request says so, with `rows` rows on one device."""
    experiment, where, stage = target.experiment, target.slice, target.stage
    devices = compiler.devices(where) if request.compile else None
    start = time.monotonic()
    count, platform = where.devices, where.platform
    program = lowering.lower(
        experiment, stage, rows, platform=platform, count=count, devices=devices
    )
    if devices is None:
        return summarise(target, program, Compilation())
    compilation = compiler.compile_for_chip(program.lowered, request.effort)
    plan = summarise(target, program, compilation)
    return dataclasses.replace(plan, compile_seconds=time.monotonic() - start)


def enlarge(plan: Plan, target: Target, request: Request) -> Plan:
    """Add the largest batch that fits to a plan."""
    if not plan.fits:
        return dataclasses.replace(plan, how_largest="the batch does not fit")
    reached = plan.rows
    for _ in range(DOUBLINGS if request.largest == "search" else 1):
        larger = attempt(target, 2 * reached, request)
        if not larger.fits:
            how = f"{larger.rows} do not fit"
            return dataclasses.replace(plan, largest=reached, how_largest=how)
        reached = larger.rows
        if request.largest == "extrapolate":
            how = f"extrapolated from {plan.rows} and {reached}"
            return dataclasses.replace(plan, largest=more_rows(plan, larger), how_largest=how)
    how = "at least: the search ended there"
    return dataclasses.replace(plan, largest=reached, how_largest=how)
