"""Calls of remotes through our servers: when each begins and ends, as far as SIP tells.

A call begins when our server goes on with an INVITE (it answers more than 100 and no challenge)
and ends with a final answer of 300 or more, or with a BYE: ours, or the remote's that our
server did not refuse. A BYE can be missed. So a call also ends when nothing was heard of it
for ``silence`` seconds: no re-INVITE or UPDATE, as session timers send them (RFC 4028); or for
the interval that its Session-Expires promised.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdnblock.block import Flow
from sdnblock.detect.fraud.profiles import dialled
from sdnblock.evidence.events import SipSeen

_REFUSED: Final = frozenset({401, 403, 407, 422, 428, 433, 436, 437, 438, 494})
"""Final answers that concern the request and no call: challenges and policy."""
_ENDS: Final = frozenset({*range(200, 300), 408, 481})
"""Answers to a BYE after which the call is over (RFC 3261, 15.1.1)."""
_INVITE_WAIT: Final = 180.0
"""Seconds for an INVITE to be answered (RFC 3261, 16.6, timer C)."""
_BYE_WAIT: Final = 32.0
"""Seconds after which a BYE whose answer nobody saw counts (RFC 3261, 17.1.2.2, timer F)."""
_MARGIN: Final = 32.0
_MOST: Final = 200_000
_TAGS: Final = 8
_SAMPLED: Final = 300.0
"""Seconds after which a call has ended of which only a switch's samples tell."""

METHODS: Final = frozenset({"INVITE", "UPDATE", "BYE"})
"""Requests that calls are made of."""

CallKey = tuple[bytes, str]
"""(remote address, Call-ID)."""


@dataclass(slots=True)
class Call:
    """A call of a remote, from the INVITE that our server went on with."""

    key: CallKey
    user: str
    """The user of the credential, else of the From."""
    authenticated: bool
    """Whether ``user`` is that of a credential that our server took."""
    number: str
    flow: Flow
    began: float
    heard: float
    """When something was heard of it last."""
    silence: float
    answered: float | None = None
    proven: bool = False
    """Whether the INVITE needed a round trip with the remote."""
    bye: float | None = None
    from_tag: str = ""
    to_tags: tuple[str, ...] = ()
    """Ours; several where the call was forked."""

    @property
    def source(self) -> bytes:
        """Whose call it is."""
        return self.flow.source


class Calls:
    """Invitations and calls under way, bounded in number and time."""

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._invited: OrderedDict[tuple[bytes, str, int], Call] = OrderedDict()
        self._calls: OrderedDict[CallKey, Call] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, key: CallKey) -> Call | None:
        """A call under way."""
        return self._calls.get(key)

    def request(self, event: SipSeen) -> Call | None:
        """A new request of a remote; the call, if it went on by that (re-INVITE, UPDATE)."""
        message = event.message
        key = (event.source, message.call_id)
        call = self._calls.get(key)
        if message.method == "INVITE" and call is None and not message.to_tag:
            self._invite(event)
        elif call is not None and message.method == "BYE":
            # Only one that names the dialog: others end nothing, and must not lower a count.
            if message.from_tag == call.from_tag and message.to_tag in call.to_tags:
                call.bye = event.time
        elif call is not None and message.method in ("INVITE", "UPDATE"):
            return self._hear(call, event.time)
        return None

    def response(self, event: SipSeen) -> tuple[Call | None, Call | None]:
        """A response of ours: the call that began by it, and the one that ended."""
        message = event.message
        number, method = message.cseq
        if method == "BYE":
            return None, self._bye_answered(event)
        if method != "INVITE" or message.status <= 100:
            return None, None
        invited = self._invited.get((event.destination, message.call_id, number))
        if invited is not None and message.status in _REFUSED:
            del self._invited[event.destination, message.call_id, number]
            begun = self._calls.get(invited.key) is invited
            return None, self._calls.pop(invited.key) if begun else None
        began = self._progress(invited, event) if invited is not None else None
        call = self._calls.get((event.destination, message.call_id))
        if call is None or invited is None:
            return began, None
        if message.status >= 200:
            del self._invited[event.destination, message.call_id, number]
        if message.status >= 300:
            return began, self._calls.pop(call.key)
        self._hear(call, event.time)
        if not event.sampled:
            call.silence = self._silence
        if message.to_tag not in call.to_tags and len(call.to_tags) < _TAGS:
            call.to_tags += (message.to_tag,)
        if message.status >= 200:
            call.answered = event.time
            expires = message.session_expires
            if expires:
                call.silence = min(call.silence, expires + _MARGIN)
        return began, None

    def ours(self, event: SipSeen) -> Call | None:
        """A request of ours to a remote; the call that ended by it."""
        message = event.message
        key = (event.destination, message.call_id)
        call = self._calls.get(key)
        if call is None:
            return None
        if message.method == "BYE":
            return self._calls.pop(key)
        if message.method in ("INVITE", "UPDATE"):
            self._hear(call, event.time)
        return None

    def expire(self, now: float) -> Iterator[Call]:
        """Forget invitations that nobody answered; the calls that must have ended by now."""
        while self._invited:
            key, oldest = next(iter(self._invited.items()))
            if now - oldest.began <= _INVITE_WAIT and len(self._invited) <= _MOST:
                break
            del self._invited[key]
        for call in [call for call in self._calls.values() if _is_over(call, now)]:
            yield self._calls.pop(call.key)
        while len(self._calls) > _MOST:
            yield self._calls.popitem(last=False)[1]

    def _invite(self, event: SipSeen) -> None:
        message, digest = event.message, event.message.authorization
        address, sender = message.request_uri, message.from_
        user = digest.get("username") if digest is not None else ""
        flow = Flow(
            event.protocol, event.source, event.source_port,
            event.destination, event.destination_port,
        )  # fmt: skip
        self._invited[event.source, message.call_id, message.cseq[0]] = Call(
            (event.source, message.call_id), user or (sender.user if sender else ""), bool(user),
            dialled(address.user if address else ""), flow, event.time, event.time, _SAMPLED,
            from_tag=message.from_tag,
        )  # fmt: skip
        if len(self._invited) > _MOST:
            self._invited.popitem(last=False)

    def _progress(self, invited: Call, event: SipSeen) -> Call | None:
        """The call, if it begins with this answer."""
        if invited.key in self._calls:
            return None
        invited.began = invited.heard = event.time
        self._calls[invited.key] = invited
        return invited

    def _bye_answered(self, event: SipSeen) -> Call | None:
        key, status = (event.destination, event.message.call_id), event.message.status
        call = self._calls.get(key)
        if call is None or call.bye is None or status < 200:
            return None
        if status in _ENDS:
            return self._calls.pop(key)
        call.bye = None
        return None

    @staticmethod
    def _hear(call: Call, now: float) -> Call:
        call.heard, call.bye = now, None
        return call


def _is_over(call: Call, now: float) -> bool:
    if call.bye is not None and now - call.bye > _BYE_WAIT:
        return True
    return now - call.heard > (call.silence if call.answered is not None else _INVITE_WAIT)
