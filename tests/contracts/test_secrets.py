"""Secrets in files and environment variables."""

from pathlib import Path

import pytest

from upkeep.adapters.secrets import GivenSecret, KeptSecrets
from upkeep.domain.errors import StalledError
from upkeep.domain.sources import Credential, CredentialKind


def in_file(path: Path) -> Credential:
    return Credential(CredentialKind.TOKEN_FILE, str(path))


def in_variable(name: str) -> Credential:
    return Credential(CredentialKind.TOKEN_ENV, name)


def test_no_credential_reveals_nothing() -> None:
    assert KeptSecrets().reveal(Credential()) is None


@pytest.mark.parametrize(
    ("written", "secret"),
    [("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), ("abc\n\n", "abc\n"), (" a b ", " a b ")],
)
def test_one_line_end_does_not_belong_to_the_secret(
    written: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_bytes(written.encode())
    monkeypatch.setenv("A_TOKEN", written)
    assert KeptSecrets().reveal(in_file(file)) == secret
    assert KeptSecrets().reveal(in_variable("A_TOKEN")) == secret


def test_a_secret_that_was_rotated_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    kept = KeptSecrets()
    for secret in ("old", "new"):
        file.write_text(secret)
        assert kept.reveal(in_file(file)) == secret


def test_a_secret_that_stands_nowhere_stalls_with_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_TOKEN", raising=False)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_text("x" * 70_000)
    for credential in (
        in_variable("A_TOKEN"),
        *(in_file(tmp_path / name) for name in ("none", "empty", "binary", "long", ".")),
    ):
        with pytest.raises(StalledError) as caught:
            KeptSecrets().reveal(credential)
        assert caught.value.cure
        assert credential.reference in str(caught.value.where)


def test_a_secret_of_the_configuration_is_not_shown() -> None:
    assert GivenSecret("hidden").reveal(Credential()) == "hidden"
    assert "hidden" not in repr(GivenSecret("hidden"))
