"""Published peaks of TPUs and GPUs, and slices of them."""

import math
import re
from typing import NamedTuple

from gan_jax.errors import UserError, nearest


class Chip(NamedTuple):
    """Published peaks of a chip.

    Attributes:
        memory: GiB.
        bandwidth: GB/s.
        bfloat16: Tflop/s of bfloat16 products.
        float32: Tflop/s of float32 products, by default a single bfloat16 pass on a TPU and TF32
            on a GPU.
        devices: devices that jax sees of one chip.
        source: URL of the peaks.
    """

    memory: float
    bandwidth: float
    bfloat16: float
    float32: float
    devices: int
    source: str


_CLOUD = "https://cloud.google.com/tpu/docs/"
_NVIDIA = "https://www.nvidia.com/en-us/data-center/"
CHIPS = {
    "v2": Chip(16, 700, 46, 46, 2, _CLOUD + "v2"),
    "v3": Chip(32, 900, 123, 123, 2, _CLOUD + "v3"),
    "v4": Chip(32, 1228, 275, 275, 1, _CLOUD + "v4"),
    "v5e": Chip(16, 819, 197, 197, 1, _CLOUD + "v5e"),
    "v5p": Chip(95, 2765, 459, 459, 1, _CLOUD + "v5p"),
    "v6e": Chip(32, 1638, 918, 918, 1, _CLOUD + "v6e"),
    "tpu7x": Chip(192, 7380, 2307, 2307, 2, _CLOUD + "tpu7x"),
    "a100": Chip(40, 1555, 312, 156, 1, _NVIDIA + "a100"),
    "a100-80": Chip(80, 2039, 312, 156, 1, _NVIDIA + "a100"),
    "h100": Chip(80, 3350, 989, 495, 1, _NVIDIA + "h100"),
}


class Slice(NamedTuple):
    """Chips that train together: "v5e:4x4" is 16 `chips` of `name` v5e; "cuda:h100x4" is four."""

    text: str
    name: str
    chips: int

    @property
    def chip(self) -> Chip:
        return CHIPS[self.name]

    @property
    def devices(self) -> int:
        return self.chips * self.chip.devices

    @property
    def platform(self) -> str:
        return "cuda" if self.text.startswith("cuda:") else "tpu"

    @property
    def memory(self) -> float:
        """Bytes of one device."""
        return self.chip.memory * 2**30 / self.chip.devices


def read_slice(text: str) -> Slice:
    """Parse "v5e:4x4" or "cuda:h100x4".

    Raises:
        UserError: for any other text; it names the nearest kind of chip.
    """
    cuda = re.fullmatch(r"cuda:([a-z0-9-]+?)(?:x(\d+))?", text)
    tpu = re.fullmatch(r"([a-z0-9]+):(\d+(?:x\d+)+)", text)
    match = cuda or tpu
    kinds = [name for name in CHIPS if (name in GPUS) == bool(cuda)]
    if match is None or "0" in (match[2] or "1").split("x"):
        raise UserError(f"topology {text!r}: say one like 'v5e:4x4' or 'cuda:h100x4'")
    if match[1] not in kinds:
        near = nearest(match[1], kinds)
        raise UserError(f"topology {text!r}: no chip {match[1]!r}; did you mean {near}?")
    sides = match[2] or "1"
    return Slice(text, match[1], math.prod(int(side) for side in sides.split("x")))


class Gpu(NamedTuple):
    """What the compiler needs to know of a GPU, from NVIDIA's white papers of the A100 and H100.

    Attributes:
        name: as the driver reports it.
        capability: major version of the compute capability.
        processors: streaming multiprocessors.
        lanes: float32 units of a multiprocessor.
        shared: KiB of shared memory of a multiprocessor; a block may use all but one.
        cache: MiB of L2 cache.
        ghz: boost clock.
    """

    name: str
    capability: int
    processors: int
    lanes: int
    shared: int
    cache: int
    ghz: float


_AMPERE, _HOPPER = (8, 108, 64, 164, 40, 1.41), (9, 132, 128, 228, 50, 1.98)
GPUS = {
    "a100": Gpu("NVIDIA A100-SXM4-40GB", *_AMPERE),
    "a100-80": Gpu("NVIDIA A100-SXM4-80GB", *_AMPERE),
    "h100": Gpu("NVIDIA H100 80GB HBM3", *_HOPPER),
}
LIMITS = {  # of every GPU since 2012, the registers since 2017 (CUDA programming guide, table 15)
    "threads_per_warp": 32,
    "threads_per_block_limit": 1024,
    "threads_per_core_limit": 2048,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "shared_memory_per_block": 48 * 1024,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}


def gpu_target(name: str) -> str:
    """Describe a GPU as text of XLA's GpuTargetConfigProto."""
    gpu, chip = GPUS[name], CHIPS[name]
    numbers = LIMITS | {
        "core_count": gpu.processors,
        "fpus_per_core": gpu.lanes,
        "shared_memory_per_core": gpu.shared * 1024,
        "shared_memory_per_block_optin": (gpu.shared - 1) * 1024,
        "l2_cache_size": gpu.cache * 2**20,
        "clock_rate_ghz": gpu.ghz,
        "memory_bandwidth": int(chip.bandwidth * 1e9),
        "device_memory_size": int(chip.memory * 2**30),
    }
    body = " ".join(f"{field}: {value}" for field, value in numbers.items())
    return (
        f"gpu_device_info {{ {body} cuda_compute_capability {{ major: {gpu.capability} }} }} "
        'platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } '
        f'runtime_version {{ major: 12 minor: 8 }} device_description_str: "{gpu.name}"'
    )
