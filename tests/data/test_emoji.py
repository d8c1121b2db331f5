"""The pictures that come with the package: emoji, pairs of them, and drawn faces."""

import hashlib
import itertools

import numpy as np
import pytest

from gan_jax.data.builders import DECLARED, avatars, emoji
from gan_jax.data.pipeline import batches, open_source

STYLES = {
    "emoji_noto": "noto",
    "emoji_twemoji": "twemoji",
    "emoji_fluent_flat": "fluentflat",
    "emoji_fluent_3d": "fluent3d",
}

COUNTS = {  # train, test; the sums are the packages' counts of emoji without skin tones
    "emoji_noto": (1482, 168),
    "emoji_twemoji": (1682, 188),
    "emoji_fluent_flat": (1436, 158),
    "emoji_fluent_3d": (1438, 161),
    "emoji_pairs": (1406, 156),
    "emoji_noto_twemoji": (739, 162),
    "avatars": (1786, 214),
}


@pytest.fixture(scope="module")
def styles():
    """All emoji of all styles, read from the archives once."""
    return {style: emoji.read_style(style) for style in STYLES.values()}


def opened(name, split="train"):
    return open_source(name, split=split, resolution=64, channels=3)


def everything(source):
    return source.records.take(np.arange(source.size))


def pictures(images):
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


@pytest.fixture(scope="module")
def code_of(styles):
    """Code points by style and pixels; drawn alike counts as the same."""
    return {
        style: {
            key: emoji.representative(code)
            for code, key in zip(some, pictures(one.image for one in some.values()), strict=True)
        }
        for style, some in styles.items()
    }


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_counts_of_the_splits(name):
    sizes = tuple(opened(name, split).size for split in ("train", "test"))
    assert sizes == COUNTS[name]


def test_about_one_emoji_in_ten_is_for_testing(styles):
    codes = set().union(*styles.values())
    share = np.mean([emoji.in_test_split(code) for code in codes])
    assert abs(share - 1 / emoji.TEST_SHARE) < 0.01


def test_an_emoji_is_on_one_side_in_all_styles(code_of):
    seen = {"train": set(), "test": set()}
    for (name, style), split in itertools.product(STYLES.items(), seen):
        seen[split] |= {
            code_of[style][key] for key in pictures(everything(opened(name, split))["image"])
        }
    assert not seen["train"] & seen["test"]
    assert len(seen["train"]) > 1600 and len(seen["test"]) > 150


def test_no_drawing_is_on_both_sides_of_any_style(styles):
    for some in styles.values():
        sides = ({}, {})
        for code, one in some.items():
            sides[emoji.in_test_split(code)][one.image.tobytes()] = code
        assert not sides[0].keys() & sides[1].keys()


def test_the_sides_never_change():
    codes = ["1F600", "1F34E", "1F468-200D-1F680", "2764", "1F431", "1F1E9-1F1EA"]
    text = "".join(
        f"{code} {emoji.hash_code(code, 'test')} {emoji.hash_code(code, 'half')}" for code in codes
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "bd75f28ce4cdea54"  # golden


@pytest.mark.parametrize("name", sorted(STYLES))
def test_a_style_has_pictures_groups_captions_and_vectors(name, styles):
    source = opened(name, "test")
    whole = everything(source)
    assert source.class_names == emoji.GROUPS and source.num_classes == 9
    assert whole["image"].shape == (source.size, 64, 64, 3) and whole["image"].dtype == np.uint8
    assert whole["text"].shape == (source.size, 384) and whole["text"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(whole["text"], axis=1), 1.0, rtol=1e-5)
    assert source.captions is not None
    captions, vectors = source.captions(), emoji.read_embeddings()
    known = {one.caption: (one, vectors[code]) for code, one in styles[STYLES[name]].items()}
    for row, caption in enumerate(captions):
        one, vector = known[caption]
        np.testing.assert_array_equal(whole["image"][row], one.image)
        np.testing.assert_array_equal(whole["text"][row], vector)
        assert emoji.GROUPS[whole["label"][row]] == one.group


def test_captions_are_names_and_tags():
    assert emoji.caption("red apple", "fruit|red") == "red apple: fruit, red"
    assert emoji.caption("red apple", "") == "red apple"


def test_near_meanings_have_near_vectors(styles):
    vectors = emoji.read_embeddings()
    by_name = {one.caption.split(":")[0]: vectors[code] for code, one in styles["noto"].items()}
    apple = by_name["red apple"]
    assert apple @ by_name["green apple"] > 0.5 > apple @ by_name["locomotive"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_pairs_are_the_flat_and_the_modelled_of_one_emoji(split, styles):
    source = opened("emoji_pairs", split)
    whole = everything(source)
    flat, solid = styles["fluentflat"], styles["fluent3d"]
    assert source.captions is not None and "image" not in whole
    code_of_caption = {one.caption: code for code, one in flat.items()}
    for row, caption in enumerate(source.captions()):
        code = code_of_caption[caption]
        np.testing.assert_array_equal(whole["x"][row], flat[code].image)
        np.testing.assert_array_equal(whole["y"][row], solid[code].image)


def test_the_other_direction_exchanges_the_pictures_and_leaves_the_captions():
    plain, turned = (
        open_source("emoji_pairs", split="test", resolution=64, channels=3, direction=way)
        for way in ("x2y", "y2x")
    )
    assert plain.captions is not None and turned.captions is not None
    assert plain.captions() == turned.captions()
    for one, other in ("xy", "yx"):
        np.testing.assert_array_equal(everything(plain)[one], everything(turned)[other])


def test_the_other_direction_exchanges_the_sides():
    source = open_source("emoji_noto_twemoji", resolution=64, channels=3, direction="y2x")
    assert [list(side[0]) for side in source.sides] == [["y"], ["x"]]
    np.testing.assert_array_equal(
        source.sides[1][0]["x"], opened("emoji_noto_twemoji").records[0]["y"]
    )


def test_domains_to_translate_are_never_seen_in_pairs(code_of):
    whole = everything(opened("emoji_noto_twemoji"))
    xs = {code_of["noto"][key] for key in pictures(whole["x"])}
    ys = {code_of["twemoji"][key] for key in pictures(whole["y"])}
    assert not xs & ys
    assert min(len(xs), len(ys)) > 650
    assert not any(emoji.in_test_split(code) for code in xs | ys)


def test_domains_to_translate_are_tested_on_true_counterparts(code_of):
    whole = everything(opened("emoji_noto_twemoji", "test"))
    xs = [code_of["noto"][key] for key in pictures(whole["x"])]
    ys = [code_of["twemoji"][key] for key in pictures(whole["y"])]
    assert xs == ys and all(emoji.in_test_split(code) for code in xs)


@pytest.mark.parametrize(
    ("split", "sides"),
    [("train", 2), ("train[:50%]", 2), ("train+test", 2), ("all", 2), ("test", 0), ("test[:9]", 0)],
)
def test_rows_of_the_two_domains_correspond_on_the_test_side_only(split, sides):
    assert len(opened("emoji_noto_twemoji", split).sides) == sides


def test_domains_to_translate_are_drawn_independently():
    source = opened("emoji_noto_twemoji", "train[:90%]")
    met = []
    stream = batches(source, batch_size=len(source.records), seed=0)
    for batch in itertools.islice(stream, 2):
        met.append(list(zip(pictures(batch["x"]), pictures(batch["y"]), strict=True)))
    stream.close()
    assert {x for x, _ in met[0]} == {x for x, _ in met[1]}
    assert {y for _, y in met[0]} == {y for _, y in met[1]}
    assert len(set(met[0]) & set(met[1])) < 12  # on average one row meets again


def test_both_pictures_of_a_pair_are_mirrored_together():
    source = opened("emoji_pairs", "test")
    whole = everything(source)
    row_of = {key: row for row, key in enumerate(pictures(whole["x"]))}
    row_of |= {key: row for row, key in enumerate(pictures(whole["x"][:, :, ::-1]))}
    stream = batches(source, batch_size=len(source.records), seed=3, flip=True)
    batch = next(stream)
    stream.close()
    rows = [row_of[key] for key in pictures(batch["x"])]
    plain = {one: (batch[one] == whole[one][rows]).all(axis=(1, 2, 3)) for one in "xy"}
    turned = {one: (batch[one] == whole[one][rows, :, ::-1]).all(axis=(1, 2, 3)) for one in "xy"}
    assert ((plain["x"] & plain["y"]) | (turned["x"] & turned["y"])).all()
    mirrored = ~(plain["x"] & plain["y"])
    assert 0.3 < mirrored.mean() < 0.7


def test_avatars_have_a_face_as_label_and_equal_pictures_on_one_side():
    train, test = (opened("avatars", split) for split in ("train", "test"))
    assert train.class_names == avatars.FACES
    faces = np.bincount(everything(train)["label"], minlength=30)
    assert faces.min() > 30 and faces.max() < 100
    sides = [set(pictures(everything(one)["image"])) for one in (train, test)]
    assert not sides[0] & sides[1]


def test_avatars_keep_every_attribute_in_the_prepared_set():
    features = set(DECLARED["avatars"].features())
    assert features == {"image", "label", *avatars.ATTRIBUTES}
    with np.load(avatars.EMBEDDED) as archive:
        assert {f"attr_{name}" for name in avatars.ATTRIBUTES} == set(archive.files) - {"images"}


def test_every_embedded_file_has_its_licence():
    text = (emoji.EMBEDDED / "LICENSES.md").read_text()
    parts = [part for part in text.split("\n## ") if part.startswith("`")]
    entries = {name: part for part in parts for name in part.splitlines()[0].split("`")[1::2]}
    files = [file for file in emoji.EMBEDDED.iterdir() if file.name != "LICENSES.md"]
    assert {file.name for file in files} == set(entries)
    for entry in entries.values():
        for row in ("what", "made by", "attribution", "licence", "obtained from", "changed"):
            assert f"| {row} |" in entry


def test_the_embedded_files_stay_small():
    assert sum(file.stat().st_size for file in emoji.EMBEDDED.iterdir()) <= 40e6


def test_attributions_are_in_the_descriptions_of_the_sets():
    assert "Copyright Twitter, Inc and other contributors, CC-BY 4.0" in (
        DECLARED["emoji_twemoji"].licence
    )
    assert "Google" in DECLARED["emoji_noto_twemoji"].licence
