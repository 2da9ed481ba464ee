"""Which installation a save is about: Parse's rules for one device seen under several ids. Pure.

The steps are those of Parse Server's RestWrite.handleInstallation, whose texts and codes they keep.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pushsvc.errors import InvalidInstallationError, NotFoundError
from pushsvc.storage.encoded import refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """What a save says of the device's identity; None where it says nothing."""

    #: in the URL; None for a create
    object_id: str | None = None
    #: the body repeats the URL's object id
    names_object_id: bool = False
    #: in the body
    installation_id: str | None = None
    #: in a header; it finds installations and is never stored
    header_installation_id: str | None = None
    device_token: str | None = None
    device_type: str | None = None
    app_identifier: str | None = None

    @property
    def matched_id(self) -> str | None:
        """The installation id by which an installation is looked for."""
        return self.installation_id or self.header_installation_id

    @property
    def is_plain(self) -> bool:
        """It touches nothing that tells devices apart."""
        named = (self.device_token, self.matched_id, self.device_type)
        return self.object_id is not None and not any(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An installation that shares the object id, the installation id or the token of a save."""

    id: int
    object_id: str
    installation_id: str | None
    device_token: str | None
    device_type: str
    app_identifier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do: update `target`, or create when it is None; delete `obsolete` first."""

    target: int | None
    obsolete: tuple[int, ...] = ()


def check_identified(save: Save) -> None:
    """Raise InvalidInstallationError (135) for a create that names no device."""
    if save.object_id is None and not (save.device_token or save.matched_id):
        message = (
            "at least one ID field (deviceToken, installationId) must be specified "
            "in this operation"
        )
        raise InvalidInstallationError(message)


def decide(save: Save, known: Sequence[Known]) -> Decision:
    """Return what a save does, given all installations it may be about.

    Raises:
        NotFoundError: the URL's installation is not there.
        InvalidInstallationError: 132, 135 or 136, as Parse has them.
    """
    check_identified(save)
    of_url = next((k for k in known if k.object_id == save.object_id), None)
    if save.object_id is not None:
        of_url = _checked_update(save, of_url)
        if save.is_plain:
            return Decision(target=of_url.id)
    wanted = save.matched_id
    of_id = next((k for k in known if wanted and k.installation_id == wanted), None)
    of_token = [k for k in known if save.device_token and k.device_token == save.device_token]
    found = of_id or of_url
    if found is None:
        return _decide_new(save, of_token)
    return _decide_known(save, found, of_token)


def _checked_update(save: Save, of_url: Known | None) -> Known:
    if of_url is None:
        text = "Object not found." if save.is_plain else "Object not found for update."
        raise NotFoundError(text)
    if _differ(save.installation_id, of_url.installation_id):
        refuse(136, "installationId", "installationId may not be changed in this operation")
    anonymous = not save.installation_id and not of_url.installation_id
    if anonymous and _differ(save.device_token, of_url.device_token):
        refuse(136, "deviceToken", "deviceToken may not be changed in this operation")
    if _differ(save.device_type, of_url.device_type):
        refuse(136, "deviceType", "deviceType may not be changed in this operation")
    return of_url


def _differ(sent: str | None, stored: str | None) -> bool:
    return bool(sent and stored and sent != stored)


def _decide_new(save: Save, of_token: Sequence[Known]) -> Decision:
    """The device's id is new: it is a new device, or one that was known by its token alone."""
    if save.device_type is None:
        refuse(135, "deviceType", "deviceType must be specified in this operation")
    if not of_token:
        return Decision(target=None)
    if len(of_token) == 1 and not (of_token[0].installation_id and save.matched_id):
        return Decision(target=of_token[0].id)
    if not save.installation_id:
        message = (
            "Must specify installationId when deviceToken matches multiple Installation objects"
        )
        refuse(132, "installationId", message)
    return Decision(target=None, obsolete=_obsolete(save, of_token))


def _decide_known(save: Save, found: Known, of_token: Sequence[Known]) -> Decision:
    if len(of_token) == 1 and not of_token[0].installation_id:
        # The token was known without an id: that row goes on, with what it has gathered.
        obsolete = () if found.id == of_token[0].id else (found.id,)
        return Decision(target=of_token[0].id, obsolete=obsolete)
    moved = save.device_token is not None and found.device_token != save.device_token
    if not moved:
        return Decision(target=found.id)
    if save.installation_id:
        return Decision(target=found.id, obsolete=_obsolete(save, of_token))
    if save.names_object_id and save.object_id == found.object_id:
        others = [k for k in of_token if k.id != found.id]
        return Decision(target=found.id, obsolete=_same_app(save, others))
    # Nothing in the body says which of them is the device: the doubles stay.
    return Decision(target=found.id)


def _obsolete(save: Save, of_token: Sequence[Known]) -> tuple[int, ...]:
    """Name the installations that had the token before: a reinstalled app has a new id."""
    return _same_app(save, [k for k in of_token if k.installation_id != save.installation_id])


def _same_app(save: Save, others: Sequence[Known]) -> tuple[int, ...]:
    return tuple(k.id for k in others if save.app_identifier in {None, k.app_identifier})
