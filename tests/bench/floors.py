"""Floors of intake: the least that a Flask application can do with a webhook, each under the same gunicorn.

`FLOOR_DATABASE` names the SQLite file of the one that keeps what it gets.
"""

import hashlib
import hmac
import json
import os
import sqlite3
from threading import Lock
from typing import Any

from flask import Flask, request

SECRET = b"It's a Secret to Everybody"

answering = Flask("answering")
reading = Flask("reading")
keeping = Flask("keeping")
_turn = Lock()
_connections: dict[int, sqlite3.Connection] = {}


@answering.post("/hooks/github")
def answer() -> Any:
    return {"status": "received"}, 202


@reading.post("/hooks/github")
def read() -> Any:
    _signed()
    return {"status": "received"}, 202


@keeping.post("/hooks/github")
def keep() -> Any:
    payload = _signed()
    with _turn:
        connection = _connections.get(os.getpid()) or _connect()
        connection.execute(
            "INSERT INTO deliveries VALUES (?, ?)", (request.headers["X-GitHub-Delivery"], payload["ref"])
        )
        connection.commit()
    return {"status": "received"}, 202


def _signed() -> Any:
    body = request.get_data(cache=False)
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers["X-Hub-Signature-256"]):
        return None
    return json.loads(body)


def _connect() -> sqlite3.Connection:
    connection = sqlite3.connect(os.environ["FLOOR_DATABASE"], timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, ref TEXT)")
    _connections[os.getpid()] = connection
    return connection
