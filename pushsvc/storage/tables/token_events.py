"""What happened to the tokens of installations."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Table,
    Text,
    text,
)

from pushsvc.storage.columns import app_id, moment
from pushsvc.storage.tables.registry import metadata

# Evidence of gateways, what was made of it, and what devices and operators did. What devices do is
# written by a trigger on `installations`.
token_events = Table(
    "token_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    Column(
        "installation_id",
        BigInteger,
        ForeignKey("installations.id", ondelete="CASCADE"),
        nullable=False,
    ),
    # or channel URI, as it was then
    Column("token", Text),
    # TokenEventKind; of evidence `held` until its push is closed
    Column("kind", Text, nullable=False),
    # of evidence: who said it, what the credential must be proven good for, the OutcomeClass, the
    # gateway's word, in answer to which push, and since when it holds
    Column("gateway", Text),
    Column("scope", Text),
    Column("outcome", SmallInteger),
    Column("reason", Text),
    # No foreign key: the push may go before its events do.
    Column("push_id", BigInteger),
    moment("since"),
    moment("created_at", now=True),
    Index(None, "installation_id", "id"),
    Index(None, "push_id", "id", postgresql_where=text("push_id IS NOT NULL")),
    Index(None, "created_at"),
)
