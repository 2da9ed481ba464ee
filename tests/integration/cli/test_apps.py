"""Apps, keys and credentials from the command line."""

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from pushsvc.cli import session
from pushsvc.config import Settings
from pushsvc.model import App
from pushsvc.simulators.credentials import Credentials, open_credentials
from pushsvc.storage import apps
from pushsvc.storage.apps import Key, Scope
from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration


def fresh() -> str:
    return f"app-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def name(pushsvc: Pushsvc) -> str:
    """An app of this test alone."""
    name = fresh()
    assert pushsvc("app", "create", name).status == 0
    return name


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """Credentials as Apple, Google and Microsoft hand them out."""
    directory = tmp_path_factory.mktemp("credentials")
    return open_credentials(directory, token_uri="https://127.0.0.1:1/token")


def test_a_new_app_has_keys_that_work_and_are_shown_once(pushsvc: Pushsvc) -> None:
    """`app create` prints each key in clear; `app list` and `key list` never do."""
    name = fresh()

    made = pushsvc("app", "create", name, "--json").json

    assert made["app"]["name"] == name
    assert set(made["keys"]) == {"master", "rest", "javascript", "client", "api"}
    assert made["app"] in pushsvc("app", "list", "--json").json["apps"]
    listed = pushsvc("key", "list", "--app", name).out
    assert not any(key in listed for key in made["keys"].values())


def test_the_printed_api_key_opens_the_app(settings: Settings, pushsvc: Pushsvc) -> None:
    """What `key create` prints is the key, with the scopes that were asked for."""
    name = fresh()
    pushsvc("app", "create", name)
    made = pushsvc("key", "create", "--app", name, "--scope", "send,read", "--json").json

    async def owner() -> tuple[App, Key] | None:
        async with session.reached(settings) as engine, engine.connect() as connection:
            return await apps.app_of_key(connection, made["key"]["key"])

    found = asyncio.run(owner())

    assert found is not None
    assert found[0].name == name
    assert found[1].scopes == (Scope.SEND, Scope.READ)


def test_an_app_can_keep_its_parse_ids(pushsvc: Pushsvc) -> None:
    """An app that moves here keeps its application id and master key."""
    application_id = uuid.uuid4().hex

    made = pushsvc(
        *("app", "create", fresh(), "--json"),
        *("--application-id", application_id, "--master-key", "myMasterKey"),
    ).json

    assert made["app"]["application_id"] == application_id
    assert made["keys"]["master"] == "myMasterKey"


def test_a_name_that_is_taken_is_refused(pushsvc: Pushsvc, name: str) -> None:
    """Names of apps are unique."""
    ended = pushsvc("app", "create", name, "--json")

    assert ended.status == 1
    assert ended.error["code"] == "exists"
    assert name in ended.err


def test_a_revoked_key_is_listed_as_revoked(pushsvc: Pushsvc, name: str) -> None:
    """A key is revoked once; the second time there is none to revoke."""
    made = pushsvc("key", "create", "--app", name, "--scope", "read", "--json").json["key"]

    assert pushsvc("key", "revoke", str(made["id"])).status == 0

    [listed] = [
        key
        for key in pushsvc("key", "list", "--app", name, "--json").json["keys"]
        if key["id"] == made["id"]
    ]
    assert listed["revoked_at"] is not None
    assert pushsvc("key", "revoke", str(made["id"]), "--json").error["code"] == "unknown_key"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["key", "list"], id="key list"),
        pytest.param(["credential", "list"], id="credential list"),
        pytest.param(["push", "list"], id="push list"),
        pytest.param(["send", "--channel", "c", "--alert", "x"], id="send"),
    ],
)
def test_an_unknown_app_is_a_mistake(pushsvc: Pushsvc, name: str, arguments: list[str]) -> None:
    """The error lists the apps there are."""
    ended = pushsvc(*arguments, "--app", "nobody", "--json")

    assert (ended.status, ended.error["code"]) == (2, "unknown_app")
    assert name in ended.error["message"]


def test_credentials_of_all_gateways_are_stored_without_showing_secrets(
    pushsvc: Pushsvc, name: str, given: Credentials, tmp_path: Path
) -> None:
    """Each gateway's credential is added, listed by what is public, and revoked."""
    secret = tmp_path / "secret"
    secret.write_text(f"{given.wns.client_secret}\n")
    of_app = ("--app", name, "--json")
    apns, fcm = given.apns, given.fcm
    added = [
        pushsvc(
            *("credential", "add", "apns", "--p8", str(apns.p8_file), "--key-id", apns.key_id),
            *("--team-id", apns.team_id, "--topic", "com.a", "--topic", "com.b", *of_app),
        ),
        pushsvc("credential", "add", "fcm", "--service-account", str(fcm.file), *of_app),
        pushsvc(
            *("credential", "add", "wns", "--secret-file", str(secret)),
            *("--package-sid", given.wns.package_sid, *of_app),
        ),
        pushsvc(
            *("credential", "add", "wns", "--secret-file", str(secret)),
            *("--tenant", given.wns.tenant_id, "--client-id", given.wns.client_id, *of_app),
        ),
    ]

    listed = pushsvc("credential", "list", *of_app)

    assert [one.status for one in added] == [0, 0, 0, 0]
    assert listed.json["credentials"] == [one.json["credential"] for one in added]
    assert [one["gateway"] for one in listed.json["credentials"]] == ["apns", "fcm", "wns", "wns"]
    assert listed.json["credentials"][0]["topics"] == ["com.a", "com.b"]
    assert given.wns.client_secret not in listed.out
    assert "PRIVATE KEY" not in listed.out
    first = str(listed.json["credentials"][0]["id"])
    assert pushsvc("credential", "revoke", first).status == 0
    assert pushsvc("credential", "revoke", first).status == 2
    assert len(pushsvc("credential", "list", *of_app).json["credentials"]) == 3


P8 = ("apns", "--key-id", "ABCDE12345", "--team-id", "ABCDE12345", "--p8")
FCM = ("fcm", "--service-account")
WNS_SID = "ms-app://S-1-15-2-1-2-3-4-5-6-7"


@pytest.mark.parametrize(
    ("arguments", "content", "told"),
    [
        pytest.param(P8, b"", "p8 is not PEM", id="an empty p8"),
        pytest.param(P8, b"\xff\xfe", "not a text file", id="a binary p8"),
        pytest.param(
            P8, b"-----BEGIN PRIVATE KEY-----\nMIG", "p8 is damaged or cut off", id="a cut p8"
        ),
        pytest.param(P8, b"-----BEGIN CERTIFICATE-----\n", "is a certificate", id="a certificate"),
        pytest.param(FCM, b"{", "is not JSON", id="a cut service account"),
        pytest.param(FCM, b'{"project_info": {}}', "google-services.json", id="the wrong file"),
        pytest.param(FCM, b'{"type": "service_account"}', "project_id is missing", id="no project"),
        pytest.param(
            ("wns", "--package-sid", WNS_SID, "--secret-file"),
            b" \n",
            "client_secret is missing",
            id="an empty secret",
        ),
        pytest.param(
            ("wns", "--package-sid", "S-1-15", "--secret-file"),
            b"secret",
            "--package-sid is not of the form",
            id="a SID that is none",
        ),
    ],
)
def test_a_broken_file_is_refused_with_what_is_wrong(
    *, pushsvc: Pushsvc, arguments: tuple[str, ...], content: bytes, told: str, tmp_path: Path
) -> None:
    """The error names the file or the option, and nothing is stored."""
    file = tmp_path / "file"
    file.write_bytes(content)

    ended = pushsvc("credential", "add", *arguments, str(file), "--app", "any", "--json")

    assert (ended.status, ended.error["code"]) == (2, "invalid_credential")
    assert told in ended.err
    assert str(file) in ended.err or told.startswith("--")


@pytest.mark.parametrize(("option", "value"), [("--key-id", "short"), ("--team-id", "lower12345")])
def test_a_wrong_id_is_told_by_its_option(
    pushsvc: Pushsvc, given: Credentials, option: str, value: str
) -> None:
    """An id that no key of Apple's has is refused before anything is sent with it."""
    ids = {"--key-id": "ABCDE12345", "--team-id": "ABCDE12345", option: value}
    options = [word for pair in ids.items() for word in pair]

    ended = pushsvc(
        *("credential", "add", "apns", "--app", "any", "--p8", str(given.apns.p8_file)), *options
    )

    assert ended.status == 2
    assert f"{option} must be 10 capital letters and digits" in ended.err


def test_a_file_that_is_not_there_is_named(pushsvc: Pushsvc) -> None:
    """A wrong path is a mistake, not a traceback."""
    ended = pushsvc("credential", "add", "fcm", "--app", "a", "--service-account", "/no/such.json")

    assert ended.status == 2
    assert "/no/such.json: cannot be read: No such file or directory" in ended.err


def test_half_an_entra_application_is_refused(pushsvc: Pushsvc, tmp_path: Path) -> None:
    """WNS wants a package SID, or tenant and client id."""
    ended = pushsvc(
        *("credential", "add", "wns", "--app", "a", "--secret-file", str(tmp_path / "s")),
        *("--tenant", "t"),
    )

    assert ended.status == 2
    assert "--tenant and --client-id" in ended.err


def test_installations_are_imported_and_bad_lines_told(
    pushsvc: Pushsvc, name: str, tmp_path: Path
) -> None:
    """Good lines are kept, bad ones are told with number and reason and can be collected."""
    file, rejects = tmp_path / "in.ndjson", tmp_path / "rejected"
    good = [{"deviceType": "ios", "deviceToken": f"{n:064x}"} for n in range(2_500)]
    lines = [json.dumps(one) for one in good]
    lines[7:7] = ["not JSON", ""]
    lines.append('{"deviceType": "ios"}')
    file.write_text("\n".join(lines))
    command = ("installation", "import", str(file), "--app", name, "--json")

    ended = pushsvc(*command, "--rejects", str(rejects))

    assert ended.status == 1
    told = ended.json
    assert (told["lines"], told["inserted"], told["rejected"]) == (2_502, 2_500, 2)
    assert [error["line"] for error in told["errors"]] == [8, 2_503]
    assert "line 8: not JSON" in ended.err
    assert rejects.read_text() == 'not JSON\n{"deviceType": "ios"}\n'
    again = pushsvc(*command).json
    assert (again["inserted"], again["updated"]) == (0, 2_500)


def test_bad_lines_are_told_up_to_a_bound(pushsvc: Pushsvc, name: str, tmp_path: Path) -> None:
    """A file that is nothing but bad lines does not fill the terminal."""
    file = tmp_path / "in.ndjson"
    file.write_text("x\n" * 100)

    ended = pushsvc("installation", "import", str(file), "--app", name, "--json")

    assert (ended.json["rejected"], len(ended.json["errors"])) == (100, 20)
    assert len(ended.err.splitlines()) == 21


def test_an_import_keeps_the_types_of_fields(pushsvc: Pushsvc, name: str, tmp_path: Path) -> None:
    """A line whose value has another type than the field is a bad one."""
    file = tmp_path / "in.ndjson"
    scores = (1, "2", 3)
    bodies = [{"deviceType": "ios", "deviceToken": f"{n}", "score": n} for n in scores]
    file.write_text("\n".join(map(json.dumps, bodies)))

    ended = pushsvc("installation", "import", str(file), "--app", name, "--json")

    assert (ended.json["inserted"], ended.json["rejected"]) == (2, 1)
    assert ended.json["errors"] == [
        {
            "line": 2,
            "reason": "schema mismatch for _Installation.score; expected Number but got String",
        }
    ]


def test_an_import_of_good_lines_ends_well(pushsvc: Pushsvc, name: str, tmp_path: Path) -> None:
    """Exit status 0 says that every line was taken."""
    file = tmp_path / "in.ndjson"
    file.write_text('{"deviceType": "android", "installationId": "i", "deviceToken": "t"}\n')

    ended = pushsvc("installation", "import", str(file), "--app", name)

    assert ended.status == 0
    assert "1 installations new" in ended.out
