"""A push that went through all there is, without gateways: batches are closed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, update

from pushsvc import pipeline
from pushsvc.model import (
    App,
    Ledger,
    NewBatch,
    OutcomeClass,
    Push,
    Source,
    Submission,
)
from pushsvc.resources import Resources
from pushsvc.stats import tally
from pushsvc.storage import batches, pushes, tables
from pushsvc.storage.ids import new_object_id
from tests.integration.pushing import apns_token, fcm_token

i = tables.installations


@dataclass(kw_only=True)
class Scene:
    """Installations by name, and pushes to them."""

    app: App
    resources: Resources
    #: name -> key, object id
    keys: dict[str, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    async def install(self, name: str, token: str | None = None, **columns: Any) -> None:
        """Store an iOS installation in the channel `all`."""
        row = {
            "app_id": self.app.id,
            "object_id": new_object_id(),
            "installation_id": f"{name}-{self.app.id}",
            "device_token": token or apns_token(),
            "device_type": "ios",
            "channels": ["all"],
        } | columns
        async with self.resources.engine.begin() as connection:
            statement = insert(i).values(row).returning(i.c.id, i.c.object_id)
            self.keys[name], self.ids[name] = (await connection.execute(statement)).one()

    async def change(self, name: str, **columns: Any) -> None:
        """Change an installation."""
        async with self.resources.engine.begin() as connection:
            await connection.execute(update(i).where(i.c.id == self.keys[name]).values(columns))

    async def remove(self, name: str) -> None:
        """Delete an installation."""
        async with self.resources.engine.begin() as connection:
            await connection.execute(delete(i).where(i.c.id == self.keys[name]))

    async def push(self, *, planned: bool = True, **changes: Any) -> Push:
        """Submit a push to the channel `all`, and plan it."""
        given = {"audience": {"channels": ["all"]}, "content": {"data": {"alert": "Hi"}}} | changes
        submission = Submission(source=Source.V1, **given)  # type: ignore[arg-type] # of all kinds
        stored = await pipeline.submit_push(self.resources, self.app, submission)
        if planned:
            await pipeline.plan_push(self.resources, stored.push.id)
        return await self.now(stored.push)

    async def now(self, push: Push) -> Push:
        """Return the push as it is now."""
        async with self.resources.engine.connect() as connection:
            return await pushes.get_push(connection, push.id)

    async def close(
        self,
        push: Push,
        seq: int,
        outcomes: Sequence[OutcomeClass],
        *,
        reasons: Mapping[str, Sequence[int]] | None = None,
        again: Sequence[int] = (),
    ) -> None:
        """Close a batch as a worker would; what is at `again` goes on into a follow-up."""
        batch = await batches.lease_batch(
            self.resources.engine, push.id, seq, lease_seconds=60, expires_at=None, badge=None
        )
        assert batch is not None
        follow_up = NewBatch(
            installation_ids=[batch.installation_ids[p] for p in again if batch.installation_ids],
            recipients=[batch.recipients[p] for p in again if batch.recipients],
            attempt=batch.attempt + 1,
        )
        ledger = Ledger(
            outcomes=bytes(outcomes),
            counts=tally.count(["ios"] * batch.size, bytes(outcomes)),
            exceptions=reasons or {},
            follow_ups=[follow_up] if again else [],
        )
        assert await batches.finish_batch(self.resources.engine, batch, ledger)
        await pipeline.close_push(self.resources, push.id)


C = OutcomeClass


async def staged(scene: Scene) -> Push:
    """Two batches of four, and a follow-up: the usual ends of devices, and of those of others."""
    token = apns_token()
    await scene.install("sent")
    await scene.install("dead")
    await scene.install("twin", token, token_shared=True)
    await scene.install("double", token, token_shared=True)
    await scene.install("retried")
    await scene.install("late")
    await scene.install("deleted")
    await scene.install("android", fcm_token(), device_type="android")
    push = await scene.push()
    await scene.close(
        push, 0, [C.OK, C.TOKEN_DEAD, C.OK, C.DEDUPLICATED], reasons={"Unregistered": [1]}
    )
    await scene.close(
        push,
        1,
        [C.RESENT, C.EXPIRED, C.OK, C.OK],
        reasons={"Stopped": [0], "Expired": [1]},
        again=[0],
    )
    await scene.close(push, 2, [C.OK])
    await scene.remove("deleted")
    return await scene.now(push)
