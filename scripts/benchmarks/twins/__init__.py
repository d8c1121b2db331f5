"""Plain PyTorch (CPU, channels_last) twins of the benchmark's cases: the same arithmetic.

`tests/scripts/test_twins.py` holds them to it: the same parameters,
and the same losses round by round.
"""

from benchmarks.twins import contrast, features, noise, projected, styles, text, translators
from benchmarks.twins.common import Twin

TWINS = {
    "gan_mlp": noise.mlp,
    "dcgan": noise.dcgan,
    "cgan": noise.cgan,
    "vae": noise.vae,
    "pix2pix": translators.pix2pix,
    "cyclegan": translators.cyclegan256,
    "cyclegan_translate": translators.cyclegan_translate,
    "stylegan": styles.stylegan,
    "stylegan2": styles.stylegan2,
    "stylegan2_lazy": styles.stylegan2_lazy,
    "dcgan_r1": noise.dcgan_r1,
    "projected": projected.projected,
    "cut": contrast.cut,
    "text_to_image": text.text_to_image,
    "features": features.features,
}
__all__ = ["TWINS", "Twin"]
