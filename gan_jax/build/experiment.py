"""From an Experiment's names to objects: the one place where names are resolved."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Key

from gan_jax import augment, config, latents, objectives, parallel, penalties
from gan_jax.build import schedule
from gan_jax.build.networks import make_network, of_field
from gan_jax.build.schedule import Stage
from gan_jax.config import Dcgan, Experiment
from gan_jax.data import captions, images
from gan_jax.data.pipeline import Source, open_source
from gan_jax.data.source import warn_once
from gan_jax.editing.style_space import one_class, open_space
from gan_jax.errors import NoSplit, UserError
from gan_jax.evaluation import registry, voices
from gan_jax.evaluation.representation import IW_DRAWS, Bounds, Eye
from gan_jax.game import Batch, Game, Metrics, Net, State, fold, step
from gan_jax.games.cyclegan import cyclegan
from gan_jax.games.gan import gan
from gan_jax.games.pix2pix import pix2pix
from gan_jax.games.stylegan import stylegan
from gan_jax.games.text_to_image import text_to_image
from gan_jax.games.vae import Likelihood, bernoulli, gaussian, log_evidence, vae
from gan_jax.metrics.features import to_uint8
from gan_jax.metrics.names import better, split_name
from gan_jax.networks import resnet_translator, unet
from gan_jax.networks import stylegan as styled
from gan_jax.networks.text import Augmenter
from gan_jax.reporting.html import Panel
from gan_jax.sampling import samplers
from gan_jax.sampling.samplers import Recipe, Sampler, to_float


class Built(NamedTuple):
    """An experiment as objects.

    `key` is the run's root key; `round` plays one round of a device's share of a host batch;
    `exact` makes the sampler that computes in float32 whatever the precision;
    `highest` says whether the best checkpoint has the highest value of its metric; the others are
    those of `Parts`. All of a growing game is that of one stage: `at(step)` gives the objects of
    the stage that round `step` belongs to, `stages` are all of them.
    """

    experiment: Experiment
    key: Key[Array, ""]
    game: Game
    mesh: Mesh
    round: Callable[[State, Batch, Array], tuple[State, Metrics]]
    sampler: Sampler
    exact: Callable[[], Sampler]
    highest: bool
    real: str
    held_out: bool
    bounds: "Callable[[State], Bounds] | None"
    stages: tuple[Stage, ...]
    at: "Callable[[int], Built]"


def build(experiment: Experiment) -> Built:
    """Resolves every name of an experiment; opens no data.

    Raises UserError for what cannot be built: a resolution that the networks do not have, a batch
    that does not divide among the devices, a metric that does not exist.
    """
    config.check(experiment)
    run = experiment.run
    try:
        mesh = parallel.make_mesh(run.devices or None)
    except ValueError as error:
        raise UserError(f"run.devices = {run.devices}: {error}") from error
    stages = schedule.stages(experiment)
    for stage in stages:
        _check_batch(stage.batch_size, mesh.size)
    of_field("run.metrics", registry.expand, run.metrics)
    of_field("run.features", registry.find_features, run.features)
    classes = getattr(experiment.game, "classes", 0)

    @functools.cache
    def of(stage: Stage) -> Built:
        parts = make_parts(experiment, data_shape(experiment.data), stage)
        _check_metrics(experiment, parts)

        def round_(state: State, batch: Batch, key: Array) -> tuple[State, Metrics]:
            seen = parts.see(to_real(batch, classes), state.step)
            return step(parts.game, state, seen, key, axis_name=parallel.AXIS)

        sampler = samplers.make_sampler(parts.game, parts.recipe)

        @functools.cache
        def exact() -> Sampler:
            if experiment.precision == "float32":
                return sampler
            whole = config.change(experiment, {"precision": "float32"})
            found = make_parts(whole, data_shape(experiment.data), stage)
            return samplers.make_sampler(found.game, found.recipe)

        return Built(
            experiment,
            jax.random.key(experiment.seed),
            parts.game,
            mesh,
            round_,
            sampler,
            exact,
            _highest(run.best),
            parts.real,
            parts.held_out,
            parts.bounds,
            stages,
            lambda number: of(schedule.at(stages, number)),
        )

    return of(stages[0])


def _check_metrics(experiment: Experiment, parts: "Parts") -> None:
    """Raises UserError for a metric that the game cannot have."""
    recipe, both = parts.recipe, {"x2y", "y2x"}
    labels = recipe.classes, "a generator that is told a label (game.condition)"
    needs = {
        **dict.fromkeys(("label_accuracy", "intra_fid", "accuracy_score", "augmentation"), labels),
        "ppl": (recipe.prior, "a generator with a latent space"),
        "bounds": (parts.bounds, "a game with a likelihood: a VAE"),
        "attribute_edit": (recipe.styles, "a generator with styles"),
        "pairs": (recipe.translators, "a game that translates pictures"),
        "translations": (both <= recipe.translators.keys(), "a game that translates both ways"),
        "voices": (experiment.data.name in config.VOICES, "data of voices"),
        "r_precision": (isinstance(experiment.game, config.TextToImage), "captions to draw from"),
        "linear_probe": (isinstance(experiment.discriminator.network, Dcgan), "a Dcgan player"),
    }
    for name in registry.expand(experiment.run.metrics):
        there, what = needs.get(name, (True, ""))
        if not there:
            raise UserError(f"run.metrics: {name!r} needs {what}")
        if name == "intra_fid" and experiment.run.metric_samples < 2 * recipe.classes:
            least = f"run.metric_samples of at least {2 * recipe.classes}, two a class"
            raise UserError(f"run.metrics: {name!r} needs {least}")


def _highest(best: str) -> bool:
    """Whether the best checkpoint has the highest value of the quantity `best`.

    Raises UserError for no known quantity, and for one of which neither way is better.
    """
    direction = of_field("run.best", better, best) if best else "lower"
    if direction == "neither":
        raise UserError(f"run.best = {best!r}: neither more nor less of it is better")
    return direction == "higher"


def _check_batch(size: int, devices: int) -> None:
    if size < 1 or size % devices:
        fits = max(1, round(size / devices)) * devices
        raise UserError(
            f"batch_size = {size} does not divide among {devices} devices; "
            f"the nearest that does is {fits}"
        )


def data_shape(data: config.Data) -> tuple[int, ...]:
    """The shape of one real sample: pictures, points of a toy mixture, pieces of speech."""
    if data.name in config.VOICES:
        return (data.frames, data.cepstra)
    if data.name.startswith("toy/"):
        return (2,)
    return (data.resolution, data.resolution, data.channels)


def open_data(experiment: Experiment, split: str | None = None) -> Source:
    """The experiment's data set, or another split of it; prepared first if need be.

    Raises UserError when it is not there and cannot be prepared.
    """
    data = experiment.data
    source = open_source(
        data.name,
        split=split or data.split,
        path=data.path,
        resolution=data.resolution,
        channels=data.channels,
        resize=data.resize,
        on_bad_image=data.on_bad_image,
        data_dir=data.data_dir,
        seed=experiment.seed,
        direction=data.direction,
        frames=data.frames,
        cepstra=data.cepstra,
    )
    if "text" in NEEDS.get(type(experiment.game), ()) and source.class_names:
        source = source if "text" in source.records[0] else captions.of_classes(source)
    check_data(experiment.game, source)
    return source


def with_classes(experiment: Experiment) -> Experiment:
    """The experiment with as many classes as its data has, where it has a condition and 0 classes.

    Raises UserError when the data has none, or is not there.
    """
    if not config.counts_classes(experiment):
        return experiment
    source = open_data(experiment)
    if source.num_classes is None:
        lacks = f"data set {source.name!r} has no classes, and game.condition needs them"
        if source.name != "folder":
            raise UserError(lacks)
        stray = images.without_class(experiment.data.path or "")
        raise UserError(
            f"{lacks}: every picture must lie in a sub-folder, of two or more, that is named after "
            f"its class, and {stray!r} lies in none"
        )
    return config.change(experiment, {"game.classes": source.num_classes})


NEEDS = {
    config.Pix2Pix: ("x", "y"),
    config.Cyclegan: ("x", "y"),
    config.TextToImage: ("image", "text"),
}
SHIPPED = {
    **{"x": "emoji_pairs", "y": "emoji_pairs"},
    **{"text": "emoji_noto", "label": "fashion_mnist_10k"},
}


def check_data(game: config.Game, source: Source) -> None:
    """Whether the data has what the game plays with. Raises UserError naming what it lacks."""
    classes = getattr(game, "classes", 0)
    needs = NEEDS.get(type(game), () if source.name.startswith("toy/") else ("image",))
    needs = (*needs, *(["label"] if classes else []))
    columns = source.records[0]
    for column in needs:
        if column not in columns:
            fits = SHIPPED.get(column, "fashion_mnist_10k")
            has = f"data.name = {source.name!r} has {', '.join(columns)}"
            raise UserError(f"{has} and no {column!r}, which this game needs; try {fits!r}")
    if classes and source.num_classes != classes:
        known = f"data set {source.name!r} has {source.num_classes}"
        raise UserError(f"game.classes = {classes}: {known}")
    numbers = getattr(game, "text", None)
    if numbers is not None and columns["text"].shape != (numbers,):
        known = f"data set {source.name!r} has vectors of {len(columns['text'])}"
        raise UserError(f"game.text = {numbers}: {known}")


def held_out(built: Built, source: Source) -> Source:
    """Where grids and metrics take conditions from: the test split, if samples begin with data.

    The data set itself where it has no such split.
    """
    return _test_split(built.experiment, source) if built.held_out else source


def _test_split(experiment: Experiment, source: Source) -> Source:
    try:
        return open_data(experiment, "test")
    except NoSplit as error:
        warn_once(f"what is shown and measured was trained on: {error}")
        return source


def find_data(built: Built, split: str | None = None, *, needed: bool = False) -> Source | None:
    """What samples begin with, held out where they begin with data; None where it is not there.

    Raises UserError where it is not there and samples begin with it, a split is asked for, or it
    is `needed` otherwise.
    """
    try:
        source = open_data(built.experiment, split)
    except UserError:
        if needed or split or built.held_out or len(data_shape(built.experiment.data)) < 3:
            raise
        return None
    return source if split else held_out(built, source)


def evaluate(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: str | None = None,
) -> dict[str, float]:
    """All that `measure` finds."""
    asked = {"split": split, "metrics": metrics, "count": count, "features": features}
    found = measure(built, state, key, source, **asked)
    return {name: value for some in found for name, value in some.items()}


def measure(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: str | None = None,
) -> Iterator[dict[str, float]]:
    """The metrics of a state's samples against a data source, one after the other.

    By default those that the experiment names. Samples that begin with data are those of the test
    split, compared with it, at most one each.
    """
    run = built.experiment.run
    subject = make_subject(
        *(built, state, key, source),
        split=split,
        count=count or run.metric_samples,
        features=features or run.features,
    )
    yield from registry.measure(metrics or run.metrics, subject)


def measure_real(
    built: Built,
    source: Source,
    others: Source,
    *,
    split: str | None = None,
    metrics: tuple[str, ...] = (),
    count: int | None = None,
    features: str | None = None,
) -> dict[str, float]:
    """The metrics of real pictures in place of samples, `real_fid1k-train[...]`: those of `others`.

    A perfect generator would have as much, by the same count, split and network. Without `metrics`
    those of the experiment that compare samples with data.
    """
    run = built.experiment.run
    named = metrics or tuple(n for n in registry.expand(run.metrics) if n in registry.COMPARISONS)
    found = registry.compare_real(
        *(named, source, others),
        column=built.real,
        split=split_name(split or built.experiment.data.split),
        count=count or run.metric_samples,
        features=registry.find_features(features or run.features),
    )
    return {f"real_{name}": value for name, value in found.items()}


def require_metrics(experiment: Experiment, source: Source) -> None:
    """Opens what the experiment's metrics will take, before there is a round to lose.

    Raises UserError where something is not there.
    """
    if experiment.run.metrics:
        network = registry.find_features(experiment.run.features)
        registry.require(
            experiment.run.metrics, source, network, lambda split: open_data(experiment, split)
        )
        if source.speakers is not None:  # the report plays prompts as well
            voices.common(_test_split(experiment, source).speakers, "x2y")


def exhibits(built: Built, state: State, key: Key[Array, ""], source: Source) -> list[Panel]:
    """The sections of a report that a state's samples need a page of their own for: sounds."""
    if source.speakers is None:
        return []
    run = built.experiment.run
    subject = make_subject(
        *(built, state, key, source), split=None, count=voices.PLAYED, features=run.features
    )
    return voices.panels(subject)


def make_subject(
    built: Built,
    state: State,
    key: Key[Array, ""],
    source: Source,
    *,
    split: str | None,
    count: int,
    features: str,
) -> registry.Subject:
    """A state's samples beside a data source: what metrics take."""
    experiment, sampler = built.experiment, built.sampler
    if built.held_out and split is None:
        apart = held_out(built, source)
        source, split = apart, experiment.data.split if apart is source else "test"
        count = min(count, source.size or count)
    convert = to_uint8 if len(data_shape(experiment.data)) == 3 else np.asarray

    def imitated(source: Source, count: int) -> samplers.Conditions:
        return samplers.as_in_data(sampler.conditions(source, count), source)

    return registry.Subject(
        draw=lambda conditions: sampler.draw(state, key, conditions, convert=convert),
        conditions=sampler.conditions,
        imitated=imitated,
        source=source,
        other=lambda split: open_data(experiment, split),
        real=built.real,
        split=split_name(split or experiment.data.split),
        count=count,
        features=registry.find_features(features),
        paths=lambda: built.exact().paths(state, imitated(source, PATH_CONDITIONS)),
        eye=make_eye(built, state),
        bounds=built.bounds and built.bounds(state),
        space=lambda: open_space(built.game, sampler, state, one_class(_classes(experiment))),
        translate=lambda *what: sampler.translate(state, key, *what),
    )


def _classes(experiment: Experiment) -> int:
    return getattr(experiment.game, "classes", 0)


def make_eye(built: Built, state: State) -> Eye | None:
    """The network that looks at pictures, if its class can be trained on labels as well."""
    experiment = built.experiment
    name = "encoder" if "encoder" in built.game.nets else "discriminator"
    net = built.game.nets.get(name)
    if not isinstance(net, Net) or not isinstance(experiment.discriminator.network, Dcgan):
        return None
    shape = data_shape(experiment.data)

    def twin(classes: int) -> Net:
        module = make_network(experiment, "discriminator", shape, outputs=classes)
        return Net(module, (_floats(*shape),))

    return Eye(net, _current(state, name), twin)


def _current(state: State, net: str) -> dict[str, Any]:
    return {"params": state.params[net], **state.stats[net]}


def to_real(batch: Mapping[str, Any], classes: int = 0) -> dict[str, Any]:
    """A host batch as games want it: pictures float32 in [-1, 1], labels one-hot as `condition`.

    What a game from noise imitates, 'image' or a toy mixture's 'x' [b 2], is named `real`.
    """
    found = {}
    for name, value in batch.items():
        generated = name == "image" or (name == "x" and value.ndim == 2)
        found["real" if generated else name] = to_float(value)
    if classes and "label" in found:
        found["condition"] = jax.nn.one_hot(found["label"], classes)
    return found


PATH_CONDITIONS = 512  # labels or captions that paths are drawn with
OBJECTIVES = {
    "minimax": objectives.minimax,
    "non_saturating": objectives.non_saturating,
    "least_squares": objectives.least_squares,
    "hinge": objectives.hinge,
    "wasserstein": objectives.wasserstein,
    "relativistic": objectives.relativistic,
}
BETWEEN = {"normal": latents.slerp, "uniform": latents.lerp}
PRIORS = {"normal": latents.normal, "uniform": latents.uniform}


class Parts(NamedTuple):
    """A game and how its states make samples; `real` names the data's column they imitate.

    `bounds(state)` are there where the game has a likelihood; `see(batch, step)` is what a round
    makes of its batch.
    """

    game: Game
    recipe: Recipe
    real: str = "image"
    held_out: bool = False  # samples begin with data: grids show those of the test split
    bounds: Callable[[State], Bounds] | None = None
    see: Callable[[dict[str, Any], Array], dict[str, Any]] = lambda batch, step: batch


def make_gan(experiment: Experiment, options: config.Gan, shape: tuple[int, ...]) -> Parts:
    """Noise to data, with labels or without."""
    if options.condition and options.classes < 1:
        raise UserError("game.classes = 0: only training finds out how many the data has; say it")
    for name in ("conditional_norm", "classes"):
        if getattr(options, name) and not options.condition:
            raise UserError(f"game.{name} needs game.condition; did you mean 'projection'?")
    classes = options.classes
    z, real = _floats(options.z), _floats(*shape)
    beside = (_floats(classes),) if classes else ()
    generator = Net(
        make_network(experiment, "generator", shape, conditional_norm=options.conditional_norm),
        (z, *beside),
    )
    look = {
        "": {},
        "concat": {},
        "projection": {"projection": True},
        "auxiliary": {"classes": classes},
    }[options.condition]
    discriminator = Net(make_network(experiment, "discriminator", shape, **look), (real, *beside))
    every = options.penalty_every if options.r1 or options.r2 or options.gradient_penalty else 1
    prior = PRIORS[options.prior](options.z)
    anneal = functools.partial(annealed, experiment, options.anneal)
    game = gan(
        generator,
        discriminator,
        make_annealed(experiment, "generator", options.anneal, options.n_critic),
        make_annealed(experiment, "discriminator", options.anneal, lazy=every),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        condition="condition" if classes else None,
        auxiliary=AUXILIARY if options.condition == "auxiliary" else None,
        r1=anneal(options.r1, end=options.anneal.gamma * options.r1),
        r2=anneal(options.r2, end=options.anneal.gamma * options.r2),
        gradient_penalty=options.gradient_penalty,
        penalty_every=options.penalty_every,
        n_critic=options.n_critic,
        ema=_annealed_decay(experiment, options) or averaging(experiment, options),
        simultaneous=options.simultaneous,
        augment=make_augment(experiment, options, shape, experiment.batch_size),
    )
    between = BETWEEN[options.prior]
    return Parts(game, samplers.from_noise(generator, prior, between, classes=classes))


Value = float | Callable[[Any], Any]  # a number, or a function of the round


def annealed(
    experiment: Experiment,
    anneal: config.Anneal,
    value: float,
    *,
    start: float | None = None,
    end: float | None = None,
) -> Value:
    """The value, or where the experiment anneals, its way from `start` to `end`: half a cosine.

    Both are `value` unless given.
    """
    first, last = value if start is None else start, value if end is None else end
    if not anneal.kimg or first == last:
        return value

    def at(round: Any) -> Any:
        done = jnp.minimum(round * experiment.batch_size / (1000.0 * anneal.kimg), 1.0)
        return first + (last - first) * 0.5 * (1.0 - jnp.cos(jnp.pi * done))

    return at


def _annealed_decay(experiment: Experiment, options: config.Gan) -> Value | None:
    """The averaged copy's decay a round where its half-life is annealed, from 0; else None."""
    rounds = 1000.0 * options.ema_kimg / experiment.batch_size
    half_life = annealed(experiment, options.anneal, rounds, start=0.0)
    return (lambda round: jnp.exp2(-1.0 / half_life(round))) if callable(half_life) else None


def make_annealed(
    experiment: Experiment, role: str, anneal: config.Anneal, rounds: int = 1, lazy: int = 1
) -> optax.GradientTransformation:
    """A player's optimiser, its rate and beta2 annealed.

    The player moves every `rounds` rounds, and once more every `lazy` of them (see `lazily`).
    Raises UserError for another optimiser than Adam.
    """
    player: config.Player = getattr(experiment, role)
    if not anneal.kimg:
        return make_optimizer(lazily(player, lazy))
    if player.optimizer != "adam" or player.clip_weights:
        given = f"{role}.optimizer = {player.optimizer!r} with clip_weights {player.clip_weights:g}"
        raise UserError(f"{given}: game.anneal moves plain Adam; did you mean 'adam' and 0?")
    b1, b2 = player.betas
    goal = dataclasses.replace(player, lr=anneal.lr * player.lr, betas=(b1, anneal.beta2 or b2))
    start, end = lazily(player, lazy), lazily(goal, lazy)
    per_move = rounds * (1.0 if lazy == 1 else lazy / (lazy + 1))

    def counted(first: float, last: float) -> Value:
        """The schedule by the optimiser's own count of its moves."""
        value = annealed(experiment, anneal, first, end=last)
        return (lambda count: value(count * per_move)) if callable(value) else value

    return optax.inject_hyperparams(optax.adam, static_args=("b1",))(
        learning_rate=counted(start.lr, end.lr),
        b1=start.betas[0],
        b2=counted(start.betas[1], end.betas[1]),
    )


def make_augment(
    experiment: Experiment,
    options: config.Gan | config.Stylegan,
    shape: tuple[int, ...],
    batch_size: int,
) -> augment.Augment | None:
    """What the discriminator's pictures go through, `batch_size` of them a round.

    Raises UserError where there are no pictures, or nothing that an adaptive p could follow.
    """
    if not options.augment:
        return None
    if len(shape) != 3:
        raise UserError(
            f"game.augment = {options.augment!r} needs pictures; data has shape {shape}"
        )
    adaptive = options.augment == "ada"
    if adaptive and OBJECTIVES[options.objective]().threshold is None:
        raise UserError(
            f"game.augment = 'ada' needs an objective that tells right from wrong, not "
            f"{options.objective!r}; did you mean 'non_saturating', or augment 'diffaugment'?"
        )
    for name in ("augment_p", "ada_target"):
        if getattr(options, name) > 1.0:
            raise UserError(f"game.{name} = {getattr(options, name)!r}: a number up to 1 is needed")
    speed = batch_size / (1000.0 * options.ada_kimg)
    return {
        "diffaugment": lambda: augment.Augment(augment.diffaugment),
        "ada": lambda: augment.Augment(augment.bgc, augment.Adaptive(speed, options.ada_target)),
        "r3gan": lambda: augment.Augment(
            augment.bgc_cutout,
            annealed(
                experiment,
                getattr(options, "anneal", config.Anneal()),
                options.augment_p,
                start=0.0,
            ),
        ),
    }[options.augment]()


AUXILIARY = (1.0, 0.1)  # weights of the class losses (Gulrajani et al. 2017's code)


def make_pix2pix(experiment: Experiment, options: config.Pix2Pix, shape: tuple[int, ...]) -> Parts:
    """Pictures to pictures, paired."""
    picture = _floats(*shape)
    generator = Net(make_network(experiment, "generator", shape), (picture,))
    pair = (picture, picture) if options.conditional else (picture,)
    discriminator = Net(make_network(experiment, "discriminator", shape), pair)
    game = pix2pix(
        generator,
        discriminator,
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        adversarial=options.adversarial,
        l1=options.l1,
        conditional=options.conditional,
        ema=averaging(experiment, options),
    )

    translators = {"x2y": ("generator", generator)}
    recipe = samplers.from_pictures(
        translators,
        shape,
        multiple=_multiple(experiment, shape),
        own_statistics=options.statistics == "picture",
    )
    return Parts(game, recipe, real="y", held_out=True)


def _multiple(experiment: Experiment, shape: tuple[int, ...]) -> int:
    """What must divide the sides of pictures that the generator maps."""
    to_one_pixel = isinstance(experiment.generator.network, config.Unet)
    return 2 ** unet.depth(shape[0]) if to_one_pixel else resnet_translator.MULTIPLE


def make_cyclegan(
    experiment: Experiment, options: config.Cyclegan, shape: tuple[int, ...]
) -> Parts:
    """Pictures of one domain to another and back, without pairs."""

    def net(role: str) -> Net:
        return Net(make_network(experiment, role, shape), (_floats(*shape),))

    ends = round(1000.0 * options.identity_kimg / experiment.batch_size)
    x2y, y2x = net("generator"), net("generator")
    game = cyclegan(
        x2y,
        y2x,
        net("discriminator"),
        net("discriminator"),
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        adversarial=options.adversarial,
        cycle=options.cycle,
        identity=options.identity,
        identity_until=ends if options.identity_kimg else None,
        pool=options.pool,
        second_adversarial=(
            (net("discriminator"), net("discriminator")) if options.two_step else None
        ),
        ema=averaging(experiment, options),
    )
    recipe = samplers.from_pictures(
        {"x2y": ("x2y", x2y), "y2x": ("y2x", y2x)},
        shape,
        multiple=_multiple(experiment, shape),
        shown=16 if samplers.batch_of(shape) == samplers.BATCH else 4,
    )
    return Parts(game, recipe, real="y", held_out=True)


def make_text_to_image(
    experiment: Experiment, options: config.TextToImage, shape: tuple[int, ...]
) -> Parts:
    """Captions to pictures."""
    text, caption, real = _floats(options.text), _floats(options.caption), _floats(*shape)
    generator = Net(make_network(experiment, "generator", shape), (_floats(options.z), caption))
    augmenter = Net(Augmenter(options.caption, dtype=jnp.dtype(experiment.precision)), (text,))
    discriminator = Net(
        make_network(experiment, "discriminator", shape, projection=True), (real, text)
    )
    prior = PRIORS[options.prior](options.z)
    game = text_to_image(
        generator,
        augmenter,
        discriminator,
        make_optimizer(experiment.generator),
        make_optimizer(experiment.discriminator),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        augmentation=latents.normal(options.caption),
        kl=options.kl / options.caption,
        matching=options.matching,
        ema=averaging(experiment, options),
        augment=augment.Augment(augment.diffaugment) if options.augment else None,
    )

    def caption_of(variables: Any, batch: Mapping[str, Array]) -> tuple[Array, Array]:
        return augmenter(variables["augmenter"], jnp.asarray(batch["text"]), train=False)[0]

    def draw(variables: Any, key: Array, batch: Mapping[str, Array], train: bool) -> Any:
        index = jnp.asarray(batch["index"])
        z, (mean, log_variance) = prior(key, index), caption_of(variables, batch)
        noise = latents.normal(options.caption)(fold(key, "augmentation"), index)
        seen = mean + jnp.exp(0.5 * log_variance) * noise  # as in training
        return generator(variables["generator"], z, seen, train=train)

    def decode(variables: Any, z: Array, batch: Mapping[str, Array]) -> Array:
        mean, _ = caption_of(variables, batch)
        return generator(variables["generator"], z, mean, train=False)[0]

    def conditions(source: Source, count: int) -> samplers.Conditions:
        return samplers.from_data(source, count, ("text",))

    nets = ("generator", "augmenter")
    between = BETWEEN[options.prior]
    recipe = Recipe(nets, draw, conditions, prior=prior, decode=decode, between=between)
    return Parts(game, recipe, held_out=True)


def make_vae(experiment: Experiment, options: config.Vae, shape: tuple[int, ...]) -> Parts:
    """The one-player game: the generator decodes, the discriminator's network encodes."""
    generator = Net(make_network(experiment, "generator", shape), (_floats(options.z),))
    encoder = Net(
        make_network(experiment, "discriminator", shape, outputs=2 * options.z),
        (_floats(*shape),),
    )
    prior = latents.normal(options.z)
    game = vae(
        generator,
        encoder,
        make_optimizer(experiment.generator),
        likelihood=make_likelihood(options),
        prior=prior,
        beta=options.beta,
        ema=averaging(experiment, options),
    )
    likelihood = make_likelihood(options)
    scale = f"scale={options.scale:g}" if options.likelihood == "gaussian" else ""
    label = ",".join(part for part in (options.likelihood, scale) if part)

    def bounds(state: State) -> Bounds:
        def decode(z: Array) -> Array:
            return generator(_current(state, "generator"), z, train=False)[0]

        def of(x: Array, key: Array) -> dict[str, Array]:
            out, _ = encoder(_current(state, "encoder"), x, train=False)
            mean, log_variance = jnp.split(out, 2, axis=-1)
            z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
            one = likelihood.log(x, decode(z)) - latents.divergence(mean, log_variance)
            tight = log_evidence(
                decode, mean, log_variance, x, key, likelihood=likelihood, draws=IW_DRAWS
            )
            return {"elbo": one, "iw_bound": tight, "reconstruction": decode(mean)}

        return Bounds(of, likelihood.per_level, label)

    return Parts(game, samplers.from_noise(generator, prior, latents.slerp), bounds=bounds)


def make_likelihood(options: config.Vae) -> Likelihood:
    """The likelihood that a VAE's experiment names."""
    return gaussian(options.scale) if options.likelihood == "gaussian" else bernoulli()


GAMES: dict[type, Callable[[Experiment, Any, tuple[int, ...]], Parts]] = {
    config.Gan: make_gan,
    config.Pix2Pix: make_pix2pix,
    config.Cyclegan: make_cyclegan,
    config.TextToImage: make_text_to_image,
    config.Vae: make_vae,
}


def make_parts(experiment: Experiment, shape: tuple[int, ...], stage: Stage | None = None) -> Parts:
    """The experiment's game on data of `shape` (without the batch), in a stage if it grows.

    Raises UserError when the game cannot be made of the experiment's networks.
    """
    game = experiment.game
    if isinstance(game, config.Stylegan):
        stage = stage or schedule.stages(experiment)[-1]
        parts = make_stylegan(experiment, game, shape, stage)
    else:
        parts = GAMES[type(game)](experiment, game, shape)
    return parts._replace(game=decaying(experiment, parts.game))


def make_stylegan(
    experiment: Experiment, options: config.Stylegan, shape: tuple[int, ...], stage: Stage
) -> Parts:
    """Noise to data through styles, in a stage of its growing."""
    if options.mixing > 1.0:
        raise UserError(f"game.mixing = {options.mixing!r}: a probability up to 1 is needed")
    number, classes = stage.number, options.classes
    look = {} if number is None else {"stage": number}
    fading = number is not None and stage.first > 0
    label = _floats(classes) if classes else None
    generator = Net(make_network(experiment, "generator", shape, **look), (_floats(options.z),))
    discriminator = Net(
        make_network(experiment, "discriminator", shape, **look), (_floats(*shape),)
    )
    if label is not None:
        generator = generator._replace(inputs=(*generator.inputs, label))
        discriminator = discriminator._replace(inputs=(*discriminator.inputs, label))
    last = styled.stages(shape[0]) if number is None else number
    prior = latents.normal(options.z)
    every = options.penalty_every if options.r1 else 1
    g_every = options.path_every if options.path_length else 1
    game = stylegan(
        generator,
        discriminator,
        make_optimizer(_rated(lazily(experiment.generator, g_every), stage.rate)),
        make_optimizer(_rated(lazily(experiment.discriminator, every), stage.rate)),
        objective=OBJECTIVES[options.objective](),
        prior=prior,
        layers=styled.layers(last),
        mixing=options.mixing,
        condition="condition" if classes else None,
        path_length=options.path_length,
        path_every=options.path_every,
        axis_name=parallel.AXIS if experiment.sync_batch_norm else None,
        r1=options.r1,
        penalty_every=options.penalty_every,
        augment=make_augment(experiment, options, shape, stage.batch_size),
        ema=averaging(experiment, options, stage),
    )

    def alpha(step: Array) -> Array:
        return jnp.clip((step - stage.first + 1) / stage.fading, 0.0, 1.0).astype(jnp.float32)

    def see(batch: dict[str, Any], step: Array) -> dict[str, Any]:
        if number is None:
            return batch
        now = {"alpha": alpha(step)} if fading else {}
        return {**batch, "real": styled.fade_reals(batch["real"], number, now.get("alpha")), **now}

    recipe = samplers.from_styles(
        generator,
        prior,
        layers=styled.layers(last),
        classes=classes,
        alpha=alpha if fading else None,
        resolution=shape[0],
    )
    return Parts(game, recipe, see=see)


def _rated(player: config.Player, rate: float) -> config.Player:
    return dataclasses.replace(player, lr=player.lr * rate)


def decaying(experiment: Experiment, game: Game) -> Game:
    """The game with the learning rates falling where the experiment says so, by kimg.

    An optimiser counts its own moves, so the images it has seen follow from how often it moves.
    Raises UserError for a fall that ends before it begins, and in a run that grows.
    """
    players = {}
    for name, player in game.players.items():
        role = "discriminator" if name == "discriminator" else "generator"
        start, end = getattr(experiment, role).decay
        if start == end == 0.0:
            players[name] = player
            continue
        if end <= start:
            raise UserError(f"{role}.decay = ({start:g}, {end:g}): the fall ends before it begins")
        grow = getattr(experiment.game, "grow", None)
        if grow is not None and grow.start:
            raise UserError(f"{role}.decay cannot be had with game.grow, which begins Adam anew")
        moves = sum(1.0 / move.every for move in game.moves if move.player == name)
        fall = linear_decay(start, end, experiment.batch_size / (1000.0 * moves))
        players[name] = player._replace(tx=optax.chain(player.tx, optax.scale_by_schedule(fall)))
    return game._replace(players=players)


def linear_decay(start: float, end: float, kimg: float) -> Callable[[Any], Array]:
    """The share of the learning rate by the count of moves, each of `kimg`: 1, then down to 0."""
    return lambda count: jnp.clip((end - count * kimg) / (end - start), 0.0, 1.0)


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((2, *shape), jnp.float32)


def averaging(experiment: Experiment, options: Any, stage: Stage | None = None) -> Value | None:
    """The decay a round of averaged networks, from their half-life; None where there are none.

    The half-life is at most `options.ema_rampup` of the images shown before the round (Karras et
    al. 2020, arXiv:2006.06676, their code), so that early averages are not of initial weights: the
    first one is the network itself.
    """
    stage = stage or schedule.stages(experiment)[0]
    half_life, ramp, size = 1000.0 * options.ema_kimg, options.ema_rampup, stage.batch_size
    if not half_life:
        return None
    if not ramp:
        return 0.5 ** (size / half_life)

    def decay(round: Array) -> Array:
        shown = stage.images + (round - stage.first) * float(size)
        return jnp.exp2(-size / jnp.clip(ramp * shown, 1e-8, half_life))

    return decay


def lazily(player: config.Player, every: int) -> config.Player:
    """The player's optimiser when one more move every `every` rounds shares it.

    Adam takes (every + 1) / every as many steps, so its rate and the logarithms of its betas shrink
    by that ratio (Karras et al. 2020, arXiv:1912.04958, appendix B).
    """
    if every == 1:
        return player
    ratio = every / (every + 1)
    b1, b2 = player.betas
    return dataclasses.replace(player, lr=player.lr * ratio, betas=(b1**ratio, b2**ratio))


def make_optimizer(player: config.Player) -> optax.GradientTransformation:
    """The player's optax transform, with weight clipping last when it is asked for."""
    b1, b2 = player.betas
    tx = {
        "adam": lambda: optax.adam(player.lr, b1, b2),
        "optimistic_adam": lambda: optax.optimistic_adam_v2(player.lr, b1=b1, b2=b2),
        "rmsprop": lambda: optax.rmsprop(player.lr, decay=0.99, eps_in_sqrt=False),
        "sgd": lambda: optax.sgd(player.lr),
    }[player.optimizer]()
    clip = player.clip_weights
    return optax.chain(tx, penalties.clip_weights(clip)) if clip else tx
