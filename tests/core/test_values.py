"""Values against the standard library's dataclasses: the same classes, made by both."""

from __future__ import annotations

import dataclasses
import operator
import sys
from typing import Any

import pytest

from exporter import values


def classes(module: Any) -> tuple[Any, Any, Any]:
    @module.dataclass(frozen=True, slots=True, order=True)
    class Point:
        """Frozen, with a default."""

        x: int
        y: int = 2

        @property
        def both(self) -> int:
            return self.x + self.y

    @module.dataclass(frozen=True, slots=True)
    class Named(Point):
        """Inherits, and has a default of its own for each."""

        name: str = ""
        seen: dict[str, int] = module.field(default_factory=dict)

    @module.dataclass(slots=True)
    class Counter:
        """Can be changed."""

        count: int = 0

    return Point, Named, Counter


OURS, THEIRS = classes(values), classes(dataclasses)


def tried(work: Any) -> Any:
    try:
        return work()
    except (TypeError, AttributeError) as error:
        return TypeError if isinstance(error, TypeError) else AttributeError


@pytest.mark.parametrize(
    "use",
    [
        lambda m, point, named, counter: point(1).both,
        lambda m, point, named, counter: repr(point(1, y=3)).rpartition(".")[2],
        lambda m, point, named, counter: repr(named(1, name="a")).rpartition(".")[2],
        lambda m, point, named, counter: (point(1) == point(1, 2), point(1) == point(2)),
        lambda m, point, named, counter: (point(1) == named(1), point(1) != 1),
        lambda m, point, named, counter: hash(point(1)) == hash(point(1, 2)),
        lambda m, point, named, counter: {point(1): 1}[point(1)],
        lambda m, point, named, counter: tried(lambda: hash(counter())),
        lambda m, point, named, counter: tried(lambda: setattr(point(1), "x", 2)),
        lambda m, point, named, counter: tried(lambda: delattr(point(1), "x")),
        lambda m, point, named, counter: tried(lambda: setattr(counter(), "other", 2)),
        lambda m, point, named, counter: tried(point),
        lambda m, point, named, counter: tried(lambda: point(1, 2, 3)),
        lambda m, point, named, counter: tried(lambda: point(1, z=3)),
        lambda m, point, named, counter: named(1).seen is not named(1).seen,
        lambda m, point, named, counter: m.replace(named(1), y=5, name="b") == named(1, 5, "b"),
        lambda m, point, named, counter: tried(lambda: m.replace(point(1), z=5)),
        lambda m, point, named, counter: [field.name for field in m.fields(named)],
        lambda m, point, named, counter: [field.default == 2 for field in m.fields(named)],
        lambda m, point, named, counter: [
            field.default_factory is m.MISSING for field in m.fields(named(1))
        ],
        lambda m, point, named, counter: (m.is_dataclass(named), m.is_dataclass(int)),
        lambda m, point, named, counter: [
            compare(point(1, 2), point(1, 3))
            for compare in (operator.lt, operator.le, operator.gt, operator.ge)
        ],
        lambda m, point, named, counter: tried(lambda: point(1) < 3),
        lambda m, point, named, counter: (point.__doc__, point.__match_args__, point.__slots__),
        pytest.param(
            lambda m, point, named, counter: named.__slots__,
            marks=pytest.mark.skipif(
                sys.version_info < (3, 11),
                reason="the dataclasses of 3.10 make slots for inherited fields again",
            ),
        ),
    ],
)
def test_a_value_behaves_as_a_dataclass(use: Any) -> None:
    """Whatever is done with it: the same answer, or the same kind of error."""
    assert use(values, *OURS) == use(dataclasses, *THEIRS)


def test_a_value_can_be_changed_where_it_is_not_frozen() -> None:
    """Its fields, as attributes."""
    counter = OURS[2]()
    counter.count += 1
    assert counter == OURS[2](1)


def test_a_value_without_slots_is_refused() -> None:
    """At the class statement."""
    with pytest.raises(TypeError, match="slots"):
        values.dataclass(slots=False)
