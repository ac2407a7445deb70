"""One device: its pipeline, its elections, and its events on their way to the primary."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from finsy.proto import p4r

from sdnblock.errors import SdnblockError
from sdnblock.softswitch.arbitration import Arbitration, Notice
from sdnblock.softswitch.dataplane import Dataplane, Event, RemoteDigest, SampledPacket
from sdnblock.softswitch.digests import Sent
from sdnblock.softswitch.packetin import digest_data, digest_list, packet_in
from sdnblock.softswitch.pipeline import Pipelines, compiled_schema
from sdnblock.softswitch.refusal import FAILED_PRECONDITION, Refusal, denied, invalid, missing
from sdnblock.softswitch.state import State
from sdnblock.softswitch.store import ConfigStore

_BACKLOG: Final = 4096
"""Packets and digest lists that wait for a slow client; later ones are lost."""

_EVENTS_WAITING: Final = 65536
_EVENTS_AT_ONCE: Final = 200
"""Events dealt with between two turns of the event loop: some milliseconds."""

_log = logging.getLogger(__name__)


async def pause() -> None:
    """Let the event loop serve others."""
    await asyncio.sleep(0)


class Stream:
    """One StreamChannel: what waits to be sent on it."""

    def __init__(self) -> None:
        self._waiting: deque[p4r.StreamMessageResponse] = deque()
        self._arrived = asyncio.Event()
        self.lost = 0

    def send(self, message: p4r.StreamMessageResponse, droppable: bool = False) -> None:
        """Queue a message; if the client is far behind, one that is droppable is lost."""
        if self.stuck or (droppable and len(self._waiting) >= _BACKLOG):
            self.lost += 1
            return
        self._waiting.append(message)
        self._arrived.set()

    @property
    def stuck(self) -> bool:
        """Whether even what is never dropped has piled up: the client does not read."""
        return len(self._waiting) >= 2 * _BACKLOG

    async def next(self) -> p4r.StreamMessageResponse:
        """The next message to send."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


class Device:
    """What the servicer works on. Everything runs in one event loop."""

    def __init__(
        self,
        dataplane: Dataplane,
        device_id: int = 1,
        store: ConfigStore | None = None,
        on_load: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes over what the data plane runs, if ``store`` knows it. Raises SdnblockError.

        ``on_load`` is called whenever another program has been put in force.
        """
        self._on_load = on_load
        self._identity = dataplane.identity if dataplane.loaded else ""
        self.device_id = device_id
        self.dataplane = dataplane
        self.arbitration = Arbitration(device_id)
        self.pipelines = Pipelines(dataplane, compiled_schema(), store)
        self.lock = asyncio.Lock()
        """Held by writes from beginning to end, and by reads while they begin, so that no
        request sees half of another (specification 13.4)."""
        self._reads = 0
        self._read_ended = asyncio.Event()
        self._watched: int | None = None
        self._events: deque[Event] = deque()
        self._spreading = False
        self._timer: asyncio.TimerHandle | None = None

    # Checks that come before anything else (12, 14).

    def check_device(self, device_id: int) -> None:
        """Raises Refusal NOT_FOUND."""
        if device_id != self.device_id:
            raise missing(f"there is no device {device_id} here: {self.device_id} is")

    def check_primary(self, device_id: int, role: str, election_id: int | None) -> None:
        """Raises Refusal NOT_FOUND for device or role, PERMISSION_DENIED for a backup."""
        self.check_device(device_id)
        if not self.arbitration.knows_role(role):
            raise missing(f"there is no role {role[:64]!r}")
        if election_id is None or not self.arbitration.is_primary(role, election_id):
            raise denied("not the primary: only the primary may write")

    def state(self) -> State:
        """The pipeline that reads and writes refer to. Raises Refusal FAILED_PRECONDITION."""
        current = self.pipelines.current
        if current is None:
            raise Refusal(
                FAILED_PRECONDITION, "no pipeline yet: SetForwardingPipelineConfig comes first"
            )
        return current

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Around a read that goes on without the lock: the pipeline stays as it is."""
        self._reads += 1
        try:
            yield
        finally:
            self._reads -= 1
            self._read_ended.set()

    async def no_reads(self) -> None:
        """Wait until no read is under way; with the lock held none can begin."""
        while self._reads:
            self._read_ended.clear()
            await self._read_ended.wait()

    # Streams.

    async def arbitrate(self, stream: Stream, message: p4r.MasterArbitrationUpdate) -> None:
        """A client's MasterArbitrationUpdate. A Refusal ends its stream."""
        was_primary = self.arbitration.is_primary_client(stream)
        change = self.arbitration.update(stream, message)
        _deliver(change.first)
        if not change.then:
            return
        async with self.lock:  # writes of the primary before this one end first (5.4)
            pass
        # Meanwhile another one may have become primary, and this stream been told.
        if self.arbitration.is_primary_client(stream):
            if not was_primary:
                self._forget_digests()
            _deliver(change.then)

    def leave(self, stream: Stream) -> None:
        """A stream has ended: those who stay are told."""
        _deliver(self.arbitration.leave(stream))
        if stream.lost:
            _log.warning("%d messages to a slow client were lost", stream.lost)

    def acknowledge(self, stream: Stream, ack: p4r.DigestListAck) -> p4r.StreamError | None:
        """A DigestListAck; the error to report, if it is wrong (16.6)."""
        state = self.pipelines.committed
        error = p4r.StreamError()
        error.digest_list_ack.digest_list_ack.CopyFrom(ack)
        try:
            if not self.arbitration.is_primary_client(stream):
                raise denied("not the primary: its digests are not yours to acknowledge")
            if state is None or ack.digest_id not in state.pipeline.schema.digests:
                raise invalid(f"there is no digest {ack.digest_id:#010x}")
        except Refusal as refusal:
            error.canonical_code, error.message = refusal.code, refusal.message
            return error
        queue = state.digests.get(ack.digest_id)
        if queue is not None:
            queue.ack(ack.list_id)
        return None

    # Events.

    def pipeline_set(self) -> None:
        """After each SetForwardingPipelineConfig, also one that failed."""
        self.watch_events()
        identity = self.dataplane.identity if self.dataplane.loaded else ""
        if identity != self._identity:
            self._identity = identity
            self._on_load()

    def watch_events(self) -> None:
        """Follow the data plane's event descriptor, which changes with each load."""
        descriptor = self.dataplane.event_fd
        loop = asyncio.get_running_loop()
        if self._watched is not None:
            loop.remove_reader(self._watched)
        if descriptor is not None:
            loop.add_reader(descriptor, self._on_events)
        self._watched = descriptor

    def unwatch_events(self) -> None:
        """Stop following events and timers."""
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_events(self) -> None:
        try:
            events = self.dataplane.events()
        except SdnblockError as error:
            _log.error("cannot read the data plane's events: %s", error)
            self.unwatch_events()
            return
        room = _EVENTS_WAITING - len(self._events)
        if len(events) > room:
            _log.warning("%d events of the data plane were lost: too many", len(events) - room)
        self._events.extend(events[:room])
        self._spread()

    def _spread(self) -> None:
        """Tell the primaries of waiting events, some at a time."""
        state = self.pipelines.committed
        primaries = self._primaries()
        if state is None or not primaries:
            self._events.clear()  # nobody to tell
            return
        for _ in range(min(_EVENTS_AT_ONCE, len(self._events))):
            event = self._events.popleft()
            if isinstance(event, SampledPacket):
                message = p4r.StreamMessageResponse(packet=packet_in(state.pipeline.schema, event))
                for primary in primaries:
                    primary.send(message, droppable=True)
            else:
                self._on_digest(state, event)
        self._arm(state)
        if self._events and not self._spreading:
            self._spreading = True
            asyncio.get_running_loop().call_soon(self._spread_on)

    def _spread_on(self) -> None:
        self._spreading = False
        self._spread()

    def _on_digest(self, state: State, event: RemoteDigest) -> None:
        for number, name in state.pipeline.schema.digests.items():
            queue = state.digests.get(number)
            if name == event.name and queue is not None:
                self._send_list(number, queue.offer(digest_data(event), time.monotonic()))

    def _send_list(self, digest_id: int, sent: Sent | None) -> None:
        if sent is None:
            return
        message = p4r.StreamMessageResponse(
            digest=digest_list(digest_id, sent.list_id, sent.data, time.time_ns())
        )
        for primary in self._primaries():
            primary.send(message, droppable=True)

    def _arm(self, state: State) -> None:
        """Wake up when the oldest buffered digest has waited long enough."""
        deadlines = [queue.deadline() for queue in state.digests.values()]
        waiting = [deadline for deadline in deadlines if deadline is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if waiting:
            delay = max(0.0, min(waiting) - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        state = self.pipelines.committed
        if state is None:
            return
        now = time.monotonic()
        for number, queue in state.digests.items():
            self._send_list(number, queue.due(now))
        self._arm(state)

    def _forget_digests(self) -> None:
        state = self.pipelines.committed
        for queue in state.digests.values() if state is not None else ():
            queue.forget()

    def _primaries(self) -> list[Stream]:
        return [each for each in self.arbitration.primaries() if isinstance(each, Stream)]


def _deliver(notices: list[Notice]) -> None:
    for stream, update in notices:
        assert isinstance(stream, Stream)
        stream.send(p4r.StreamMessageResponse(arbitration=update))
