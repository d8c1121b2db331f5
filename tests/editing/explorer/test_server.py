"""The server: what it answers, what it refuses, and the page that it sends."""

import http.client
import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import numpy as np
import pytest
from helpers.command_line import run
from helpers.explorer import ask, served
from helpers.paths import ROOT

from gan_jax.commands import explore
from gan_jax.editing.explorer import page, server
from gan_jax.editing.explorer.routes import Explorer, Part, Route, png, text
from gan_jax.errors import UserError

ECHO = Part(
    "echo",
    dict,
    {"/echo": Route(lambda request: text(f"{len(request.content)} bytes"), {"image/png"})},
)


@pytest.fixture(scope="module")
def echo():
    with served(ECHO) as found:
        yield found


def test_an_unknown_path_is_404(address):
    assert ask(f"{address}/pictures").status == 404


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8000", True),
        ("localhost:9000", True),  # a forwarded port
        ("[::1]:8000", True),
        ("192.168.1.7:8000", True),  # --host 0.0.0.0: an address cannot be rebound
        ("evil.example", False),
        ("localhost.evil.example:8000", False),
        ("127.0.0.1.evil.example", False),
        ("[", False),
        ("", False),
    ],
)
def test_another_host_is_refused(host, allowed):
    assert (server.refusal({"Host": host}, "127.0.0.1", "/") == "") == allowed


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_origin_is_refused(address, origin):
    reply = ask(f"{address}/picture", Origin=origin)
    assert reply.status == 403 and origin in reply.line


def test_the_page_itself_may_ask(address):
    assert ask(f"{address}/picture", Origin=address, Sec_Fetch_Site="same-origin").status == 200
    assert ask(f"{address}/picture", Sec_Fetch_Site="cross-site").status == 403
    assert ask(f"{address}/", Sec_Fetch_Site="cross-site").status == 200  # a link


@pytest.mark.parametrize("target", ["http://[/picture", "//["])
def test_an_address_that_is_none_is_one_line(target):
    reply = server.respond(Explorer("", ()), "GET", target)
    assert reply.status == 400 and reply.content.count(b"\n") == 1


def test_an_origin_that_is_none_is_refused():
    headers = {"Host": "localhost:8000", "Origin": "http://["}
    assert server.refusal(headers, "localhost", "/picture")


def test_an_error_of_a_route_is_one_line_of_status_500(echo, monkeypatch, capsys):
    def answer(request):
        raise ZeroDivisionError("no such number")

    failing = Explorer("", (Part("failing", {}, {"/fail": Route(answer)}),))
    reply = server.respond(failing, "GET", "/fail")
    assert (reply.status, reply.content) == (500, b"ZeroDivisionError: no such number\n")
    assert "Traceback" in capsys.readouterr().err


def test_a_host_is_refused_over_http(address):
    reply = ask(f"{address}/picture", Host="evil.example")
    assert reply.status == 403 and "'evil.example' is not this machine" in reply.line


def test_a_post_needs_its_route_its_type_and_a_bound_length(echo, monkeypatch):
    assert ask(f"{echo}/echo", b"12345").line == "5 bytes"
    assert ask(f"{echo}/echo", b"1", "text/plain").status == 415
    assert ask(f"{echo}/echo").status == 405
    monkeypatch.setattr(server, "MAX_UPLOAD", 4)
    reply = ask(f"{echo}/echo", b"12345")
    assert reply.status == 413 and "larger than" in reply.line


def test_a_post_of_unknown_length_is_refused(echo):
    client = http.client.HTTPConnection(echo.removeprefix("http://"), timeout=10)
    client.putrequest("POST", "/echo")
    client.putheader("Content-Type", "image/png")
    client.endheaders()
    assert client.getresponse().status == 411
    client.close()


def test_pictures_are_not_posted(address):
    assert ask(f"{address}/picture", b"1").status == 405


def test_the_page_holds_all_it_needs(address):
    reply = ask(address + "/")
    text = reply.content.decode()
    assert reply.kind == "text/html; charset=utf-8"
    assert "<title>toy &amp; run, round 2</title>" in text
    assert '"brighter \\u003cb>"' in text and "<b>" not in text
    outside = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:)(\w+:)?//""", text)
    assert not outside
    assert "FACTS" not in text and "/* SCRIPTS */" not in text and "/* STYLE */" not in text


def colours(text):
    """The variables of a style sheet, in light and in dark."""
    return re.findall(r"(--[\w-]+): ([^;]+);", text)


def test_the_page_has_the_colours_of_the_report():
    templates = ROOT / "gan_jax/reporting/templates"
    sheet = templates / "style.css"
    report = (sheet if sheet.exists() else templates / "report.html").read_text()
    found = colours(page.STYLE.read_text())
    assert found == colours(report)[: len(found)] and len(found) > 20


def test_a_taken_port_is_one_clear_line(address):
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
        server.serve(Explorer("", ()), "127.0.0.1", port)


def test_explore_refuses_options_out_of_range(trained, capsys):
    assert run(explore, trained, "--port", 70000) == 2
    assert "65535" in capsys.readouterr().err
    assert run(explore, trained, "--label", 10) == 2
    assert "has 10 classes" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_the_printed_address_can_be_opened(host):
    with server.serve(Explorer("run", ()), host, 0) as bound:
        Thread(target=bound.serve_forever, daemon=True).start()
        try:
            assert ask(server.address(bound, host)).status == 200
        finally:
            bound.shutdown()


def test_two_files_are_not_converted_at_once():
    started, most = [], []

    def convert(request):
        started.append(1)
        time.sleep(0.1)
        most.append(len(started))
        started.pop()
        return png(np.zeros((2, 2, 3), np.uint8))

    part = Part("files", dict, {"/convert": Route(convert, frozenset({"image/png"}))})
    with served(part) as address, ThreadPoolExecutor() as pool:
        replies = pool.map(lambda _: ask(f"{address}/convert", b"x"), range(3))
        assert [reply.status for reply in replies] == [200] * 3
    assert most == [1, 1, 1]
