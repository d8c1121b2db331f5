"""The line that says what is going on where nothing else does."""

import io
import sys
import time

import jax.numpy as jnp
import pytest

from gan_jax.progress import clock, first_call_timed


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self):
        """As a terminal answers."""
        return True


def shown(seconds, stream, delay):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with clock("compiling", delay=delay):
            time.sleep(seconds)
    return stream.getvalue()


def test_what_is_quick_says_nothing():
    assert shown(0.0, io.StringIO(), 5.0) == ""
    assert shown(0.0, Terminal(), 5.0) == ""


def test_a_log_is_told_at_the_start_and_at_the_end():
    first, last = shown(0.3, io.StringIO(), 0.05).splitlines()
    assert first == "compiling ..." and last == "compiling took 0 s"


def test_a_terminal_gets_one_line_that_goes_away():
    text = shown(0.3, Terminal(), 0.05)
    assert "compiling ... 0 s" in text and "\n" not in text
    assert text.endswith("\r\033[K")


def test_only_the_first_call_is_timed(capsys):
    calls = []

    def slow(x):
        calls.append(time.sleep(0 if calls else 1.2))
        return x + 1

    timed = first_call_timed(slow, "compiling the round")
    assert [int(timed(jnp.int32(n))) for n in (1, 2)] == [2, 3]
    assert capsys.readouterr().err.count("compiling the round ...") == 1


def test_an_error_ends_the_line(capsys):
    def broken():
        time.sleep(1.2)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        first_call_timed(broken, "compiling")()
    assert capsys.readouterr().err.splitlines()[-1].startswith("compiling took")
