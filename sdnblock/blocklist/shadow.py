"""What was last read of one sorted set, so that the next reading gives only differences.

Pure. Members are kept as Redis holds them: two spellings of one target are two
members, and the target's expiry is the later of theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from sdnblock.blocklist.changes import RefusedMembers
from sdnblock.blocklist.claims import MAX_MEMBER, printable
from sdnblock.errors import TargetError

T = TypeVar("T", bound=Hashable)

_REFUSED_SHOWN: Final = 200


class Shadow(Generic[T]):
    """One sorted set as last read. ``parse`` gives a member's target or raises TargetError."""

    def __init__(self, parse: Callable[[bytes], T]) -> None:
        self._parse = parse
        self._scores: dict[bytes, float] = {}
        # Only members that are not their target's canonical text.
        self._spellings: dict[T, set[bytes]] = {}
        self._refused: dict[bytes, tuple[str, str]] = {}
        self._refusals = 0
        # During a reading: members that it has not met yet, and what was asked for meanwhile.
        self._unseen: dict[bytes, float] | None = None
        self._asked: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._scores)

    def begin(self) -> None:
        """A reading of the whole set begins."""
        self._unseen = self._scores.copy()
        self._asked = set()

    def window(self, pairs: Iterable[tuple[bytes, float]]) -> dict[T, float | None]:
        """Take in one window of the reading; returns the expiry of every target that changed."""
        changed: dict[T, float] = {}
        assert self._unseen is not None, "window() outside of a reading"
        for member, score in pairs:
            name = _name(member)
            self._unseen.pop(name, None)
            if self._scores.get(name) == score or name in self._asked:
                continue
            if name in self._scores and name in self._refused:
                self._scores[name] = score
                continue
            target = self._understand(name, member)
            self._scores[name] = score
            if target is not None:
                changed[target] = score
        # Nearly always the one member that a target has is its canonical text.
        spelled = self._spellings
        return {t: self.expires(t) if t in spelled else score for t, score in changed.items()}

    def finish(self, at_once: int) -> Iterator[dict[T, float | None]]:
        """The reading is complete: what it has not seen is gone.

        In parts of about ``at_once`` targets; members may be asked for between them.
        """
        assert self._unseen is not None, "finish() without begin()"
        unseen = list(self._unseen)
        for start in range(0, len(unseen), at_once):
            changed: set[T] = set()
            for member in unseen[start : start + at_once]:
                if member not in self._asked:
                    changed |= self._forget(member)
            yield {target: self.expires(target) for target in changed}
        self._unseen = None
        self._asked.clear()

    def spellings(self, member: bytes) -> tuple[T, set[bytes]] | None:
        """The target that a hinted member means, and every member to ask for; None: no target."""
        try:
            target = self._parse(member)
        except TargetError:
            return None
        return target, {_canonical(target), member, *self._spellings.get(target, ())}

    def update(self, target: T, scores: Iterable[tuple[bytes, float | None]]) -> bool:
        """Take in fresh scores of ``target``'s members; whether its expiry changed."""
        before = self.expires(target)
        for member, score in scores:
            self._asked.add(member)
            if score is None:
                self._forget(member)
            else:
                self._scores[member] = score
                self._spelled(member, target)
        if self._unseen is None:
            self._asked.clear()
        return self.expires(target) != before

    def expires(self, target: T) -> float | None:
        """The latest expiry over the target's spellings; None: not in the set."""
        best = self._scores.get(_canonical(target))
        for member in self._spellings.get(target, ()):
            score = self._scores[member]
            best = score if best is None else max(best, score)
        return best

    @property
    def refusals(self) -> int:
        """Changes whenever :attr:`refused` does."""
        return self._refusals

    @property
    def refused(self) -> RefusedMembers:
        """Members that are not understood: some hundred at most, then how many more."""
        shown = list(self._refused.values())[:_REFUSED_SHOWN]
        more = len(self._refused) - len(shown)
        return [*shown, ("...", f"and {more} more")] if more else shown

    def _understand(self, name: bytes, member: bytes) -> T | None:
        try:
            target = self._parse(member)
        except TargetError as error:
            # Only the first are ever shown: the others are worth no text.
            text = (printable(member), str(error)) if self._few else ("", "")
            self._refused[name] = text
            self._refusals += 1
            return None
        self._spelled(name, target)
        return target

    def _spelled(self, member: bytes, target: T) -> None:
        if _canonical(target) != member:
            self._spellings.setdefault(target, set()).add(member)

    def _forget(self, member: bytes) -> set[T]:
        if self._scores.pop(member, None) is None:
            return set()
        if self._refused.pop(member, None) is not None:
            self._refusals += 1
            return set()
        target = self._parse(member)
        others = self._spellings.get(target)
        if others is not None:
            others.discard(member)
            if not others:
                del self._spellings[target]
        return {target}

    @property
    def _few(self) -> bool:
        return len(self._refused) < _REFUSED_SHOWN


def _canonical(target: Hashable) -> bytes:
    return str(target).encode("ascii")


def _name(member: bytes) -> bytes:
    """What stands for a member here: itself, or a digest of one too long to be a target."""
    if len(member) <= MAX_MEMBER:
        return member
    return b"\xff" + hashlib.sha256(member).digest()
