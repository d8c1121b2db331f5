"""Faces drawn by a program for Node.js; here a stand-in in Python draws, without node or npm."""

import collections
import hashlib
import itertools
import json
import os
import sys

import numpy as np
import pytest
from scipy import stats

from gan_jax.commands import prepare_data
from gan_jax.data.builders import avatars, base, drawn_avatars, find_set
from gan_jax.data.builders.drawn_avatars import SLOTS, Faces
from gan_jax.data.pipeline import open_source
from gan_jax.data.source import cache_dir
from gan_jax.errors import UserError

RATES = {"beard": 1 / 2, "dark_skin": 2 / 5, "glasses": 1 / 2, "long_hair": 13 / 48, "mask": 1 / 4}
COUNTS = {"facialHair": (16, 1 / 2), "accessories": (8, 4 / 7), "mask": (2, 1 / 4)}
PLAIN = {"face": 30, "head": 48, "skinColor": 5, "headContrastColor": 10, "clothingColor": 7}

DRAWER = """
import json, os, sys
side = int(sys.argv[-1])
lines = sys.stdin.read().splitlines()
with open(os.environ["FACES_ASKED"], "a") as log:
    log.write(f"{len(lines)}\\n")
left = int(os.environ.get("FACES_DRAWN", len(lines)))
for line in lines[:left]:
    face = json.loads(line)
    colours = [face[name] for name in ("skinColor", "clothingColor", "headContrastColor")]
    skin, clothes, hair = map(bytes.fromhex, (colour[1:] for colour in colours))
    rest = side * side - 2 * side
    sys.stdout.buffer.write(skin * side + clothes * side + hair * rest)
if left < len(lines):
    sys.exit("the ink\\nis used up")
"""
"""Draws nothing but three colours: many faces look alike."""


@pytest.fixture
def drawer(monkeypatch, tmp_path):
    """The command of the stand-in; what it was asked for, by start, is in its log."""
    monkeypatch.setenv("FACES_ASKED", str(tmp_path / "asked"))
    return (sys.executable, "-c", DRAWER)


@pytest.fixture
def programs(drawer, monkeypatch, tmp_path):
    """Puts a `node` that is the stand-in and an idle `npm` first and only in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("node", DRAWER), ("npm", "")):
        (folder / name).write_text(f"#!{sys.executable}\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="module")
def many():
    return drawn_avatars.sample(60_000, seed=0)


def asked(tmp_path):
    return [int(line) for line in (tmp_path / "asked").read_text().split()]


def faces(count):
    drawn = drawn_avatars.sample(count, seed=0)
    return [drawn_avatars.attributes_of(drawn, row) for row in range(count)]


def test_the_attributes_are_those_of_the_embedded_faces():
    assert set(SLOTS) == set(avatars.ATTRIBUTES)
    with np.load(avatars.EMBEDDED) as archive:
        for name, slots in SLOTS.items():
            assert {str(one) for one in archive[f"attr_{name}"]} == set(slots)


@pytest.mark.parametrize("name", sorted(SLOTS))
def test_values_that_are_there_are_equally_likely(name, many):
    values, present = COUNTS.get(name, (PLAIN.get(name), 1.0))
    found = collections.Counter(SLOTS[name][place] for place in many[name])
    absent = found.pop("", 0)
    assert len(found) == values
    assert stats.binomtest(60_000 - absent, 60_000, present).pvalue > 1e-4
    assert stats.chisquare(list(found.values())).pvalue > 1e-4
    assert min(found.values()) > 1100


@pytest.mark.parametrize("pair", [*itertools.combinations(sorted(SLOTS), 2)])
def test_attributes_are_independent(pair, many):
    """2 n times their mutual information in nats is chi-square where they are."""
    names = [np.array(SLOTS[one])[many[one]] for one in pair]
    table = stats.contingency.crosstab(*names).count
    assert stats.chi2_contingency(table, lambda_="log-likelihood").pvalue > 1e-4


def test_what_faces_have_comes_at_the_rates_that_are_documented(many):
    rows = [drawn_avatars.attributes_of(many, row) for row in range(20_000)]
    for name, rule in avatars.BINARY.items():
        assert stats.binomtest(sum(map(rule, rows)), len(rows), RATES[name]).pvalue > 1e-4
    assert set(RATES) == set(avatars.BINARY)


def test_a_smaller_set_is_the_beginning_of_a_larger_one(many):
    few = drawn_avatars.sample(2000, seed=0)
    for name in SLOTS:
        np.testing.assert_array_equal(few[name], many[name][:2000])


def test_another_seed_draws_other_faces(many):
    other = drawn_avatars.sample(2000, seed=1)
    assert all((other[name] != many[name][:2000]).mean() > 0.3 for name in SLOTS)


def test_the_faces_of_a_seed_never_change():
    text = json.dumps(faces(100), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "b5b8267912847bfe"  # golden


@pytest.mark.parametrize("given", [Faces(60_000), Faces(7, 128, 3)])
def test_names_are_read_as_they_are_written(given):
    assert drawn_avatars.parse(given.name) == given
    assert drawn_avatars.parse("avatars") is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("avatars_60000", "'avatars_COUNTxSIDE', such as 'avatars_60000x64'"),
        ("avatars_0060x64", "'avatars_COUNTxSIDE'"),
        ("avatars_60x64_seed0", "'avatars_COUNTxSIDE'"),
        ("avatars_0x64", "count of drawn avatars = 0"),
        (f"avatars_{10**8 + 1}x64", f"from 1 to {10**8} is needed"),
        (f"avatars_{'9' * 5000}x64", "'avatars_COUNTxSIDE'"),
        ("avatars_60x4", "resolution of drawn avatars = 4: a number from 8 to 1024"),
        (f"avatars_60x64_seed{2**32}", f"seed of drawn avatars = {2**32}"),
    ],
)
def test_names_that_cannot_be_read_say_why(name, why):
    with pytest.raises(UserError, match=why):
        open_source(name, resolution=64, channels=3)


def test_pictures_come_in_the_order_of_the_faces(drawer):
    some = faces(20)
    pictures = list(drawn_avatars.render(drawer, some, 8))
    assert len(pictures) == 20
    for face, picture in zip(some, pictures, strict=True):
        assert picture.shape == (8, 8, 3) and picture.dtype == np.uint8
        assert bytes(picture[0, 0]).hex() == face["skinColor"][1:]
        assert bytes(picture[1, 7]).hex() == face["clothingColor"][1:]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (f"import sys; sys.stdout.write('x' * {192 + 5})", "after 1 of 3 faces: it did not write"),
        (
            f"import sys; sys.stdout.write('x' * {192 * 3 + 1})",
            "after 3 of 3 faces: it did not write",
        ),
        (f"import sys; sys.stdout.write('x' * {192 * 9})", "after 3 of 3 faces: it did not write"),
        (f"import sys; sys.stdout.write('x' * {192 * 3}); sys.exit('late')", "3 of 3 faces: late"),
        ("import sys; sys.exit('no such colour')", "after 0 of 3 faces: no such colour"),
    ],
    ids=["short", "a byte more", "pictures more", "fails at its end", "fails at once"],
)
def test_a_drawing_that_fails_says_why_in_one_line(program, why):
    with pytest.raises(UserError, match=why) as error:
        list(drawn_avatars.render((sys.executable, "-c", program), faces(3), 8))
    assert "\n" not in str(error.value)


def test_a_missing_program_says_what_to_install():
    with pytest.raises(UserError, match="no-such-node is not installed: install"):
        list(drawn_avatars.render(("no-such-node", "draw.mjs"), faces(3), 8))


def test_an_interrupted_drawing_goes_on_where_it_stopped(drawer, monkeypatch, tmp_path):
    monkeypatch.setattr(drawn_avatars, "FILE_BYTES", 192 * 10)
    monkeypatch.setenv("FACES_DRAWN", "25")
    with pytest.raises(UserError, match=r"after 25 of 40 faces: is used up"):
        drawn_avatars.draw(drawer, Faces(35, 8), tmp_path / "raw")
    monkeypatch.delenv("FACES_DRAWN")
    files = drawn_avatars.draw(drawer, Faces(35, 8), tmp_path / "raw")
    assert asked(tmp_path) == [40, 20]
    drawn = np.concatenate([drawn_avatars._load(file) for file in files])
    np.testing.assert_array_equal(drawn, [painted(face) for face in faces(40)])


def test_a_larger_set_draws_only_what_is_new(drawer, monkeypatch, tmp_path):
    monkeypatch.setattr(drawn_avatars, "FILE_BYTES", 192 * 10)
    few = drawn_avatars.draw(drawer, Faces(15, 8), tmp_path / "raw")
    more = drawn_avatars.draw(drawer, Faces(50, 8), tmp_path / "raw")
    assert more[:2] == few and asked(tmp_path) == [20, 30]
    assert drawn_avatars.draw(drawer, Faces(50, 8), tmp_path / "raw") == more
    assert asked(tmp_path) == [20, 30]


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_file_of_drawings_is_named(data, tmp_path):
    (tmp_path / "000000.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"000000\.npz is damaged: delete it"):
        drawn_avatars._load(tmp_path / "000000.npz")


@pytest.fixture
def prepared(programs, monkeypatch, capsys):
    """The name of a set that the script prepared; how it ends is checked as well."""
    words = ["avatars", "--count", "600", "--resolution", "8"]
    monkeypatch.setattr(sys, "argv", ["prepare_data.py", *words])
    prepare_data.main()
    flags = "--data.name avatars_600x8 --data.resolution 8 --data.channels 3"
    assert capsys.readouterr().out.splitlines()[-1] == f"train with: {flags}"
    return "avatars_600x8"


def test_equal_drawings_are_on_one_side(prepared):
    sides = {}
    for split in ("train", "test"):
        source = open_source(prepared, split=split, resolution=8, channels=3)
        images = source.records.take(np.arange(source.size))["image"]
        sides[split] = [image.tobytes() for image in images]
    assert len(sides["train"]) + len(sides["test"]) == 600
    assert 200 < len(set(sides["train"])) + len(set(sides["test"])) <= 350  # of 600
    assert len(sides["test"]) > len(set(sides["test"])) > 3
    assert not set(sides["train"]) & set(sides["test"])


def test_drawn_faces_have_the_attributes_they_were_drawn_with(prepared):
    source = open_source(prepared, resolution=8, channels=3)
    assert source.attributes is not None
    found = source.attributes()
    assert set(found) == set(avatars.BINARY)
    whole = source.records.take(np.arange(source.size))
    skin = whole["image"][:, 0, 0]
    for row, dark in enumerate(found["dark_skin"]):
        assert dark == (f"#{bytes(skin[row]).hex()}" in avatars.DARK)
    wanted = np.bincount(
        [
            avatars.FACES.index(face["face"])
            for face in faces(600)
            if not avatars.in_test_split(painted(face), drawn_avatars.TEST_SHARE)
        ],
        minlength=30,
    )
    np.testing.assert_array_equal(np.bincount(whole["label"], minlength=30), wanted)


def painted(face):
    """What the stand-in draws of a face."""
    names = ("skinColor", "clothingColor", *["headContrastColor"] * 6)
    rows = b"".join(bytes.fromhex(face[name][1:]) * 8 for name in names)
    return np.frombuffer(rows, np.uint8).reshape(8, 8, 3)


def test_every_attribute_is_kept_as_text(prepared):
    declared = find_set(prepared)
    assert declared is not None
    made = base.builder(declared, data_dir=cache_dir() / "data")
    kept = collections.Counter(
        tuple(one[name].decode() for name in SLOTS)
        for split in ("train", "test")
        for one in made.as_data_source(split=split)
    )
    assert kept == collections.Counter(tuple(face.values()) for face in faces(600))


def test_too_few_faces_for_two_sides_are_refused(programs):
    with pytest.raises(UserError, match="avatars_1x8 has no face for 'test': a larger count"):
        prepare_data.prepare(prepare_data.Prepare("avatars_1x8"))


def test_a_set_that_is_not_prepared_says_the_command(programs):
    command = "run `gan-jax prepare-data avatars_60000x64`"
    with pytest.raises(UserError, match=command):
        open_source("avatars_60000x64", resolution=64, channels=3)


@pytest.mark.parametrize("client", ["node", "npm"])
def test_a_missing_client_says_what_to_install(programs, client):
    os.unlink(programs / client)
    with pytest.raises(UserError, match=f"^{client} is not here: install .* pass --from FOLDER"):
        prepare_data.prepare(prepare_data.Prepare("avatars_600x8"))


NPM_SAYS = """npm warn old lockfile
npm error code ENOTFOUND
npm error syscall getaddrinfo
npm error network request to the registry failed
npm error A complete log of this run can be found in: somewhere"""


def test_a_failing_npm_is_one_line_and_leaves_nothing(programs, tmp_path):
    text = f"#!{sys.executable}\nimport sys\nsys.exit({NPM_SAYS!r})"
    (programs / "npm").write_text(text)
    with pytest.raises(UserError, match=r"`npm ci .*` failed: network request .*--from") as error:
        prepare_data.prepare(prepare_data.Prepare("avatars_600x8"))
    assert "\n" not in str(error.value)
    assert not any((tmp_path / "cache" / "downloads").iterdir())


def test_packages_may_be_installed_by_hand_but_not_others(programs, tmp_path):
    folder = tmp_path / "by_hand"
    folder.mkdir()
    project = drawn_avatars.PROJECT
    for name in drawn_avatars.origin().sha256:
        (folder / name).write_bytes((project / name).read_bytes())
    os.unlink(programs / "npm")
    prepare_data.prepare(prepare_data.Prepare("avatars_600x8", folder))
    (folder / "package-lock.json").write_text("{}")
    with pytest.raises(UserError, match=r"package-lock\.json is not the expected file"):
        prepare_data.prepare(prepare_data.Prepare("avatars_601x8", folder))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"name": "maps", "count": 5}, "--count goes with avatars only, not with 'maps'"),
        ({"name": "cifar10", "seed": 0}, "--seed goes with avatars only, not with 'cifar10'"),
        ({"name": "avatars", "resolution": 64}, "--resolution of avatars needs --count too"),
        ({"name": "avatars", "count": 0}, "count of drawn avatars = 0"),
    ],
)
def test_options_of_drawing_are_for_drawn_faces(options, why):
    with pytest.raises(UserError, match=why):
        prepare_data.named(prepare_data.Prepare(**options))


def test_options_become_a_name():
    options = prepare_data.Prepare("avatars", count=50, seed=2, data_dir="a b")
    assert prepare_data.flags(prepare_data.named(options)) == (
        "--data.name avatars_50x64_seed2 --data.resolution 64 --data.channels 3 "
        "--data.data-dir 'a b'"
    )
    assert prepare_data.named(prepare_data.Prepare("avatars")).name == "avatars"


def test_every_package_is_pinned_with_a_checksum_and_no_address():
    read = {
        name: json.loads((drawn_avatars.PROJECT / name).read_text())
        for name in ("package.json", "package-lock.json")
    }
    locked = read["package-lock.json"]["packages"]
    for name, version in read["package.json"]["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
    packages = [one for name, one in locked.items() if name]
    assert all(one["integrity"].startswith("sha512-") for one in packages)
    assert not any("resolved" in one for one in packages)


def test_the_licences_name_the_versions_that_draw():
    text = (avatars.EMBEDDED.parent / "LICENSES.md").read_text()
    entry = text.split("## Not shipped: `avatars_60000x64`")[1].split("\n## ")[0]
    pins = json.loads((drawn_avatars.PROJECT / "package.json").read_text())["dependencies"]
    assert all(f"`{name}`" in entry and version in entry for name, version in pins.items())
    assert "CC0 1.0" in entry
