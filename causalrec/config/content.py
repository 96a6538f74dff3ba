"""Values told apart by what they hold, so that what follows from one is worked out once for all jobs of a launch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Content(Generic[T]):
    """A value as a key: equal to another one of the same `text`. What holds it must not change it.

    >>> Content.of([1]) == Content.of([1]), Content.of([1]) == Content.of([True])
    (True, False)
    """

    text: str
    value: T = field(compare=False)

    @classmethod
    def of(cls, value: T) -> Content[T]:
        """Return plain values (of YAML, say) as a key: all of it is in their `repr`."""
        return cls(repr(value), value)
