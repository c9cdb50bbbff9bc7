"""Ports of this host, and who answers at them."""

import http.client
import socket


def a_free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def answer(port: int, path: str, **headers: str) -> int | None:
    """The status that a GET is answered with, None while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
