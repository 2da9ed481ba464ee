"""Strict APNs, FCM and WNS to send to in earnest: with a ledger, and with faults on demand.

Nothing here comes from `pushsvc.delivery`: a mistake there must not be mirrored here.
"""

from pushsvc.simulators.credentials import (
    ApnsCredential,
    BrokenCredentialError,
    Credentials,
    FcmCredential,
    WnsCredential,
)
from pushsvc.simulators.endpoints import Endpoints
from pushsvc.simulators.knobs import KnobError, Knobs, turn
from pushsvc.simulators.running import Simulators, serve

__all__ = [
    "ApnsCredential",
    "BrokenCredentialError",
    "Credentials",
    "Endpoints",
    "FcmCredential",
    "KnobError",
    "Knobs",
    "Simulators",
    "WnsCredential",
    "serve",
    "turn",
]
