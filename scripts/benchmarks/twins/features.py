"""Twin of the metrics' feature network."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu6

from benchmarks.twins.common import Losses, Twin, channels_last

# (repeats, kernel, stride, expansion, channels). They stand here, because an import of the
# project's would count as PyTorch's time and memory.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Block(nn.Module):
    """EfficientNet-Lite0's inverted residual, its batch norms folded into the convolutions."""

    def __init__(self, a: int, b: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide, self.residual = expansion * a, stride == 1 and a == b
        self.expand = nn.Conv2d(a, wide, 1) if expansion != 1 else None
        self.depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide)
        self.project = nn.Conv2d(wide, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else relu6(self.expand(x))
        y = self.project(relu6(self.depthwise(y)))
        return x + y if self.residual else y


def features(batch_size: int) -> Twin:
    """A batch through EfficientNet-Lite0 at 224 px, to pooled features and logits."""
    torch.manual_seed(0)
    blocks, before = [], 32
    for repeats, kernel, stride, expansion, width in STAGES:
        for repeat in range(repeats):
            blocks.append(Block(before, width, kernel, 1 if repeat else stride, expansion))
            before = width
    stem, head = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(before, 1280, 1)
    logits = nn.Linear(1280, 1000)
    body = channels_last(nn.Sequential(stem, nn.ReLU6(), *blocks, head, nn.ReLU6())).eval()
    images = torch.randint(0, 256, (batch_size, 3, 224, 224), dtype=torch.uint8)
    images = images.to(memory_format=torch.channels_last)

    def play() -> Losses:
        with torch.inference_mode():
            x = body((images.float() - 127.0) / 128.0).mean((2, 3))
            logits(x)
        return {}

    return Twin(play, {"body": body, "logits": logits})
