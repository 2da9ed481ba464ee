"""The tables. Postgres is the record of everything; `migrations/` builds exactly this."""

from pushsvc.storage.tables.apps import api_keys, apps, credentials, provider_tokens
from pushsvc.storage.tables.campaigns import campaign_runs, campaigns
from pushsvc.storage.tables.installations import (
    badges,
    installation_pointers,
    installations,
    moves,
)
from pushsvc.storage.tables.objects import audiences, class_fields, objects, relations, templates
from pushsvc.storage.tables.pushes import batches, opens, pushes, run_opens, waves
from pushsvc.storage.tables.registry import metadata
from pushsvc.storage.tables.token_events import token_events

__all__ = [
    "api_keys",
    "apps",
    "audiences",
    "badges",
    "batches",
    "campaign_runs",
    "campaigns",
    "class_fields",
    "credentials",
    "installation_pointers",
    "installations",
    "metadata",
    "moves",
    "objects",
    "opens",
    "provider_tokens",
    "pushes",
    "relations",
    "run_opens",
    "templates",
    "token_events",
    "waves",
]
