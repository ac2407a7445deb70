"""The plan: which entries the switches should hold, from block list and allowlist. Pure.

A switch looks a packet up as flow, then source, then longest prefix, and the first entry
that hits decides alone. So an entry weaker than one that covers it would release what the
other drops: such an entry is *lifted* to the strongest action of the targets that cover
it. What the allowlist covers whole is not planned at all; what it covers in part is
planned, and the switch's allow tables except the rest.

The plan is computed target by target, on demand, so a single change costs microseconds at
any size of the block list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sdnblock.block import Action, Flow, Prefix, Source, Target, overlaps, source_of
from sdnblock.blocklist.allow import AllowView
from sdnblock.blocklist.view import BlockView

_STRONGEST: Final = Action.DROP


class Plan:
    """The entries wanted, as a view of ``blocks`` and ``allow``, which the caller changes.

    After every change of ``blocks`` call :meth:`blocks_changed`, after one of ``allow``
    :meth:`allow_changed`: both say which targets to look at again.
    """

    def __init__(self, blocks: BlockView, allow: AllowView) -> None:
        self._blocks = blocks
        self._allow = allow
        # Only entries weaker than a drop can be lifted: these have to be found again.
        self._weak: set[Target] = set()
        self._lengths: dict[int, dict[int, int]] = {4: {}, 6: {}}
        self._prefixes: set[Prefix] = set()
        self._flows: dict[bytes, set[Flow]] = {}
        """Flows by their source address."""

    def action(self, target: Target) -> Action | None:
        """The action wanted for ``target``; None: no entry."""
        own = self._blocks.action(target)
        if own is None or self._allow.allows(target):
            return None
        if own is _STRONGEST:
            return own
        for cover in self._covers(target):
            action = self._blocks.action(cover)
            if action is not None and action.strength > own.strength:
                if self._allow.allows(cover):
                    continue
                own = action
        return own

    def targets(self) -> Iterator[Target]:
        """Every target that may have an entry; ask :meth:`action` for each."""
        return self._blocks.targets()

    def blocks_changed(self, changed: Iterable[Target]) -> set[Target]:
        """Targets whose entry may differ, after the own actions of ``changed`` did."""
        result = set(changed)
        for target in result:
            own = self._blocks.action(target)
            if own is None or own is _STRONGEST:
                self._weak.discard(target)
            else:
                self._weak.add(target)
            if isinstance(target, Prefix):
                self._index(target, own is not None)
            elif isinstance(target, Flow):
                self._index_flow(target, own is not None)
        if self._weak:
            result |= self._covered_by({each for each in result if not isinstance(each, Flow)})
        return result

    def allow_changed(self, changed: Iterable[Source | Prefix]) -> set[Target]:
        """Targets whose entry may differ, after allowlist entries came or went.

        Single addresses cost little; for prefixes every block is looked at once.
        """
        found: set[Target] = set()
        ranges = []
        for prefix in changed:
            if isinstance(prefix, Source):
                covers = (each for each in self._covers(prefix) if each in self._prefixes)
                found.update(self._flows.get(prefix.address, ()), covers, (prefix,))
            else:
                ranges.append(source_of(prefix))
        if ranges:
            found.update(
                target
                for target in self._blocks.targets()
                if any(overlaps(each, source_of(target)) for each in ranges)
            )
        return found | self._weak if found else found

    def _index(self, prefix: Prefix, present: bool) -> None:
        if present == (prefix in self._prefixes):
            return
        counts = self._lengths[prefix.family]
        if present:
            self._prefixes.add(prefix)
            counts[prefix.length] = counts.get(prefix.length, 0) + 1
            return
        self._prefixes.discard(prefix)
        counts[prefix.length] -= 1
        if not counts[prefix.length]:
            del counts[prefix.length]

    def _index_flow(self, flow: Flow, present: bool) -> None:
        flows = self._flows.setdefault(flow.source, set())
        if present:
            flows.add(flow)
            return
        flows.discard(flow)
        if not flows:
            del self._flows[flow.source]

    def _covers(self, target: Target) -> Iterator[Target]:
        """Blocked targets that could cover ``target``, itself excepted."""
        address, length = source_of(target)
        if isinstance(target, Flow):
            yield Source(address)
        bits = len(address) * 8
        number = int.from_bytes(address, "big")
        for each in self._lengths[target.family]:
            if each < length:
                cut = number >> (bits - each) << (bits - each)
                yield Prefix(cut.to_bytes(len(address), "big"), each)

    def _covered_by(self, covers: set[Target]) -> set[Target]:
        """Weak targets that one of ``covers`` contains."""
        found = set()
        lengths: dict[int, set[int]] = {4: set(), 6: set()}
        for cover in covers:
            lengths[cover.family].add(source_of(cover)[1])
        for target in self._weak:
            address, length = source_of(target)
            bits = len(address) * 8
            number = int.from_bytes(address, "big")
            for each in lengths[target.family]:
                if each > length or (each == length and not isinstance(target, Flow)):
                    continue
                cut = (number >> (bits - each) << (bits - each)).to_bytes(len(address), "big")
                cover = Source(cut) if each == bits else Prefix(cut, each)
                if cover in covers:
                    found.add(target)
                    break
        return found
