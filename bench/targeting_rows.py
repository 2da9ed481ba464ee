"""The rows that queries are measured on: an app's devices, its users, and the stadiums."""

from collections.abc import Sequence
from typing import Final

from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateIndex, DropIndex

from pushsvc.storage import apps
from pushsvc.storage.tables import installation_pointers, installations, objects

_TABLES: Final = (installations, installation_pointers, objects)
#: Rows in one statement, so that progress shows.
SEED_ROWS: Final = 50_000
#: latitude, longitude and share of the devices; the rest is spread over the world
CITIES: Final[Sequence[tuple[float, float, float]]] = (
    (37.7786, -122.3893, 0.25),  # San Francisco, at the stadium
    (40.7571, -73.8458, 0.20),  # New York
    (51.5074, -0.1278, 0.15),  # London
    (35.6762, 139.6503, 0.15),  # Tokyo
    (-33.8688, 151.2093, 0.10),  # Sydney
    (-16.5, 179.99, 0.05),  # Fiji, where the longitudes begin anew
)
STADIUM: Final = CITIES[0][:2]
#: Of the distances to a city's centre, in degrees of latitude: 69 miles each.
SPREAD: Final = 0.02

#: A device, its user and where they are. Rows of one city are not beside each other.
_PEOPLE: Final = """
    people AS (
        SELECT n, least(90, greatest(-90, lat)) AS lat,
            lng - 360 * floor((lng + 180) / 360) AS lng
        FROM (
            SELECT n, coalesce(city.lat + :spread * far * sin(way), asin(2 * a - 1) * 57.29578)
                    AS lat,
                coalesce(city.lng + :spread * far * cos(way) / cos(radians(city.lat)),
                    360 * b - 180) AS lng
            FROM (
                SELECT n, sqrt(-2 * ln(1 - dice[1])) AS far, 2 * pi() * dice[2] AS way,
                    dice[1] AS a, dice[2] AS b, dice[3] AS town
                FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n,
                    LATERAL (SELECT ARRAY[
                        (hashint8extended(n, 1) & 1073741823) / 1073741824.0::float8,
                        (hashint8extended(n, 2) & 1073741823) / 1073741824.0::float8,
                        (hashint8extended(n, 3) & 1073741823) / 1073741824.0::float8
                    ] AS dice) AS rolled
            ) AS rolled LEFT JOIN unnest(
                CAST(:lats AS float8[]), CAST(:lngs AS float8[]), CAST(:ends AS float8[]),
                CAST(:starts AS float8[])
            ) AS city (lat, lng, until, since) ON town >= since AND town < until
        ) AS placed
    )
"""
_LOCATION: Final = "jsonb_build_object('__type', 'GeoPoint', 'latitude', lat, 'longitude', lng)"

_USERS: Final = text(f"""
    WITH {_PEOPLE}
    INSERT INTO objects (app_id, class_name, object_id, fields, latitude, longitude)
    SELECT :app_id, '_User', 'u' || lpad(to_hex(n), 9, '0'), jsonb_build_object(
        'username', 'user-' || n, 'location', {_LOCATION}), lat, lng
    FROM people ORDER BY n
""")  # noqa: S608 - of constants
_DEVICES: Final = text(f"""
    WITH {_PEOPLE}
    INSERT INTO installations (app_id, object_id, installation_id, device_token, device_type,
        app_identifier, locale_identifier, time_zone, channels, custom, latitude, longitude)
    SELECT :app_id, 'b' || lpad(to_hex(n), 9, '0'), md5('i' || n)::uuid::text,
        md5(n::text) || md5('t' || n), 'ios', 'com.example.bench',
        (ARRAY['en-US', 'fr-FR', 'de-DE'])[1 + n % 3], 'Europe/Paris',
        ARRAY['c' || (hashint8(n) & 16383)] || CASE WHEN hashint8extended(n, 4) & 127 < 13
            THEN ARRAY['Giants'] ELSE '{{}}' END,
        jsonb_build_object(
            'plan', CASE WHEN hashint8extended(n, 5) & 127 < 7 THEN 'pro' ELSE 'free' END,
            'scores', hashint8extended(n, 6) & 1 = 1,
            'user', jsonb_build_object('__type', 'Pointer', 'className', '_User', 'objectId',
                'u' || lpad(to_hex(n), 9, '0')),
            'location', {_LOCATION}),
        lat, lng
    FROM people ORDER BY n
""")  # noqa: S608 - of constants
_POINTERS: Final = text("""
    INSERT INTO installation_pointers (installation_id, target, key, reachable, token_shared)
    SELECT id, target, hashtextextended(target, 0), true, token_shared
    FROM installations, installation_targets(app_id, custom) AS target
""")
#: Triggers and foreign keys cost each row; what they would have kept is written afterwards.
_BY_SETS: Final = text("SET LOCAL session_replication_role = replica")
_BADGES: Final = text("INSERT INTO badges (installation_id) SELECT id FROM installations")
_FIELDS: Final = text("""
    INSERT INTO class_fields (app_id, class_name, field, type, target_class) VALUES
        (:app_id, '_Installation', 'plan', 'String', NULL),
        (:app_id, '_Installation', 'scores', 'Boolean', NULL),
        (:app_id, '_Installation', 'user', 'Pointer', '_User'),
        (:app_id, '_Installation', 'location', 'GeoPoint', NULL),
        (:app_id, '_User', 'username', 'String', NULL),
        (:app_id, '_User', 'location', 'GeoPoint', NULL)
""")


async def write(engine: AsyncEngine, devices: int, *, progress: Progress) -> int:
    """Write so many devices of one app, and a user for each; return the app's id.

    Indexes that are no constraint are built afterwards: one by one they cost a multiple.
    """
    indexes = [index for table in _TABLES for index in table.indexes]
    task = progress.add_task("write rows", total=2 * devices + len(indexes) * SEED_ROWS)
    async with engine.begin() as connection:
        app = await apps.create_app(connection, name="bench")
        await connection.execute(_FIELDS, {"app_id": app.id})
        for index in indexes:
            await connection.execute(DropIndex(index))
    shares = [share for *_, share in CITIES]
    parameters = {
        "app_id": app.id,
        "spread": SPREAD,
        "lats": [latitude for latitude, *_ in CITIES],
        "lngs": [longitude for _, longitude, _ in CITIES],
        "starts": [sum(shares[:place]) for place in range(len(shares))],
        "ends": [sum(shares[: place + 1]) for place in range(len(shares))],
    }
    for statement in (_USERS, _DEVICES):
        for first in range(1, devices + 1, SEED_ROWS):
            last = min(first + SEED_ROWS - 1, devices)
            async with engine.begin() as connection:
                await connection.execute(_BY_SETS)
                await connection.execute(statement, parameters | {"first": first, "last": last})
            progress.advance(task, last - first + 1)
    async with engine.begin() as connection:
        await connection.execute(_BY_SETS)
        await connection.execute(_POINTERS)
        await connection.execute(_BADGES)
    for index in indexes:
        async with engine.begin() as connection:
            await connection.execute(CreateIndex(index))
        progress.advance(task, SEED_ROWS)
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
        # What autovacuum does within a minute of such an import.
        await connection.execute(text("VACUUM ANALYZE"))
        await connection.execute(text("CHECKPOINT"))
    return app.id
