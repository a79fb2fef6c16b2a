"""HTTP on a free port of the loopback, one thread a connection."""

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.fake_github.messages import Request, Response

Answer = Callable[[Request], Response]
PATIENCE = 10.0


class Listener(ThreadingHTTPServer):
    """Accepts connections until closed, and then leaves none behind."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, answer: Answer, failed: Callable[[BaseException], None]) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.answer = answer
        self.failed = failed
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end what is open."""
        self.shutdown()
        with self._guard:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self.server_close()
        self._thread.join(PATIENCE)

    def opened(self, one: socket.socket) -> None:
        """A connection came."""
        with self._guard:
            self._open.add(one)

    def closed(self, one: socket.socket) -> None:
        """A connection went."""
        with self._guard:
            self._open.discard(one)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error."""


class Connection(BaseHTTPRequestHandler):
    """Requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def setup(self) -> None:
        """Be known, so that the end of the test ends this too."""
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        """Go."""
        self.server.closed(self.connection)
        super().finish()

    def handle(self) -> None:
        """Answer until the client has enough."""
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            super().handle()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query_string=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
        )
        try:
            response = self.server.answer(request)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the test must hear of it
            self.server.failed(error)
            response = Response(status=500, body=repr(error).encode())
        self._send(response)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, response: Response) -> None:
        if response.cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        body = response.body
        if response.truncate:
            self.close_connection = True
            body = body[: len(body) // 2]
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 -- names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the signature of the base class
        """Stay silent: the recorder knows."""
