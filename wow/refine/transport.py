"""One HTTP request with a time limit that nothing outlives: no slow handshake, no dripping answer, no silence."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from urllib.parse import SplitResult

CHUNK = 1 << 16
LATE = "did not finish its answer in time"


class Refused(Exception):
    """No response. again: whether asking once more may help."""

    def __init__(self, why: str, again: bool) -> None:
        super().__init__(why)
        self.again = again


@dataclass(frozen=True)
class Response:
    """status: of HTTP. retry_after: the header of that name, "" where there is none."""

    status: int
    body: bytes
    retry_after: str = ""


def post(
    address: SplitResult, path: str, body: bytes, headers: dict[str, str], deadline: float, max_bytes: int
) -> Response:
    """The response to JSON posted to `address` + `path`. Redirections are not followed.

    deadline: of `time.monotonic`, for everything together. Raises Refused where there is no server, no time left, or
    an answer of more than `max_bytes`.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise Refused("no time was left", again=False)
    connection = _connection(address, left)
    target = address.path.rstrip("/") + path
    outcome: SimpleQueue[Response | Refused] = SimpleQueue()
    # A socket's own time-out starts anew with every byte, and looking up a name has none: the caller waits elsewhere.
    arguments = (connection, target, body, headers, max_bytes, outcome)
    threading.Thread(target=_exchange, args=arguments, daemon=True).start()
    try:
        found = outcome.get(timeout=left)
    except Empty:
        raise Refused(LATE, again=False) from None
    finally:
        _cut(connection)
    if isinstance(found, Refused):
        raise found
    return found


def _exchange(
    connection: http.client.HTTPConnection,
    target: str,
    body: bytes,
    headers: dict[str, str],
    max_bytes: int,
    outcome: SimpleQueue[Response | Refused],
) -> None:
    """Puts a response, or why there is none, into `outcome`."""
    found: Response | Refused = Refused("the connection was cut", again=True)
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        found = Response(response.status, _read(response, max_bytes), response.getheader("Retry-After", ""))
    except Refused as problem:
        found = problem
    except ssl.SSLCertVerificationError:
        found = Refused("has no certificate that can be trusted", again=False)
    except TimeoutError:
        found = Refused(LATE, again=False)
    except ValueError:
        found = Refused("has an address or a key that cannot be sent", again=False)
    except (OSError, http.client.HTTPException) as problem:
        found = Refused(_in_words(problem), again=True)
    finally:
        outcome.put(found)
        connection.close()


def _connection(address: SplitResult, seconds: float) -> http.client.HTTPConnection:
    assert address.hostname is not None
    if address.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(address.hostname, address.port, timeout=seconds, context=context)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=seconds)


def _cut(connection: http.client.HTTPConnection) -> None:
    """Ends a connection under the reader's hands, so that a thread which still waits for it ends too."""
    pipe = connection.sock
    if pipe is not None:
        try:
            pipe.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended by itself


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    chunks, size = [], 0
    while chunk := response.read1(CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise Refused(f"answered with more than {max_bytes} bytes", again=False)
    return b"".join(chunks)


def _in_words(problem: Exception) -> str:
    if isinstance(problem, ConnectionRefusedError):
        return "it refuses connections: no server is running there"
    if isinstance(problem, socket.gaierror):
        return "there is no machine of that name"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return f"it broke off or does not speak HTTP: {type(problem).__name__}"
