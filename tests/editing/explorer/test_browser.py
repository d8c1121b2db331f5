"""The page in a headless browser, for each kind of part."""

import queue
import re
import shutil
import subprocess

import numpy as np
import pytest
import screenshots
import soundfile
from helpers.explorer import served

from gan_jax.editing.explorer import page, server, voices
from gan_jax.editing.explorer.routes import Part, Request, Route, png
from gan_jax.editing.explorer.voices import Converter

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def in_browser(address, budget=8000):
    """The page's elements after its scripts have run."""
    return screenshots.elements(address + "/", (800, 600), wait_ms=budget)


def when_ready(address):
    """The page's elements once it says that all is drawn; opened again where time ran out.

    The browser's clock runs ahead of a server on a busy machine.
    """
    for budget in (8000, 30000, 120000):
        shown = in_browser(address, budget)
        if 'data-ready="true"' in shown:
            return shown
    pytest.fail("the page is never ready")


def test_the_page_draws_pictures_a_gallery_and_a_walk(address):
    shown = when_ready(address)
    assert len(re.findall(r'<img id="(?:a|b|between)"[^>]* src="blob:', shown)) == 3
    assert len(re.findall(r'aria-label="seed \d+"[^>]*background-image', shown)) == 24
    assert re.search(r'id="status"[^>]*>\d+ ms a picture<', shown)
    assert "brighter &lt;b&gt;" in shown and "towards light" in shown
    assert 'data-ready="true"' in shown and 'id="translations" hidden' in shown


DRAG = """
for (let n = 0; n <= 100; n++) {
  $("d0").value = n / 50;
  $("d0").dispatchEvent(new Event("input"));
}
$("mix").value = "0-77";
$("mix").dispatchEvent(new Event("input"));
"""


def test_a_dragged_slider_asks_for_its_last_place_only(address, tmp_path, monkeypatch):
    """A hundred moves while the first request is under way; then layers that there are not."""
    script = tmp_path / "drag.js"
    script.write_text(DRAG)
    asked, respond = [], server.respond
    monkeypatch.setattr(page, "SCRIPTS", (*page.SCRIPTS, script))
    monkeypatch.setattr(server, "respond", lambda *x: asked.append(x[2]) or respond(*x))
    shown = in_browser(address, 400)  # before the gallery is drawn
    pictures = [one for one in asked if one.startswith("/picture?seed=0")]
    assert len(pictures) == 2
    assert "d0=2" in pictures[-1] and "d0" not in pictures[0]
    assert 'class="bad"' in shown and "is not within 0-3" in shown


def test_the_page_translates_the_first_example():
    posted = []

    def translate(request: Request):
        posted.append(request)
        return png(np.zeros((8, 8, 3), np.uint8))

    facts = {
        "directions": {
            way: {"examples": 2, "compiled": [(8, 8)], "command": ["sample"]}
            for way in ("x2y", "y2x")
        },
        **{"accepts": ["image/png"], "sides": [64, 512], "multiple": 4},
    }
    routes = {
        "/translate": Route(translate, frozenset({"image/png"})),
        "/example": Route(lambda request: png(np.full((8, 8, 3), 200, np.uint8))),
    }
    with served(Part("translations", lambda: facts, routes)) as address:
        shown = when_ready(address)
    assert posted and posted[-1].query == "direction=x2y&side=512"
    assert len(re.findall(r'<img id="(?:input|output)"[^>]* src="blob:', shown)) == 2
    assert re.search(r'id="status"[^>]*>x2y in \d\.\d s<', shown)
    assert "held-out x0.png, 8" in shown


# What the page makes of a sound that the server would need a codec for is its own WAV.
WAVE = """
window.AudioContext = class {
  async decodeAudioData() {
    const left = new Float32Array([0, 1, -2]), right = new Float32Array([0, 0, -2]);
    return { length: 3, sampleRate: 16000, numberOfChannels: 2,
             getChannelData: (channel) => [left, right][channel] };
  }
  close() {}
};
const files = new DataTransfer();
files.items.add(new File(["?"], "note.webm", { type: "audio/webm" }));
document.dispatchEvent(new DragEvent("drop", { dataTransfer: files }));
"""


def test_a_dropped_sound_is_sent_as_a_wav_of_one_channel(tmp_path, monkeypatch):
    script = tmp_path / "drop.js"
    script.write_text(WAVE)
    monkeypatch.setattr(page, "SCRIPTS", (*page.SCRIPTS, script))
    posted = []

    def convert(path, out, direction):
        posted.append((path.name, path.read_bytes()))
        out.write_bytes(voices.encode_wave(np.zeros(3), 16000))

    picture = png(np.zeros((4, 4, 3), np.uint8)).content
    converter = Converter(convert, lambda path: picture, {"x2y": []}, 16000)
    with served(voices.make_part(converter)) as address:
        shown = when_ready(address)
    assert posted[-1:] == [("recording.wav", voices.encode_wave(np.array([0.0, 0.5, -1.0]), 16000))]
    assert 'id="no-microphone" hidden' in shown
    assert re.search(r'<audio id="converted"[^>]* src="blob:', shown)


RECORD = """
const waiting = setInterval(() => {
  const button = $("record");
  if (button.disabled) return;
  if (!button.classList.contains("on")) { button.click(); return; }
  clearInterval(waiting);
  setTimeout(() => button.click(), 2000);
}, 100);
"""
MICROPHONE = (
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
    *("--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0"),
)


def test_a_recording_of_the_microphone_is_converted(tmp_path, monkeypatch):
    """The browser's microphone plays a tone of 440 Hz; the server gets two seconds of it."""
    tone, script = tmp_path / "tone.wav", tmp_path / "record.js"
    seconds = np.arange(4 * 48000) / 48000
    tone.write_bytes(voices.encode_wave(0.5 * np.sin(2 * np.pi * 440 * seconds), 48000))
    script.write_text(RECORD)
    monkeypatch.setattr(page, "SCRIPTS", (*page.SCRIPTS, script))
    posted = queue.Queue()

    def convert(path, out, direction):
        posted.put(soundfile.read(path))
        out.write_bytes(voices.encode_wave(np.zeros(3), 16000))

    picture = png(np.zeros((4, 4, 3), np.uint8)).content
    converter = Converter(convert, lambda path: picture, {"x2y": []}, 16000)
    flags = (f"--user-data-dir={tmp_path}", f"--use-file-for-fake-audio-capture={tone}")
    with served(voices.make_part(converter)) as address:
        command = [screenshots.browser(), *screenshots.FLAGS, *MICROPHONE, *flags, address + "/"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **quiet) as process:
            try:
                sound, rate = posted.get(timeout=60)
            finally:
                process.terminate()
    assert len(sound) / rate > 1.0
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(np.argmax(spectrum) * rate / len(sound) - 440) < 5
