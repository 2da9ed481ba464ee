"""Settings that cannot be are refused by name, and no secret is shown."""

import pytest

from pushsvc import config
from pushsvc.config import SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("database_url", "mysql://u:hunter2@h/db", id="another database"),
        pytest.param("redis_url", "http://:hunter2@h/0", id="another queue"),
    ],
)
def test_a_bad_url_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """From the environment and from an option alike."""
    for origin in ("environment", "option"):
        given = {}
        if origin == "environment":
            monkeypatch.setenv(f"PUSHSVC_{name.upper()}", value)
        else:
            monkeypatch.delenv(f"PUSHSVC_{name.upper()}")
            given[name] = value

        with pytest.raises(SettingsError, match=f"{name}.*must start with") as caught:
            config.load(**given)

        assert "hunter2" not in str(caught.value)


def test_a_secret_key_of_another_type_is_not_shown() -> None:
    """A settings file may hold anything."""
    with pytest.raises(SettingsError, match="secret_key") as caught:
        config.load(secret_key=["hunter2"])

    assert "hunter2" not in str(caught.value)


def test_another_bad_value_is_shown() -> None:
    """Whoever reads it can find it again."""
    with pytest.raises(SettingsError, match="got 70000"):
        config.load(port=70000)


@pytest.mark.parametrize(
    ("given", "held"), [("/1", "/1"), ("/parse/", "/parse"), ("/api/v1", "/api/v1")]
)
def test_a_mount_is_kept_without_a_slash_at_its_end(given: str, held: str) -> None:
    """So that addresses made of it are right."""
    assert config.load(parse_mount=given).parse_mount == held


@pytest.mark.parametrize("given", ["", "/", "//", "/a//b", "parse", "/v1", "/v1/parse", "/livez"])
def test_a_mount_that_hides_another_door_is_refused(given: str) -> None:
    """Or that is no path."""
    with pytest.raises(SettingsError, match="parse_mount"):
        config.load(parse_mount=given)
