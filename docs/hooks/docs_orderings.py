"""Orderings that papers published, and what this project's own tables say of them.

Every number and every verdict is computed from `experiments/ablations/*.csv`.
"""

import csv
import math
import statistics
from typing import Literal, NamedTuple

import docs_sources as sources


class Values(NamedTuple):
    """A quantity of a row over its seeds."""

    values: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        return statistics.stdev(self.values)

    def __str__(self) -> str:
        decimals = max(0, 2 - math.floor(math.log10(abs(self.mean))))
        return f"{self.mean:.{decimals}f} ± {self.spread:.{decimals}f}"


class Ordering(NamedTuple):
    """One row's being ahead of another one's, said by a paper.

    Attributes:
        says: what the paper says, in this project's words.
        source: the paper.
        table: stem of the ablation.
        ahead: the row that should be ahead.
        behind: the row that should be behind.
        metric: beginning of the metric's full name.
        better: which direction is ahead.
        denied: the paper says that the first row is *not* ahead.
        remark: what to know about the case here.
    """

    says: str
    source: str
    table: str
    ahead: str
    behind: str
    metric: str = "fid"
    better: Literal["lower", "higher"] = "lower"
    denied: bool = False
    remark: str = ""

    def read(self, row: str) -> Values:
        """Read the metric of a row over its seeds.

        Raises:
            KeyError: the table lacks the row or the metric.
        """
        path = sources.ROOT / "experiments" / "ablations" / f"{self.table}.csv"
        with path.open(newline="") as file:
            found = [
                float(one["value"])
                for one in csv.DictReader(file)
                if one["row"] == row and one["metric"].startswith(self.metric)
            ]
        if len(found) < 2:
            raise KeyError(f"{path}: no {self.metric} of {row!r} with a spread")
        return Values(found)

    def verdict(self) -> str:
        """'yes' or 'no, reversed' where the difference is beyond the larger spread, else 'level'.

        Of a denial, 'yes' where the first row is not ahead beyond the spread.
        """
        ahead, behind = self.read(self.ahead), self.read(self.behind)
        gain = ahead.mean - behind.mean
        if self.better == "lower":
            gain = -gain
        spread = max(ahead.spread, behind.spread)
        if self.denied:
            return "no" if gain > spread else "yes"
        if abs(gain) <= spread:
            return "level"
        return "yes" if gain > 0 else "no, reversed"


def _guideline(says: str, behind: str, remark: str = "") -> Ordering:
    return Ordering(says, _DCGAN, "dcgan_guidelines", "the quickstart", behind, remark=remark)


_DCGAN = "Radford et al. 2016, [arXiv:1511.06434](https://arxiv.org/abs/1511.06434)"
_SAN = "Takida et al. 2024, [arXiv:2301.12811](https://arxiv.org/abs/2301.12811)"
_GOODFELLOW = "Goodfellow et al. 2014, [arXiv:1406.2661](https://arxiv.org/abs/1406.2661)"
_LUCIC = "Lucic et al. 2018, [arXiv:1711.10337](https://arxiv.org/abs/1711.10337)"
_MIYATO = "Miyato & Koyama 2018, [arXiv:1802.05637](https://arxiv.org/abs/1802.05637)"

_ZHU = "Zhu et al. 2017, [arXiv:1703.10593](https://arxiv.org/abs/1703.10593), table 4"


def _cycle(says: str, behind: str) -> Ordering:
    remark = "error to hidden counterparts, at 32 px"
    return Ordering(says, _ZHU, "cyclegan", "CycleGAN", behind, "x2y_l1_error", remark=remark)


ORDERINGS = (
    Ordering(
        "the non-saturating loss trains better than the minimax loss",
        _GOODFELLOW,
        "objectives",
        "non-saturating",
        "minimax (saturating)",
        remark="with R1 and batch norm the generator's gradient does not vanish here",
    ),
    Ordering(
        "least squares is ahead of the original loss",
        "Mao et al. 2017, [arXiv:1611.04076](https://arxiv.org/abs/1611.04076)",
        "objectives",
        "least squares",
        "non-saturating",
        remark="the base was tuned for the non-saturating loss",
    ),
    Ordering(
        "the hinge loss is not ahead of the non-saturating one",
        _LUCIC,
        "objectives",
        "hinge",
        "non-saturating",
        denied=True,
    ),
    Ordering(
        "relativistic pairing is ahead of the non-saturating loss",
        "Jolicoeur-Martineau 2019, [arXiv:1807.00734](https://arxiv.org/abs/1807.00734)",
        "objectives",
        "relativistic pairing",
        "non-saturating",
    ),
    Ordering(
        "a Wasserstein critic with gradient penalty is not ahead of the non-saturating loss",
        _LUCIC,
        "objectives",
        "Wasserstein, gradient penalty",
        "non-saturating",
        denied=True,
        remark="one move of the critic a round instead of five, at an equal number of images",
    ),
    Ordering(
        "alternating moves are steadier than simultaneous ones",
        "Gidel et al. 2019, [arXiv:1807.04740](https://arxiv.org/abs/1807.04740), bilinear games",
        "alternation",
        "alternating",
        "simultaneous",
    ),
    Ordering(
        "one move of the discriminator a round is enough",
        _GOODFELLOW,
        "alternation",
        "alternating",
        "5 discriminator moves",
        remark="at an equal number of images the generator moves less often",
    ),
    Ordering(
        "two time scales are ahead of one rate",
        "Heusel et al. 2017, [arXiv:1706.08500](https://arxiv.org/abs/1706.08500)",
        "alternation",
        "two time scales (D 8e-4, G 2e-4)",
        "alternating",
        remark="the slow player is slower than in the base, and the budget is short",
    ),
    Ordering(
        "optimistic Adam is ahead of Adam",
        "Daskalakis et al. 2018, [arXiv:1711.00141](https://arxiv.org/abs/1711.00141)",
        "alternation",
        "optimistic Adam",
        "alternating",
    ),
    _guideline("batch norm in both networks", "no batch norm"),
    _guideline("no norm on G's output and D's input", "batch norm also on G's output, D's input"),
    _guideline("strides instead of pooling", "pooling and repetition instead of strides"),
    _guideline("leaky ReLU in D", "ReLU in D"),
    _guideline("ReLU in G's hidden layers", "tanh in G's hidden layers"),
    _guideline("Adam's beta1 of 0.5 instead of 0.9", "Adam's beta1 0.9"),
    Ordering(
        "no hidden dense layers",
        _DCGAN,
        "dcgan_guidelines",
        "no hidden dense layer in D, as in the paper",
        "the quickstart",
        remark="at 28 px a dense layer of D sees the whole garment",
    ),
    Ordering(
        "a projection is ahead of labels as inputs, within classes",
        _MIYATO,
        "conditioning",
        "projection",
        "label beside x and z",
        "intra_fid",
    ),
    Ordering(
        "a projection is ahead of an auxiliary classifier, within classes",
        _MIYATO,
        "conditioning",
        "projection",
        "auxiliary classifier",
        "intra_fid",
    ),
    Ordering(
        "a sliced last layer is ahead of a plain one, hinge loss",
        _SAN,
        "slicing",
        "hinge, sliced",
        "hinge",
        remark="two seeds",
    ),
    Ordering(
        "a sliced last layer is ahead of a plain one, non-saturating loss",
        _SAN,
        "slicing",
        "non-saturating, sliced",
        "non-saturating",
        remark="two seeds",
    ),
    _cycle("CycleGAN's loss is ahead of its GAN losses alone", "GAN alone"),
    _cycle("CycleGAN's loss is ahead of the cycle loss alone", "cycle alone"),
    _cycle("two cycles are ahead of the forward one", "GAN + forward cycle"),
    _cycle("two cycles are ahead of the backward one", "GAN + backward cycle"),
    Ordering(
        "with few pictures DiffAugment is ahead of no augmentation",
        "Zhao et al. 2020, [arXiv:2006.10738](https://arxiv.org/abs/2006.10738)",
        "augment",
        "DiffAugment",
        "none",
        "held_out_kid",
        remark="500 pictures for 768 epochs, too short to over-fit; distance to held-out ones",
    ),
    Ordering(
        "pictures of a GAN are sharper than those of a VAE",
        "Larsen et al. 2016, [arXiv:1512.09300](https://arxiv.org/abs/1512.09300)",
        "gan_vs_vae",
        "GAN",
        "VAE, Gaussian",
        "sharpness",
        "higher",
        remark="fine detail as a share of that of real pictures",
    ),
)


def table() -> str:
    """All orderings: what a paper says, what was found here, and whether it holds."""
    rows = [
        "| a paper says | source | quantity | here | holds here? |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in ORDERINGS:
        here = f"{one.read(one.ahead)} beside {one.read(one.behind)}"
        found = f"{one.verdict()}; {one.remark}" if one.remark else one.verdict()
        arrow = {"lower": "↓", "higher": "↑"}[one.better]
        name = f"[{one.metric} {arrow}](ablations.md#{one.table.replace('_', '-')})"
        rows.append(f"| {one.says} | {one.source} | {name} | {here} | {found} |")
    return "\n".join(rows)
