"""Who is primary: client arbitration (P4Runtime specification, section 5).

Pure: clients are opaque tokens, notices are returned and not sent. One
:class:`Arbitration` a device. A role's name only separates elections: no role
configuration scheme is agreed upon, so a role without a configuration has
"full pipeline access" (5.2), and one with a configuration is refused with
INVALID_ARGUMENT (5.3, 1.3). Highest election ids are kept until the server
ends, which is the only way to reset them (16.2).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from finsy.proto import U128, p4r, rpc_status

from sdnblock.softswitch.refusal import (
    ALREADY_EXISTS,
    FAILED_PRECONDITION,
    NOT_FOUND,
    OK,
    RESOURCE_EXHAUSTED,
    Refusal,
    invalid,
    missing,
)

MAX_ROLES: Final = 16
MAX_CLIENTS: Final = 64
"""Streams of one role."""

Client = Hashable
Notice = tuple[Client, p4r.MasterArbitrationUpdate]

_STATUS: Final = {
    OK: "is primary",
    ALREADY_EXISTS: "is backup: another client is primary",
    NOT_FOUND: "is backup: there is no primary",
}


@dataclass(slots=True)
class _Role:
    named: bool
    clients: dict[Client, int | None] = field(default_factory=dict)
    """Election ids of live streams."""
    highest: int | None = None
    primary: Client | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What to send: ``first`` at once, ``then`` after the writes under way have ended."""

    first: list[Notice]
    then: list[Notice]


class Arbitration:
    """The elections of one device."""

    def __init__(self, device_id: int) -> None:
        self._device_id = device_id
        self._roles: dict[str, _Role] = {}
        self._role_of: dict[Client, str] = {}

    def update(self, client: Client, message: p4r.MasterArbitrationUpdate) -> Change:
        """A client's MasterArbitrationUpdate (5.4). A Refusal ends its stream."""
        name = message.role.name
        if client in self._role_of:
            self._check_same(client, message)
        elif message.device_id != self._device_id:
            raise missing(f"there is no device {message.device_id} here: {self._device_id} is")
        election = U128.decode(message.election_id) if message.HasField("election_id") else None
        role = self._roles.get(name) or self._new_role(name)
        for other, used in role.clients.items():
            if other != client and election is not None and used == election:
                raise invalid(f"election id {election} is in use by another client")
        if message.role.HasField("config"):
            raise invalid("no role configuration is supported: leave role.config unset")
        if client not in role.clients and len(role.clients) >= MAX_CLIENTS:
            raise Refusal(RESOURCE_EXHAUSTED, f"{MAX_CLIENTS} clients have this role already")
        self._roles[name] = role
        self._role_of[client] = name
        role.clients[client] = election
        return self._elect(name, role, client, election)

    def _check_same(self, client: Client, message: p4r.MasterArbitrationUpdate) -> None:
        if message.device_id != self._device_id:
            raise Refusal(FAILED_PRECONDITION, "a stream cannot change its device")
        if message.role.name != self._role_of[client]:
            raise Refusal(FAILED_PRECONDITION, "a stream cannot change its role: open another")

    def _new_role(self, name: str) -> _Role:
        if len(self._roles) >= MAX_ROLES:
            raise Refusal(RESOURCE_EXHAUSTED, f"there are {MAX_ROLES} roles already")
        return _Role(named=bool(name))

    def _elect(self, name: str, role: _Role, client: Client, election: int | None) -> Change:
        before = role.primary
        if election is not None and (role.highest is None or election >= role.highest):
            role.highest, role.primary = election, client
            others = [other for other in role.clients if other != client]
            return Change(self._notices(name, others), self._notices(name, [client]))
        if before == client:  # it stepped down
            role.primary = None
            return Change(self._notices(name, role.clients), [])
        return Change(self._notices(name, [client]), [])

    def leave(self, client: Client) -> list[Notice]:
        """A stream has ended; the notices for those who stay (5.5)."""
        name = self._role_of.pop(client, None)
        if name is None:
            return []
        role = self._roles[name]
        del role.clients[client]
        if role.primary != client:
            return []
        role.primary = None
        return self._notices(name, role.clients)

    def _notices(self, name: str, clients: dict[Client, int | None] | list[Client]) -> list[Notice]:
        return [(client, self._notice(name, client)) for client in clients]

    def _notice(self, name: str, client: Client) -> p4r.MasterArbitrationUpdate:
        role = self._roles[name]
        message = p4r.MasterArbitrationUpdate(device_id=self._device_id)
        if role.named:
            message.role.name = name
        if role.highest is not None:
            message.election_id.CopyFrom(U128.encode(role.highest))
        code = OK
        if role.primary is None:
            code = NOT_FOUND
        elif role.primary != client:
            code = ALREADY_EXISTS
        message.status.CopyFrom(rpc_status.Status(code=code, message=_STATUS[code]))
        return message

    def knows_role(self, name: str) -> bool:
        """Whether a role has ever been asked for; the default role always is there."""
        return not name or name in self._roles

    def is_primary(self, role: str, election_id: int) -> bool:
        """Whether the primary of ``role`` has this election id (12, check 2)."""
        state = self._roles.get(role)
        return state is not None and state.primary is not None and state.highest == election_id

    def is_primary_client(self, client: Client) -> bool:
        """Whether this stream is its role's primary."""
        name = self._role_of.get(client)
        return name is not None and self._roles[name].primary == client

    def primaries(self) -> list[Client]:
        """The primary of each role that has one: who gets digests and packets."""
        return [role.primary for role in self._roles.values() if role.primary is not None]
