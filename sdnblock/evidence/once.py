"""``functools.cached_property`` without its lock, which costs more than most of what it keeps
(Python 3.11; later ones have none). Even so an attribute that is added to an object costs some
microseconds: what every message is asked for is better computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
Owner = TypeVar("Owner")


class once(Generic[Owner, T]):
    """An attribute that is computed when it is first asked for."""

    def __init__(self, compute: Callable[[Owner], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> once[Owner, T]: ...

    @overload
    def __get__(self, instance: Owner, owner: type[Any]) -> T: ...

    def __get__(self, instance: Owner | None, owner: type[Any]) -> once[Owner, T] | T:
        if instance is None:
            return self
        value = self._compute(instance)
        setattr(instance, self._name, value)  # not by __dict__, which would have to be made
        return value
