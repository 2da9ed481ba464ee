"""Where the simulators listen and what to send with: all a sender must be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pushsvc.simulators.credentials import Credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses and credentials; URLs have no slash at their end."""

    #: PEM; what TLS clients must trust.
    ca_file: Path
    #: `https://127.0.0.1:PORT`; POST /3/device/{token}, HTTP/2.
    apns_url: str
    #: `https://127.0.0.1:PORT`; POST /v1/projects/{project}/messages:send.
    fcm_url: str
    #: `https://127.0.0.1:PORT/token`; the same server as `fcm_url`.
    fcm_token_url: str
    #: `127.0.0.1:PORT`: connect here, but keep the channel URI's host in SNI and Host.
    wns_address: str
    #: Partner Center's endpoint, `.../accesstoken.srf`.
    wns_token_url: str
    #: Entra's endpoint, a template: `.../{tenant}/oauth2/v2.0/token`.
    wns_entra_url: str
    #: Plain HTTP, see docs/simulators.md.
    control_url: str
    credentials: Credentials

    def as_json(self) -> dict[str, Any]:
        """All of it, secrets included: they open nothing but the simulators."""
        apns, fcm, wns = self.credentials.apns, self.credentials.fcm, self.credentials.wns
        addresses = {
            name: str(getattr(self, name)) for name in self.__slots__ if name != "credentials"
        }
        return addresses | {
            "credentials": {
                "apns": {
                    "key_id": apns.key_id,
                    "team_id": apns.team_id,
                    "topics": list(apns.topics),
                    "p8_file": str(apns.p8_file),
                    "p8": apns.p8,
                },
                "fcm": {"file": str(fcm.file), "service_account": dict(fcm.service_account)},
                "wns": {
                    "file": str(wns.file),
                    "package_sid": wns.package_sid,
                    "client_secret": wns.client_secret,
                    "tenant_id": wns.tenant_id,
                    "client_id": wns.client_id,
                },
            }
        }
