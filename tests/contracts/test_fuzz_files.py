"""Whatever lies in a file loads in the right shape and range, or is one line that names the file.

Pictures, archives, sounds and captions, whole and damaged. `GAN_JAX_FUZZ=1000` searches by chance,
as in test_fuzz.
"""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from helpers.fuzz import bounded
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from gan_jax.data import captions, images, world
from gan_jax.data.decoding import BadImageError, Preprocessing, decode
from gan_jax.data.listing import Listing, list_images, read_file
from gan_jax.errors import UserError

PREPROCESSING = Preprocessing(8, 3, "lanczos", "center")


def one_line(message):
    return message.strip() and "\n" not in message and "\r" not in message


# --- pictures -------------------------------------------------------------------------------------


def noise(mode, size=(13, 11)):
    image = Image.effect_noise(size, 90)
    return image if mode == "L" else image.convert(mode)


def encoded(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def sixteen_bits():
    values = np.arange(13 * 11, dtype=np.uint16).reshape(11, 13) * 457
    return Image.fromarray(values)


def frames():
    return {"save_all": True, "append_images": [noise("RGB"), noise("RGB")], "duration": 40}


PICTURES = {
    "png": encoded(noise("RGB"), "png"),
    "png_grey": encoded(noise("L"), "png"),
    "png_16_bits": encoded(sixteen_bits(), "png"),
    "png_palette": encoded(noise("P"), "png", transparency=3),
    "png_bilevel": encoded(noise("1"), "png"),
    "png_alpha": encoded(noise("RGBA"), "png"),
    "png_grey_alpha": encoded(noise("LA"), "png"),
    "png_animated": encoded(noise("RGB"), "png", **frames()),
    "png_one_pixel": encoded(noise("RGB", (1, 1)), "png"),
    "png_thin": encoded(noise("RGB", (200, 1)), "png"),
    "jpeg": encoded(noise("RGB"), "jpeg"),
    "jpeg_grey": encoded(noise("L"), "jpeg"),
    "jpeg_cmyk": encoded(noise("CMYK"), "jpeg"),
    "jpeg_progressive": encoded(noise("RGB"), "jpeg", progressive=True),
    "webp": encoded(noise("RGB"), "webp"),
    "webp_lossless": encoded(noise("RGBA"), "webp", lossless=True),
    "webp_animated": encoded(noise("RGB"), "webp", **frames()),
    "gif": encoded(noise("P"), "gif"),
    "gif_animated": encoded(noise("RGB"), "gif", **frames()),
    "tiff": encoded(noise("RGB"), "tiff", compression="tiff_lzw"),
    "bmp": encoded(noise("RGB"), "bmp"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", PICTURES)
def test_every_kind_of_whole_picture_loads(kind, channels):
    square = decode(PICTURES[kind], PREPROCESSING._replace(channels=channels))
    assert square.shape == (8, 8, channels) and square.dtype == np.uint8


@st.composite
def damaged(draw, corpus):
    """A file of the corpus: cut, with wrong bytes, with a piece repeated, with extreme numbers."""
    data = bytearray(corpus[draw(st.sampled_from(sorted(corpus)))])
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        # headers are short, and where it hurts most
        place = draw(st.integers(0, len(data) - 1) | st.integers(0, min(63, len(data) - 1)))
        match draw(st.sampled_from(("cut", "flip", "fill", "repeat", "extreme"))):
            case "cut":
                del data[place:]
            case "flip":
                data[place] ^= draw(st.integers(1, 255))
            case "fill":
                data[place : place + 16] = bytes([draw(st.integers(0, 255))]) * 16
            case "repeat":
                data[place:place] = data[place : place + 24]
            case "extreme":
                number = draw(st.sampled_from((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1)))
                order = draw(st.sampled_from("<>"))
                data[place : place + 4] = struct.pack(order + "I", number)
    return bytes(data)


@bounded(150)
@given(damaged(PICTURES))
def test_a_damaged_picture_loads_or_says_why_not(data):
    try:
        square = decode(data, PREPROCESSING)
    except BadImageError as error:
        assert one_line(str(error))
    else:
        assert square.shape == (8, 8, 3) and square.dtype == np.uint8


def png(width, height, depth=8, colour=2, rows=b""):
    """A PNG by hand, whose header says what it likes."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def gif(width, height):
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3) + b"," + bytes(9) + b"\x02\0;"


CRAFTED = {
    "bomb.png": (png(60_000, 60_000), "million pixels"),
    "bomb_of_warning.png": (png(10_000, 10_000), "million pixels"),
    "bomb.gif": (gif(65535, 65535), ""),
    "no_width.png": (png(0, 5), ""),
    "no_side.gif": (gif(0, 0), ""),
    "negative.png": (png(2**32 - 1, 1), ""),
    "no_rows.png": (png(5, 5), ""),
    "odd_depth.png": (png(5, 5, depth=7), ""),
    "odd_colour.png": (png(5, 5, colour=5), ""),
    "empty.jpg": (b"", "it is empty"),
    "only_a_start.jpg": (b"\xff\xd8\xff\xe0", ""),
    "text.webp": (b"RIFF\xff\xff\xff\xffWEBPVP8 ", ""),
}


def folder(path, files):
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return str(path)


def open_folder(path, on_bad_image="fail"):
    return images.open_folder(
        path, split="train", preprocessing=PREPROCESSING, on_bad_image=on_bad_image
    )


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_header_is_one_line_with_the_files_name(name, tmp_path):
    data, why = CRAFTED[name]
    with pytest.raises(UserError, match=rf"{name}: .*{why}") as caught:
        open_folder(folder(tmp_path / "set", {"a.png": PICTURES["png"], name: data}))
    assert one_line(str(caught.value))


def test_all_kinds_side_by_side_with_the_damaged_left_out(tmp_path):
    files = {f"{kind}.{kind.split('_')[0]}": data for kind, data in PICTURES.items()}
    path = folder(tmp_path / "set", files | {name: data for name, (data, _) in CRAFTED.items()})
    source = images.open_folder(
        path, split="train+test", preprocessing=PREPROCESSING, on_bad_image="skip"
    )
    assert source.size == len(PICTURES)
    assert source.records.take(np.arange(source.size))["image"].shape == (len(PICTURES), 8, 8, 3)


def archive():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, how in (("a.png", zipfile.ZIP_STORED), ("b.png", zipfile.ZIP_DEFLATED)):
            made.writestr(name, PICTURES["png"], how)
        made.writestr("c.png", PICTURES["png"], zipfile.ZIP_LZMA)
        made.writestr("d.png", PICTURES["png"], zipfile.ZIP_BZIP2)
    return out.getvalue()


@bounded(80)
@given(damaged({"zip": archive()}))
def test_a_damaged_archive_loads_or_says_why_not(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(data)
    try:
        listing = list_images(path)
    except UserError as error:
        assert one_line(str(error)) and "damaged.zip" in str(error)
        return
    for name in listing.names:
        try:
            decode(read_file(listing, name), PREPROCESSING)
        except BadImageError as error:
            assert one_line(str(error))


def test_a_wrong_byte_anywhere_in_an_archive_is_a_reason(tmp_path):
    """Each way to compress has errors of its own, such as lzma's, which are no OSError."""
    data, path, reasons = archive(), tmp_path / "damaged.zip", set()
    for place in range(40, 3 * len(data) // 4, 11):  # its directory stands at the end
        path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        listing = list_images(path)
        for name in listing.names:
            try:
                read_file(listing, name)
            except BadImageError as error:
                assert one_line(str(error))
                reasons.add(type(error.__cause__).__name__)
    assert "LZMAError" in reasons and len(reasons) > 1


# --- sounds ---------------------------------------------------------------------------------------


def wav(values, rate=16000, channels=1, kind="<i2", tag=None):
    """A WAV by hand: of any rate and kind of number, channels interleaved."""
    values = np.asarray(values)
    if kind == "i3":
        whole = np.asarray(values, "<i4").view(np.uint8).reshape(-1, 4)
        data, width = whole[:, :3].tobytes(), 3
    else:
        data, width = values.astype(kind).tobytes(), np.dtype(kind).itemsize
    tag = tag or (3 if "f" in kind else 1)
    block = width * channels
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block % 2**32, block, 8 * width)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


TONE = np.sin(np.arange(4000) * 0.1)
SOUNDS = {
    "16 bits": wav(20000 * TONE),
    "24 bits": wav(2**22 * TONE, kind="i3"),
    "32 bits": wav(2**30 * TONE, kind="<i4"),
    "8 bits": wav(128 + 100 * TONE, kind="u1"),
    "float": wav(TONE, kind="<f4"),
    "double": wav(TONE, kind="<f8"),
    "loud float": wav(50 * TONE, kind="<f4"),
    "12 channels": wav(np.repeat(20000 * TONE, 12), channels=12),
    "11,025 Hz": wav(20000 * TONE, 11025),
    "44,101 Hz": wav(np.tile(20000 * TONE, 4), 44101),
}
SHORT = {  # a tenth of a second at the lowest rate: hypothesis prints what fails
    "16 bits": wav(20000 * TONE[:400], 4000),
    "8 bits": wav(128 + 100 * TONE[:400], 4000, kind="u1"),
    "24 bits": wav(2**22 * TONE[:400], 4000, kind="i3"),
    "float": wav(TONE[:400], 4000, kind="<f4"),
    "two channels": wav(20000 * TONE[:800], 4000, channels=2),
}
BAD_SOUNDS = {
    "empty file": (b"", "readable"),
    "no samples": (wav([]), "0.000 s"),
    "header alone": (SOUNDS["16 bits"][:30], "readable"),
    "NaN": (wav(TONE * np.nan, kind="<f4"), "not finite"),
    "infinite": (wav(np.full(4000, np.inf), kind="<f4"), "not finite"),
    "silence": (wav(0 * TONE), "silent"),
    "opposite channels": (wav(np.outer(20000 * TONE, (1, -1)).ravel(), channels=2), "silent"),
    "garbage": (bytes(range(256)) * 8, "readable"),
    "rate 0": (wav(20000 * TONE, 0), ""),
    "rate 1": (wav(20000 * TONE, 1), "1 Hz"),
    "rate of a radio": (wav(np.tile(20000 * TONE, 99), 3_000_017), "3000017 Hz"),
}


@pytest.fixture(scope="module")
def sound():
    pytest.importorskip("soundfile")
    pytest.importorskip("pyworld")


def heard(path):
    """A sound as it reaches the analysis, checked."""
    wave, rate = world.read_wave(path)
    assert wave.ndim == 1 and wave.dtype == np.float32 and np.isfinite(wave).all()
    assert 0.0 < np.abs(wave).max() <= 1.0
    return wave, rate


@pytest.mark.parametrize("kind", SOUNDS)
def test_every_kind_of_whole_sound_loads(kind, tmp_path, sound):
    (tmp_path / "a.wav").write_bytes(SOUNDS[kind])
    wave, rate = heard(tmp_path / "a.wav")
    assert len(wave) in (4000, 16000) and rate in (16000, 11025, 44101)
    speech = world.analyse(world.resample(wave, rate, min(rate, 16000)), min(rate, 16000))
    assert np.isfinite(speech.mcep).all() and len(speech.mcep) == len(speech.f0)


@pytest.mark.parametrize("kind", BAD_SOUNDS)
def test_a_bad_sound_is_one_line_with_the_files_name(kind, tmp_path, sound):
    data, why = BAD_SOUNDS[kind]
    (tmp_path / "odd.wav").write_bytes(data)
    with pytest.raises(UserError, match=rf"odd\.wav: .*{why}") as caught:
        heard(tmp_path / "odd.wav")
    assert one_line(str(caught.value))


@bounded(100)
@given(damaged(SHORT))
def test_a_damaged_sound_loads_or_is_named(tmp_path_factory, sound, data):
    path = tmp_path_factory.getbasetemp() / "damaged.wav"
    path.write_bytes(data)
    try:
        heard(path)
    except UserError as error:
        assert one_line(str(error)) and "damaged.wav" in str(error)


# --- captions -------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(), max_size=30)  # lone surrogates as well, which JSON can say
ODD = {
    "emoji": "a 👩‍🚀 on the 🌕, e\u0301clair",
    "right to left": "تفاحة חתול \u202eelppa",
    "many words": "word " * 10_000,
    "NUL": "a\0b",
    "signs": "?! …",
    "one letter": "x",
    "line separator": "a\u2028b",
}


def listing(files):
    """Files in memory as a folder has them, with one picture."""
    files = {"a.png": PICTURES["png"], **files}
    stamps = tuple((name, len(data), 0) for name, data in sorted(files.items()))
    wanted = tuple(one for one in stamps if one[0].endswith(".png"))
    return Listing(wanted, tuple(one for one in stamps if one not in wanted), files.__getitem__)


def read_captions(tmp_path, files):
    found, _ = captions.find_captions(tmp_path, listing(files))
    vector = captions.hash_caption(found["a.png"])
    found["a.png"].encode()
    assert vector.shape == (captions.EMBEDDING_SIZE,) and vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    return found["a.png"]


def line(caption):
    return json.dumps({"file": "a.png", "caption": caption}).encode()


@bounded(100)
@given(TEXTS)
@example("\ud800")
@example("\U000f87ce")  # whose features cancel out
@example("")
def test_any_caption_is_read_or_refused_by_the_name_of_its_file(tmp_path_factory, caption):
    here = tmp_path_factory.getbasetemp()
    try:
        found = read_captions(here, {"captions.jsonl": line(caption)})
    except UserError as error:
        assert one_line(str(error)) and "captions.jsonl" in str(error)
    else:
        assert found == " ".join(caption.split())


@bounded(100)
@given(
    st.sampled_from(("captions.jsonl", "captions.csv", "a.txt")),
    st.binary(max_size=80)
    | damaged({"jsonl": line("a red apple") + b"\n", "csv": b"file,caption\na.png,a red apple\n"}),
)
@example("captions.jsonl", b"[" * 9_000)
@example("captions.jsonl", b"1" * 10_000)
@example("captions.csv", b"file,caption\na.png," + b"x" * 140_000)
@example("captions.csv", b'file,caption\na.png,"\0')
def test_any_bytes_are_captions_or_refused_by_the_name_of_their_file(tmp_path_factory, name, data):
    try:
        read_captions(tmp_path_factory.getbasetemp(), {name: data})
    except UserError as error:
        assert one_line(str(error))
        assert name in str(error) or "a.png" in str(error)


def test_odd_captions_come_back_from_the_prepared_set(tmp_path):
    folder(tmp_path / "set", {f"{i}.png": PICTURES["png"] for i in range(len(ODD))})
    lines = [
        json.dumps({"file": f"{i}.png", "caption": text}) for i, text in enumerate(ODD.values())
    ]
    (tmp_path / "set" / "captions.jsonl").write_text("\n".join(lines))
    source = captions.open_captioned(
        str(tmp_path / "set"), split="train", preprocessing=PREPROCESSING, on_bad_image="fail"
    )
    assert source.captions is not None
    rows = source.records.take(np.arange(len(ODD)))["text"]
    wanted = {" ".join(text.split()) for text in ODD.values()}
    assert set(source.captions()) == wanted
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
