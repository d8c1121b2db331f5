"""Captioned folders and zips, and the vectors of captions."""

import hashlib
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.captions import hash_caption, with_class_names
from gan_jax.data.pipeline import batches, open_source
from gan_jax.errors import UserError

CAPTIONS = {"a.png": "a red apple", "sub/b.png": "a blue, round  ball"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def fill(folder, names=CAPTIONS):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 9), (index, 0, 0)).save(path)
    return folder


def as_jsonl(folder, captions):
    lines = [json.dumps({"file": name, "caption": text}) for name, text in captions.items()]
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")


def as_csv(folder, captions):
    lines = [f'{name},"{text}"' for name, text in captions.items()]
    (folder / "captions.csv").write_text("\r\n".join(["file,caption", *lines]), "utf-8-sig")


def as_texts(folder, captions):
    for name, text in captions.items():
        (folder / name).with_suffix(".txt").write_text(text + "\n")


FORMS = {"jsonl": as_jsonl, "csv": as_csv, "texts": as_texts}


def opened(path, **change):
    settings: dict[str, Any] = {"resolution": 8, "channels": 3} | change
    return open_source("captioned", path=str(path), **settings)


def refused(path, words):
    with pytest.raises(UserError, match=words) as caught:
        opened(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_each_image_has_its_caption_and_its_vector(tmp_path, form):
    FORMS[form](fill(tmp_path), CAPTIONS)
    source = opened(tmp_path)
    whole = source.records.take(np.arange(2))
    assert source.captions is not None and whole["text"].dtype == np.float32
    found = dict(zip(whole["image"][:, 0, 0, 0].tolist(), source.captions(), strict=True))
    assert found == {0: "a red apple", 1: "a blue, round ball"}
    for vector, caption in zip(whole["text"], source.captions(), strict=True):
        np.testing.assert_array_equal(vector, hash_caption(caption))


def test_batches_carry_the_vectors(tmp_path):
    as_csv(fill(tmp_path), CAPTIONS)
    stream = batches(opened(tmp_path), batch_size=2, seed=0, flip=True)
    batch = next(stream)
    stream.close()
    assert batch["text"].shape == (2, 384) and batch["image"].shape == (2, 8, 8, 3)


def test_caption_files_of_splits_name_files_from_their_own_folder(tmp_path):
    for split, text in (("train", "one"), ("test", "two")):
        as_jsonl(fill(tmp_path / split, ["a.png"]), {"a.png": text})
    for split, text in (("train", "one"), ("test", "two")):
        captions = opened(tmp_path, split=split).captions
        assert captions is not None and captions() == (text,)


def test_a_captioned_zip_is_a_folder(tmp_path):
    as_jsonl(fill(tmp_path / "set"), CAPTIONS)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in (tmp_path / "set").rglob("*.*"):
            archive.write(file, file.relative_to(tmp_path))
    captions = opened(tmp_path / "set.zip").captions
    assert captions is not None and sorted(captions()) == ["a blue, round ball", "a red apple"]


def test_a_changed_caption_is_prepared_anew(tmp_path):
    as_jsonl(fill(tmp_path), CAPTIONS)
    before = opened(tmp_path)
    as_jsonl(tmp_path, CAPTIONS | {"a.png": "a green apple"})
    after = opened(tmp_path)
    assert before.fingerprint != after.fingerprint
    assert after.captions is not None and "a green apple" in after.captions()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_images_without_caption_are_counted_and_named(tmp_path, form):
    FORMS[form](fill(tmp_path), {"a.png": "a red apple"})
    refused(tmp_path, r"1 of 2 images in .* have no caption, the first: 'sub/b.png'")


@pytest.mark.parametrize("form", sorted(FORMS))
def test_an_empty_caption_is_named(tmp_path, form):
    FORMS[form](fill(tmp_path), CAPTIONS | {"sub/b.png": "  "})
    refused(tmp_path, "the caption of 'sub/b.png' is empty")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_unknown_file_is_named_with_its_line(tmp_path, form):
    FORMS[form](fill(tmp_path), CAPTIONS | {"c.png": "absent"})
    refused(tmp_path, rf"captions\.{form}, line [34]: there is no image 'c.png'")


def test_a_second_caption_is_refused(tmp_path):
    as_jsonl(fill(tmp_path), CAPTIONS)
    as_csv(tmp_path, CAPTIONS)
    refused(tmp_path, "image 'a.png' has a caption already")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("captions.jsonl", '{"file": "a.png"}', r"captions\.jsonl, line 1 is not"),
        ("captions.jsonl", '\n{"file": "a.png",', r"captions\.jsonl, line 2 is not"),
        ("captions.jsonl", '{"file": "a.png", "caption": null}', "line 1 is not"),
        ("captions.csv", "image;text\n", "must be 'file,caption', not 'image;text'"),
        ("captions.csv", "", "must be 'file,caption', not ''"),
    ],
)
def test_a_caption_file_that_cannot_be_read_is_named(tmp_path, file, text, words):
    (fill(tmp_path) / file).write_text(text)
    refused(tmp_path, words)


def test_a_caption_file_of_another_encoding_is_named(tmp_path):
    (fill(tmp_path) / "captions.csv").write_bytes("file,caption\na.png,Zürich".encode("latin-1"))
    refused(tmp_path, r"cannot read .*captions\.csv: ")


def test_bad_images_may_be_skipped_with_their_captions(tmp_path, caplog):
    as_jsonl(fill(tmp_path), CAPTIONS)
    (tmp_path / "a.png").write_bytes(b"no image")
    source = opened(tmp_path, on_bad_image="skip")
    assert source.captions is not None and source.captions() == ("a blue, round ball",)
    assert "ignored" not in caplog.text


def test_vectors_have_length_one_and_ignore_case():
    for caption in ("a red apple", "!?", "Ünïcödé", "x"):
        assert abs(np.linalg.norm(hash_caption(caption)) - 1) < 1e-6
    np.testing.assert_array_equal(hash_caption("A Red APPLE!"), hash_caption("a red apple"))


def test_vectors_of_related_captions_are_near():
    apple = hash_caption("a red apple")
    assert (
        apple @ hash_caption("red apples") > 0.5 > abs(apple @ hash_caption("the blue whale swims"))
    )


def test_vectors_of_unrelated_words_are_nearly_orthogonal():
    words = np.stack([hash_caption(hashlib.sha256(bytes([n])).hexdigest()) for n in range(100)])
    cosines = (words @ words.T)[~np.eye(100, dtype=bool)]
    assert abs(cosines.mean()) < 0.02 and cosines.std() < 0.1


GOLDEN = {
    42: 1,
    72: -1,
    104: -1,
    111: -1,
    140: -1,
    160: -1,
    199: -1,
    226: 1,
    289: -1,
    326: 1,
    327: 1,
    348: 1,
}
"""Places and signs of 'a red apple' as this code first gave them."""


def test_vectors_never_change():
    signs = np.sign(hash_caption("a red apple")).astype(int)
    found = {int(place): int(signs[place]) for place in np.flatnonzero(signs)}
    assert found == GOLDEN


def test_the_name_of_a_class_is_a_caption_where_there_is_no_other():
    source = open_source("fashion_mnist_10k", split="test[:64]", resolution=28, channels=1)
    named = with_class_names(source)
    row = next(n for n, label in enumerate(source.records.take(np.arange(64))["label"]) if label)
    caption = named.captions()[row]
    assert caption in {name.replace("/", " ") for name in source.class_names}
    assert np.array_equal(named.records[row]["text"], hash_caption(caption))
    assert named.fingerprint != source.fingerprint
    birds = source._replace(class_names=("001.Black_footed_Albatross",) * 10)
    assert with_class_names(birds).captions()[0] == "Black footed Albatross"
    with pytest.raises(UserError, match="neither captions nor classes"):
        with_class_names(source._replace(class_names=None))
