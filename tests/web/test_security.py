"""What an attacker tries at the pages that no other test has a place for."""

from urllib.parse import quote

import pytest

from tests.builders import a_bundle, environment_files
from tests.flows.given import registered
from tests.web.furnished import ENV

NAMES = ("page.html", "picture.svg", "a\rSet-Cookie: x=1\r.html", 'a";x=".html', "caf\u00e9")
PATHS = ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "..\\app.py", "upkeep.css/../../app.py")


@pytest.mark.usefixtures("furnished")
def test_a_file_of_a_bundle_is_a_download_whatever_it_is_called(visit, store, now):
    with store.write() as unit:
        files = environment_files() | {f"docs/{name}": "<script>alert(1)</script>" for name in NAMES}
        registered(unit, ENV, "1.9", a_bundle(files), now)
    viewer = visit("viewer").client
    for name in NAMES:
        answer = viewer.get(f"/templates/{ENV}/1.9/raw/docs/{quote(name)}")
        assert answer.status_code == 200, name
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.headers["Content-Disposition"].startswith("attachment; ")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "x=1" not in answer.headers.get("Set-Cookie", "")


def test_no_path_leads_to_a_file_that_is_not_served(app):
    stranger = app.test_client()
    for path in PATHS:
        answer = stranger.get(f"/static/{path}")
        assert answer.status_code in (303, 308, 404), path
        assert "create_app" not in answer.text


def test_a_copy_of_the_database_lets_nobody_in(visit, app, store, now):
    visitor = visit("admin")
    visitor.page("/")
    with store.read() as unit:
        (session,) = unit.people.sessions("admin")
    thief = app.test_client()
    with thief.session_transaction() as cookie:
        cookie["secret"] = session.token_hash
    assert thief.get("/").status_code == 303
    with app.test_client() as program:
        hashed = {"Authorization": f"Bearer {session.token_hash}"}
        assert program.get("/api/v1/templates", headers=hashed).status_code == 401
