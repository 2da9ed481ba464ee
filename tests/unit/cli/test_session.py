"""Settings as commands read them, and hand them on to their children."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from pydantic import SecretStr

from pushsvc import config
from pushsvc.cli import session
from pushsvc.config import Settings, SettingsError


def test_a_child_reads_the_settings_of_its_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the parent has from its file or its options, the child has from its environment."""
    file = tmp_path / "other.toml"
    file.write_text("port = 1")
    read = Settings(
        database_url="postgresql://u:p@h/d",
        secret_key=SecretStr("key"),
        data_dir=tmp_path,
        port=9000,
        lease_seconds=7.5,
    )
    for name in (name for name in session.environment(read) if name.startswith(config.PREFIX)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(config.FILE_VARIABLE, str(file))

    for name, value in session.environment(read).items():
        monkeypatch.setenv(name, value)

    assert config.load() == read


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("postgresql://u:secret@h:5/d?x=y", "postgresql://u@h:5/d", id="password"),
        pytest.param("redis://:secret@h/0", "redis://@h/0", id="password alone"),
        pytest.param("unix:///tmp/x.sock", "unix:///tmp/x.sock", id="a socket"),
        pytest.param(None, "(embedded)", id="none"),
    ],
)
def test_urls_are_shown_without_their_secrets(url: str | None, shown: str) -> None:
    """An error message is pasted into chats and tickets."""
    assert session.shown_url(url) == shown


@given(st.text(st.characters(codec="ascii", exclude_characters="@:/?#"), min_size=1))
def test_no_password_is_shown(password: str) -> None:
    """Whatever the password is."""
    shown = session.shown_url(f"postgresql://u:{password}{password}@h/d")

    assert shown == "postgresql://u@h/d"


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@host:notaport/db", "postgresql://[::1/db"], ids=["port", "bracket"]
)
def test_a_malformed_url_is_told_with_its_setting(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The drivers would end in a traceback."""
    monkeypatch.setenv("PUSHSVC_DATABASE_URL", url)

    with pytest.raises(SettingsError, match="PUSHSVC_DATABASE_URL"):
        session.settings()
