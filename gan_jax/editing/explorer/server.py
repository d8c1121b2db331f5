"""The server of the page, for the browsers of this machine.

`respond` turns a request into a response; `serve` binds a server to a port. Other web pages that
the same browser has open cannot use it: a request whose Host is another site's name (DNS
rebinding), or whose Origin is another site, is refused.
"""

import contextlib
import ipaddress
import socket
import sys
import traceback
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from gan_jax.editing.explorer.page import page
from gan_jax.editing.explorer.routes import Explorer, Request, Response, text
from gan_jax.errors import UserError

MAX_UPLOAD = 20 * 2**20  # bytes
TIMEOUT = 60.0  # seconds that a browser may be silent within a request
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'"
)
"""What the page may load: nothing of another site."""

_reading_files = Lock()  # two files at once would slow each other down and take twice the memory


def respond(
    explorer: Explorer, method: str, target: str, posted: Request | None = None
) -> Response:
    """Respond to a request: the page at '/', the routes of its parts elsewhere.

    A bad parameter or file has status 400 and one line of text, an unknown path 404.

    Args:
        explorer: the page.
        method: GET or POST.
        target: the path and query of the URL.
        posted: the content of a POST and its type.
    """
    try:
        url = urlsplit(target)
    except ValueError as error:
        return text(f"{target!r} is no address: {error}", HTTPStatus.BAD_REQUEST)
    if url.path == "/" and method == "GET":
        return Response(HTTPStatus.OK, "text/html; charset=utf-8", page(explorer))
    route = explorer.routes.get(url.path)
    if route is None:
        return text(f"nothing at {url.path!r}; try '/'", HTTPStatus.NOT_FOUND)
    if (method == "POST") != bool(route.accepts):
        needed = "POST" if route.accepts else "GET"
        return text(f"{url.path} answers {needed} only", HTTPStatus.METHOD_NOT_ALLOWED)
    request = Request(url.query) if posted is None else posted._replace(query=url.query)
    if route.accepts and request.content_type not in route.accepts:
        accepted = ", ".join(sorted(route.accepts))
        line = f"content of type {request.content_type!r}: one of {accepted} is needed"
        return text(line, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        with _reading_files if route.accepts else contextlib.nullcontext():
            return route.answer(request)
    except UserError as error:
        return text(str(error), HTTPStatus.BAD_REQUEST)
    except Exception as error:  # the page says so; the terminal has the trace
        traceback.print_exc()
        line = f"{type(error).__name__}: {error}"
        return text(line, HTTPStatus.INTERNAL_SERVER_ERROR)


def refusal(headers: Mapping[str, str] | Message, bound: str, path: str) -> str:
    """Why a request is refused; "" where it is not.

    Args:
        headers: of the request.
        bound: the host that the server is bound to.
        path: of the URL.

    References:
        https://datatracker.ietf.org/doc/html/rfc6454 (Origin)
        https://www.w3.org/TR/fetch-metadata/ (Sec-Fetch-Site)
    """
    host = headers.get("Host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    # An address cannot be rebound; of names only those of this machine are known to be its own.
    own = {"localhost", bound, socket.gethostname().lower(), socket.getfqdn().lower()}
    if not _is_address(name) and name not in own:
        return f"the host {host!r} is not this machine; open the address that was printed"
    origin = headers.get("Origin")
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return f"a page of {origin!r} asks; only this page may"
    if path != "/" and headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "a page of another site asks; only this page may"
    return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of an explorer, which `serve` sets."""

    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT
    # Headers that are sent alone hold the content back until they are acknowledged, 40 ms later
    # (Nagle's algorithm and delayed acknowledgement): both leave at once.
    disable_nagle_algorithm = True
    wbufsize = -1
    explorer: Explorer
    bound: str

    def do_GET(self) -> None:
        line = self._refusal()
        self._send(
            text(line, HTTPStatus.FORBIDDEN) if line else respond(self.explorer, "GET", self.path)
        )

    def do_POST(self) -> None:
        line, size = self._refusal(), self.headers.get("Content-Length", "")
        if line:
            self._end(text(line, HTTPStatus.FORBIDDEN))
        elif not (size.isascii() and size.isdecimal()):
            self._end(text("the length of the content is missing", HTTPStatus.LENGTH_REQUIRED))
        elif len(size) > 12 or int(size) > MAX_UPLOAD:
            line = f"the file is larger than {MAX_UPLOAD // 2**20} MB"
            self._end(text(line, HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        else:
            content = self.rfile.read(int(size))
            kind = self.headers.get_content_type()
            self._send(respond(self.explorer, "POST", self.path, Request("", content, kind)))

    def _refusal(self) -> str:
        return refusal(self.headers, self.bound, self.path.partition("?")[0])

    def _end(self, response: Response) -> None:
        """Send a response and close the connection: the content was not read."""
        self.close_connection = True
        self._send(response)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", POLICY)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, format: str, *args: object) -> None:
        """Do not log: a dragged slider sends a hundred requests."""


class Server(ThreadingHTTPServer):
    """A server that a closed connection does not disturb."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a browser that closed the connection; report other errors as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def address(bound: ThreadingHTTPServer, host: str) -> str:
    """Return the address to open.

    Args:
        bound: the server.
        host: that it was asked to listen on. A server on all addresses is reached by this machine's
            name, or where that is not known to the network, from this machine alone.
    """
    if host in ("", "0.0.0.0"):
        host = socket.gethostname()
        try:
            socket.gethostbyname(host)
        except OSError:
            host = "127.0.0.1"
    return f"http://{host}:{bound.server_port}/"


def serve(explorer: Explorer, host: str, port: int) -> ThreadingHTTPServer:
    """Bind a server to an address; the caller runs it. Port 0 takes a free port.

    Raises:
        UserError: when the address is taken or invalid.
    """
    handler = type("ExplorerHandler", (Handler,), {"explorer": explorer, "bound": host.lower()})
    try:
        return Server((host, port), handler)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise UserError(f"cannot listen on {host}:{port}: a port is below 65536") from error
