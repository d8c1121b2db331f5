"""The server of the explorer as a client sees it, and states to be explored."""

import io
import urllib.error
import urllib.request
from contextlib import contextmanager
from threading import Thread
from typing import NamedTuple

import jax
import numpy as np
from PIL import Image

from gan_jax import config
from gan_jax.build.experiment import build
from gan_jax.editing.explorer import server
from gan_jax.editing.explorer.routes import Explorer
from gan_jax.game import init
from helpers.paths import EXPERIMENTS


class Reply(NamedTuple):
    """Of a server: the status, the type of the content, the content."""

    status: int
    kind: str
    content: bytes

    @property
    def line(self):
        assert self.content.count(b"\n") == 1
        return self.content.decode().strip()

    @property
    def picture(self):
        assert (self.status, self.kind) == (200, "image/png")
        return np.asarray(Image.open(io.BytesIO(self.content))).astype(int)


def ask(url, content=None, kind="image/png", **headers):
    """The reply to a GET, or to a POST of the content."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content is not None:
        named["Content-Type"] = kind
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, content, named), timeout=60
        ) as reply:
            return Reply(reply.status, reply.headers["Content-Type"], reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers["Content-Type"], error.read())


@contextmanager
def served(*parts, title="run, round 2"):
    """The address of a page of these parts."""
    with server.serve(Explorer(title, parts), "127.0.0.1", 0) as bound:
        thread = Thread(target=bound.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.server_port}"
        finally:
            bound.shutdown()
            thread.join()


def fresh(recipe, changes=()):
    """A recipe's smallest relative as objects, and its state before the first round."""
    experiment = config.tiny(config.recipe(f"{EXPERIMENTS}/{recipe}"))
    built = build(config.change(experiment, {"run.devices": 1, **dict(changes)}))
    return built, init(built.game, built.key)


def compiled_by(run):
    """The names of the compilations while a function runs."""
    events = []

    def listen(name, *_, **__):
        events.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        run()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return [name for name in events if "compile" in name]
