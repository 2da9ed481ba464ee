"""The setting of the proxy is read at the start, and its password is never shown."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from pushsvc import config
from pushsvc.cli import session
from pushsvc.cli.demo import stage
from pushsvc.config import Settings, SettingsError
from pushsvc.delivery.gateways import proxy_of
from pushsvc.delivery.wire import Proxy

URL = "http://user:hunter2@proxy.corp:3128"


def test_without_a_setting_there_is_no_proxy() -> None:
    """Gateways are reached directly."""
    assert proxy_of(Settings()) is None


def test_the_proxy_of_a_setting() -> None:
    """Host, port and credentials; the settings do not show it."""
    settings = Settings(gateway_proxy_url=SecretStr(URL))

    assert proxy_of(settings) == Proxy.from_url(URL)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://user:hunter2@proxy.corp:3128", id="scheme"),
        pytest.param("user:hunter2@proxy.corp:3128", id="no scheme"),
        pytest.param("http://user:hunter2/@proxy.corp:3128", id="not percent-encoded"),
        pytest.param("", id="empty"),
    ],
)
def test_what_is_no_proxy_is_refused_by_every_command(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The message names the setting and how it is written, and does not show it."""
    monkeypatch.setenv("PUSHSVC_GATEWAY_PROXY_URL", url)

    with pytest.raises(SettingsError, match="PUSHSVC_GATEWAY_PROXY_URL") as caught:
        session.settings()

    assert "http://user:password@host:port" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_proxy_of_another_type_is_not_shown() -> None:
    """A settings file may hold anything."""
    with pytest.raises(SettingsError, match="gateway_proxy_url") as caught:
        config.load(gateway_proxy_url=["hunter2"])

    assert "hunter2" not in str(caught.value)


def test_the_demo_goes_past_the_proxy(tmp_path: Path) -> None:
    """Its gateways are simulators on this machine."""
    settings = Settings(gateway_proxy_url=SecretStr(URL))

    assert (
        stage.settings(settings, stage.Place(directory=tmp_path, lock=-1)).gateway_proxy_url is None
    )
