"""`python -m tests.integration.api.parse_fuzz`: more of the same, for as long as one likes."""

import asyncio
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from random import SystemRandom

from pydantic import SecretStr

from pushsvc.config import Settings
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import new_secret_key
from tests.integration.api.parse_fuzz.fuzzing import fuzz, ground
from tests.integration.embedded_fixtures import session_servers

_MOST_SEED = 2**31 - 1


def arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m tests.integration.api.parse_fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000, help="requests at random")
    parser.add_argument("--stride", type=int, default=1, help="of the tables: each so-manieth")
    parser.add_argument("--seed", type=int, help="the same seed gives the same requests")
    return parser.parse_args()


def tell(line: str) -> None:
    """Say how it goes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(told: Namespace) -> int:
    """0 when no law was broken."""
    seed = told.seed or SystemRandom().randint(1, _MOST_SEED)
    tell(f"seed {seed}")
    with session_servers() as (database_url, redis_url), tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            secret_key=SecretStr(new_secret_key()),
        )
        engine = create_engine(database_url, connections=5)
        await migrate.upgrade(engine)
        async with ground(settings, engine, Path(folder)) as place:
            found = await fuzz(place, seed=seed, cases=told.cases, stride=told.stride, tell=tell)
        await engine.dispose()
    for finding in found:
        tell(finding)
    tell(f"{len(found)} findings" if found else "no law broken")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
