"""The page to play with: its server over HTTP, and itself in a headless browser."""

import io
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from threading import Thread

import jax
import numpy as np
import pytest
from helpers.command_line import run
from helpers.toy_styles import LAYERS, SIDE, W, make_space
from PIL import Image

from gan_jax.commands import explore
from gan_jax.editing import explorer
from gan_jax.editing.explorer import EditRequest, read_request
from gan_jax.editing.style_space import Direction, sefa
from gan_jax.errors import UserError

BRIGHTER = Direction("brighter <b>", np.eye(W, dtype=np.float32)[0])
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def made():
    space = make_space()
    found = [BRIGHTER, *sefa(space, range(LAYERS), 2)]
    return explorer.make_explorer(space, found, title="toy & run, round 2")


@pytest.fixture(scope="module")
def address(made):
    with explorer.serve(made, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def get(url):
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.headers["Content-Type"], reply.read()


def picture(address, query):
    kind, content = get(f"{address}/picture?{query}")
    assert kind == "image/png"
    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_a_request_is_read_from_the_query():
    found = read_request("seed=3&psi=-0.5&other=4&mix=0,2-3&edit=coarse&noise=2&d1=1.5", 4, 2)
    assert found == EditRequest(3, -0.5, 4, (0, 2, 3), (0, 1), 2, ((1, 1.5),))
    assert read_request("", 4, 0) == EditRequest(edit=(0, 1, 2, 3))
    assert read_request("mix=&edit=", 4, 0) == EditRequest()


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("seed=-1", "seed = '-1': a whole number from 0"),
        ("seed=1.5", "a whole number"),
        ("psi=nan", "psi = 'nan': a number from -2 to 2"),
        ("psi=7", "from -2 to 2"),
        ("mix=0-9", "not within 0-3"),
        ("edit=corse", "'coarse'"),
        ("d7=1", "no parameter 'd7'"),
        ("d0=100", "d0 = '100': a number from -6 to 6"),
        ("sede=1", "did you mean 'seed'"),
    ],
)
def test_a_bad_parameter_is_400_and_one_line(address, query, complaint):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(f"{address}/picture?{query}")
    text = error.value.read().decode()
    assert error.value.code == 400
    assert complaint in text and text.count("\n") == 1
    error.value.close()


def test_an_unknown_path_is_404(address):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(f"{address}/pictures")
    assert error.value.code == 404
    error.value.close()


def test_a_picture_is_what_the_request_says(address, made):
    plain = picture(address, "seed=3&psi=1")
    assert plain.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(plain, picture(address, "seed=3&psi=1"))
    np.testing.assert_array_equal(
        picture(address, "seed=3&psi=0"), picture(address, "seed=8&psi=0")
    )
    assert (plain != picture(address, "seed=3&psi=1&noise=1")).any()
    assert (plain != picture(address, "seed=8&psi=1")).any()
    np.testing.assert_array_equal(plain, picture(address, "seed=8&psi=1&other=3&mix=all"))
    np.testing.assert_array_equal(plain, picture(address, "seed=3&psi=1&other=8&mix="))


def test_sliders_push_in_the_chosen_layers(address):
    left = [
        picture(address, f"seed=0&psi=0&d0={strength}&edit={layers}")[:, : SIDE // 2].mean()
        for strength, layers in ((-3, "all"), (3, ""), (3, "0"), (3, "all"))
    ]
    assert left == sorted(left) and len(set(left)) == 4


def test_nothing_compiles_while_a_slider_is_dragged(made):
    made.draw(EditRequest(push=((0, 1.0),)))
    events = []

    def listen(name, *_, **__):
        events.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    for n in range(5):
        made.draw(EditRequest(seed=n, psi=0.1 * n, mix=(n % 4,), edit=(0,), push=((0, 0.3 * n),)))
        made.draw(EditRequest(noise=n + 1))
    jax.monitoring.unregister_event_duration_listener(listen)
    assert not [name for name in events if "compile" in name]


def test_the_time_of_a_picture_is_the_median_with_its_png(monkeypatch):
    seconds = iter([0.010, 9.0, 0.020])
    now = [5.0]
    monkeypatch.setattr(explorer.time, "perf_counter", lambda: now[0])

    def draw(_):
        now[0] += next(seconds)
        return np.zeros((4, 4, 1), np.uint8)

    def png(picture):
        now[0] += 0.001
        return b""

    monkeypatch.setattr(explorer, "png", png)
    slow = explorer.Explorer(draw, [], layers=4, size=4, title="")
    assert explorer.milliseconds(slow, 3) == pytest.approx(21.0)


def test_the_page_holds_all_it_needs(address):
    kind, content = get(address + "/")
    text = content.decode()
    assert kind == "text/html; charset=utf-8"
    assert "<title>toy &amp; run, round 2</title>" in text
    assert '"brighter \\u003cb>"' in text and "<b>" not in text
    outside = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)(\w+:)?//""", text)
    assert not outside and "FACTS" not in text


def test_a_taken_port_is_one_clear_line(made, address):
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
        explorer.serve(made, "127.0.0.1", port)


def test_explore_refuses_a_game_without_styles(trained, capsys):
    assert run(explore, trained, "--port", 0) == 2
    assert "styles" in capsys.readouterr().err
    assert run(explore, trained, "--port", 70000) == 2
    assert "65535" in capsys.readouterr().err


def in_browser(address, folder):
    """The page's elements after its scripts have run."""
    assert BROWSER is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={folder}", "--virtual-time-budget=8000", "--dump-dom"]
    return subprocess.run(
        [BROWSER, *flags, address + "/"], capture_output=True, text=True, timeout=90, check=True
    ).stdout


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@needs_browser
def test_the_page_draws_both_pictures_in_a_browser(address, tmp_path):
    shown = in_browser(address, tmp_path)
    assert len(re.findall(r'<img id="[ab]"[^>]* src="blob:', shown)) == 2
    assert re.search(r'id="status"[^>]*>\d+ ms a picture<', shown)
    assert "brighter &lt;b&gt;" in shown and 'data-ready="true"' in shown


DRAG = """
<script>
for (let n = 0; n <= 100; n++) {
  $("d0").value = n / 50;
  $("d0").dispatchEvent(new Event("input"));
}
$("mix").value = "0-77";
$("mix").dispatchEvent(new Event("input"));
</script>
"""


@needs_browser
def test_a_dragged_slider_asks_for_its_last_place_only(address, tmp_path, monkeypatch):
    """A hundred moves while the first request is under way; then layers that there are not."""
    dragged = tmp_path / "dragged.html"
    dragged.write_text(explorer.PAGE.read_text().replace("</body>", DRAG + "</body>"))
    asked, respond = [], explorer.respond
    monkeypatch.setattr(explorer, "PAGE", dragged)
    monkeypatch.setattr(explorer, "respond", lambda *x: asked.append(x[1]) or respond(*x))
    shown = in_browser(address, tmp_path / "profile")
    pictures = [one for one in asked if one.startswith("/picture?seed=0")]
    assert len(pictures) == 2
    assert "d0=2" in pictures[-1] and "d0" not in pictures[0]
    assert 'class="bad"' in shown and "is not within 0-3" in shown
