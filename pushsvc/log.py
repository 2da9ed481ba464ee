"""Log set-up: events with fields, as JSON lines or for a person at a terminal, on stderr."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

#: Fields whose values are device tokens or secrets; only their first characters are logged.
REDACTED_FIELDS = frozenset({"token", "device_token", "channel_uri", "authorization"})
SHOWN_CHARACTERS = 8

LogFormat = Literal["auto", "json", "console"]


def configure(*, level: str, form: LogFormat) -> None:
    """Send our events and the libraries' records to stderr, in one form.

    `auto` is `console` at a terminal and `json` elsewhere. stdout stays free for results.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their INFO tells of each job and each request; ours tell of each push and batch.
    for noisy in ("arq", "uvicorn.access", "aioapns", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def settle() -> None:
    """Keep each logger as it is put together first: the log of this process is set up.

    What its level leaves out costs next to nothing then.
    """
    structlog.configure(cache_logger_on_first_use=True)


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Cut device tokens and secrets to their first characters."""
    for name in REDACTED_FIELDS & event.keys():
        event[name] = f"{str(event[name])[:SHOWN_CHARACTERS]}…"
    return event
