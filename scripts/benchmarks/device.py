"""What this Python finds: the devices of JAX and of PyTorch. `python -m benchmarks.device`."""

import json
import os
import platform
from typing import Any

from benchmarks.table import machine


def facts() -> dict[str, Any]:
    """The devices, versions, and what float32 products are computed in unless one asks for more."""
    import jax

    device = jax.devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    return {
        **machine(),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": len(jax.devices()),
        "memory_mib": memory and memory / 2**20,
        "default_products": PRODUCTS.get(device.platform, "float32"),
        "torch_device": torch_device(),
        "host": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


PRODUCTS = {"gpu": "TF32", "tpu": "one pass of bfloat16"}


def torch_device() -> str:
    """PyTorch's fastest device, "cuda" or "cpu"; "" where it is missing."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return ""
    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    print(json.dumps(facts()))
