"""Gateways made by the settings, as a worker makes them."""

from typing import Any, Literal, Protocol

from pushsvc.config import Settings
from pushsvc.delivery.gateway import Gateway
from pushsvc.delivery.gateways import Builder
from pushsvc.model import Credential, GatewayName
from pushsvc.simulators import Simulators
from pushsvc.simulators.ledger import Entry
from tests.integration.delivery.sending import TIMEOUT_SECONDS, Clients

Transport = Literal["wire", "aioapns", "pyfcm"]


class Build(Protocol):
    """Makes the gateway of a credential as a worker does, by its settings."""

    def __call__(self, name: GatewayName, transport: Transport, **changes: Any) -> Gateway[Any]:
        """It is closed after the test."""


def settings_for(clients: Clients, transport: Transport, **changes: Any) -> Settings:
    endpoints = clients.endpoints
    return Settings(
        **{
            "transport": transport,
            "apns_url": endpoints.apns_url,
            "fcm_url": endpoints.fcm_url,
            "gateway_ca_file": endpoints.ca_file,
            "gateway_timeout_seconds": TIMEOUT_SECONDS,
            **changes,
        }
    )


def builder_of(clients: Clients, settings: Settings) -> Builder:
    return Builder(settings, store=clients.store, clock=clients.clock, moments=clients.moments)


def credential(clients: Clients, name: GatewayName) -> Credential:
    apns, wns = clients.endpoints.credentials.apns, clients.endpoints.credentials.wns
    public, secret = {
        GatewayName.APNS: ({"key_id": apns.key_id, "team_id": apns.team_id}, apns.p8),
        GatewayName.FCM: ({}, clients.endpoints.credentials.fcm.file.read_text()),
        GatewayName.WNS: ({"package_sid": wns.package_sid}, wns.client_secret),
    }[name]
    return Credential(id=1, app_id=1, gateway=name, public=public, secret=secret)


def entries(simulators: Simulators, gateway: str) -> list[Entry]:
    return simulators.ledger.page(gateway=gateway, token=None, after=0, limit=100_000)[0]


def device(number: int, marker: str = "") -> str:
    return f"dev{number}:APA91b-x{marker}"
