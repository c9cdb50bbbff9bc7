"""The Flask application, made from its rooms."""

import hashlib
import io
import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import IO

from flask import Flask, Request, Response, g, request
from flask_wtf.csrf import CSRFProtect
from werkzeug.utils import cached_property

from upkeep.domain.errors import CallerError
from upkeep.flows.ports import Store
from upkeep.web import api, faults, health, hooks, identity, kept, lines, live, metrics, pages, passage, wording
from upkeep.web.proton import door as proton
from upkeep.web.rooms import EXTENSION, Rooms

__all__ = ["Rooms", "create_app", "signing_key"]


class WholeRequest(Request):
    """A request whose body is read whole or refused. Werkzeug cuts one without a declared length off at the limit."""

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body."""
        largest = self.max_content_length
        if largest is None or self.content_length is not None:
            return super().stream
        return io.BytesIO(passage.whole_body(self.environ, largest))


def create_app(rooms: Rooms, key: bytes | None = None) -> Flask:
    """An application that serves these rooms. Its signing key is the store's, read now unless it is given."""
    app = Flask("upkeep.web", root_path=str(Path(__file__).parent))
    app.request_class = WholeRequest
    app.extensions[EXTENSION] = rooms
    https = rooms.public_url.startswith("https://")
    app.config.update(
        SECRET_KEY=key or signing_key(rooms.store),
        # Hooks have a limit of their own.
        MAX_CONTENT_LENGTH=rooms.bounds.request,
        MAX_FORM_MEMORY_SIZE=rooms.bounds.request,
        SESSION_COOKIE_NAME="__Host-upkeep" if https else "upkeep",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
        # A form stays good as long as its session: the session is what ends.
        WTF_CSRF_TIME_LIMIT=None,
        # Behind a proxy that rewrites the host, comparing Referer with it refuses honest forms; the token and the
        # SameSite cookie stand without it.
        WTF_CSRF_SSL_STRICT=False,
    )
    # First, so that what is refused before it is looked at has its number too.
    app.before_request(api.number_request)
    metrics.install(app)
    csrf = CSRFProtect(app)
    # Known by signatures and tokens, which no browser sends by itself.
    signed = (hooks.blueprint, api.blueprint, proton.blueprint)
    for blueprint in signed:
        csrf.exempt(blueprint)
    for blueprint in (*signed, health.blueprint, metrics.blueprint, identity.blueprint, *pages.BLUEPRINTS):
        app.register_blueprint(blueprint)
    app.before_request(_refuse_unreadable)
    app.before_request(identity.admit)
    guards = passage.guards(https=https)
    app.after_request(lambda response: _guarded(response, guards))
    faults.install(app)
    wording.install(app)
    lines.install(app)
    kept.install(app)
    live.install(app)
    app.add_template_global(_asset_of(app), "asset")
    # In front of Flask: a delivery needs no session, no form and no page, and the way to these costs more than itself.
    app.wsgi_app = hooks.Door(rooms, guards, app.wsgi_app)  # type: ignore[method-assign]
    return app


def signing_key(store: Store) -> bytes:
    """What cookies and forms are signed with. It stands in the store, so that all replicas share it."""
    with store.write() as unit:
        return unit.people.secret("web", secrets.token_bytes(32))


def _asset_of(app: Flask) -> Callable[[str], str]:
    """Addresses of static files that change with their content, so that browsers may keep them for good."""
    folder = Path(app.static_folder or "")
    marks = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in folder.iterdir() if file.is_file()
    }
    return lambda name: wording.address("static", filename=name, v=marks[name])


def _refuse_unreadable() -> None:
    """NUL is no part of any name or sentence, and no database here would keep it."""
    if request.blueprint == proton.blueprint.name:
        return
    texts = [request.path, *request.args.values(), *request.form.values()]
    if any("\0" in text for text in texts):
        raise CallerError("what was sent holds a NUL character", cure="type it again without it")


def _guarded(response: Response, guards: Iterable[tuple[str, str]]) -> Response:
    for name, value in guards:
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.set(*passage.UNKEPT)
    if api.asked_for():
        response.headers["X-Request-Id"] = g.request_id
    if g.get("retry_after"):
        response.headers.set(*passage.retry_after(g.retry_after))
    return response
