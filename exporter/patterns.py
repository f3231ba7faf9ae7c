"""A user's regular expressions, kept from taking for ever: `re` holds the whole interpreter.

A pattern is refused where backtracking could multiply: that is read from its parsed form
when the configuration is loaded. And a text is looked at in pieces, so that one search is
short, and the loop gets its turn between two.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

if sys.version_info >= (3, 11):
    from re import _compiler as sre_compile
    from re import _constants as sre
    from re import _parser as sre_parse
else:
    import sre_compile
    import sre_constants as sre
    import sre_parse

WINDOW_CHARS = 1_024
"""What one search looks at; the next begins half of it later."""
_STEP_CHARS = WINDOW_CHARS // 2
MAX_MATCH_CHARS = 65_536
MAX_STEPS = 4 * WINDOW_CHARS
"""What trying a pattern at one place may cost, by the estimate below: linear in a piece."""
MAX_PATTERN_CHARS = 1_000
_MANY = 64
"""A repeat of up to so often or more is taken for one without an end."""

_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)
_ONE_CHARACTER = (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY)
_ALPHABET = [chr(code) for code in range(256)] + ["Ω", "中"]
"""Characters on which two classes are compared; those beyond go with the last two."""


class PatternError(ValueError):
    """Why a pattern is not taken, as a sentence about it."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """The pattern in `text`. Raises PatternError."""
    if len(text) > MAX_PATTERN_CHARS:
        raise PatternError(f"has {len(text)} characters, must be at most {MAX_PATTERN_CHARS}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pattern = re.compile(text)
            tree = sre_parse.parse(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"is no regular expression: {error}") from error
    if pattern.match(""):
        raise PatternError("matches the empty text, so it would match everywhere")
    if max(_Cost(pattern.flags).of(tree.data, [[]])) > MAX_STEPS:
        raise PatternError(
            "could take for ever: repeats that can take the same characters as what follows "
            "them; give them an end, as in {1,8}"
        )
    return pattern


def found(
    patterns: Sequence[re.Pattern[str]], text: str, start: int, end: int
) -> Iterator[tuple[int, int]]:
    """(start, end) of what matches in `text` from `start` to `end`; they may overlap.

    A match is found if it can be told within half a piece of its beginning; it then goes on for
    as long as it can.
    """
    for pattern in patterns:
        position = start
        while position < end:
            begin, stop = position, min(position + WINDOW_CHARS, end)
            position = stop if stop == end else position + _STEP_CHARS
            for match in pattern.finditer(text, begin, stop):
                first, last = match.span()
                if last == stop < end:
                    last = _whole_end(pattern, text, first, end)
                    position = max(position, last)
                if last > first:
                    yield first, last


def _whole_end(pattern: re.Pattern[str], text: str, first: int, end: int) -> int:
    """Where the match at `first` ends, which the end of a piece has cut short."""
    stop = min(first + MAX_MATCH_CHARS, end)
    match = pattern.match(text, first, stop)
    # One that is longer than what is looked at is taken to go on to the end.
    return end if match is None or match.end() == stop else match.end()


_Items = list[Any]
_Steps = tuple[int, int]
"""Steps until it has failed or matched once, and in how many ways it can match."""


class _Cost:
    """An upper bound of what trying a pattern at one place costs.

    A repeat that can end in one place alone, since what follows is not in it, is scanned once.
    Any other multiplies what follows by the number of places.
    """

    def __init__(self, flags: int) -> None:
        self._flags = flags

    def of(self, items: _Items, after: list[_Items]) -> _Steps:
        """Of `items` in sequence; `after` has all that may follow, an empty one for the end."""
        steps, ways = 0, 1
        for index, (code, argument) in enumerate(items):
            rest = items[index + 1 :]
            follow = [rest + one for one in after] if rest else after
            own_steps, own_ways = self._of_one(code, argument, follow)
            steps, ways = steps + ways * own_steps, ways * own_ways
            if max(steps, ways) > MAX_STEPS:
                break
        return steps, ways

    def _of_one(self, code: Any, argument: Any, after: list[_Items]) -> _Steps:
        steps, ways = 0, 1
        if code in _REPEATS:
            steps, ways = self._of_repeat(argument, after)
        elif code is sre.BRANCH:
            each = [self.of(list(one), after) for one in argument[1]]
            steps, ways = sum(one[0] for one in each), sum(one[1] for one in each)
        elif code is sre.SUBPATTERN:
            if argument[1] or argument[2]:
                raise PatternError("has flags inside; put (?i) and the like at its beginning")
            steps, ways = self.of(list(argument[3]), after)
        elif code in (sre.ASSERT, sre.ASSERT_NOT):
            steps = self.of(list(argument[1]), [[]])[0]
        elif code in (sre.GROUPREF, sre.GROUPREF_EXISTS):
            raise PatternError("refers to a group, which is not taken here")
        elif code not in (*_ONE_CHARACTER, sre.AT):
            # From Python 3.11 on: atomic groups and possessive repeats.
            raise PatternError(f"has {str(code).lower()}, which is not taken here")
        return steps, ways

    def _of_repeat(self, argument: Any, after: list[_Items]) -> _Steps:
        low, high, items = int(argument[0]), int(argument[1]), list(argument[2])
        ends_once = low == high or self._ends_once(items, after)
        if high >= _MANY:
            self._refuse_varying(items)
            return WINDOW_CHARS, 1 if ends_once else WINDOW_CHARS
        steps, ways = self.of(items, [items, *after])
        total, all_ways = 0, 1
        for _ in range(high):
            total, all_ways = total + all_ways * (steps + 1), all_ways * ways
            if max(total, all_ways) > MAX_STEPS:
                break
        return total, all_ways * (1 if ends_once else high - low + 1)

    def _refuse_varying(self, items: _Items) -> None:
        for code, argument in items:
            if code is sre.SUBPATTERN:
                self._refuse_varying(list(argument[3]))
            elif code is sre.BRANCH:
                firsts = [next(iter(one), (None, None)) for one in argument[1]]
                plain = {one[1] for one in firsts if one[0] is sre.LITERAL}
                if len(plain) < len(firsts) or self._flags & re.IGNORECASE:
                    raise PatternError(
                        "could take for ever: alternatives that may begin alike, in a repeat "
                        "without an end"
                    )
                for one in argument[1]:
                    self._refuse_varying(list(one))
            elif code in _REPEATS and argument[0] == argument[1]:
                self._refuse_varying(list(argument[2]))
            elif code not in (*_ONE_CHARACTER, sre.AT):
                raise PatternError(
                    "could take for ever: a repeat in a repeat without an end; write it as one "
                    "repeat, or give the outer an end, as in {1,8}"
                )

    def _ends_once(self, body: _Items, after: list[_Items]) -> bool:
        first = self._first(body)
        if first is None:
            return False
        inside = self._class(first)
        for items in after:
            follows = self._first(items)
            # At the end nothing can fail any more.
            if items and (follows is None or inside & self._class(follows)):
                return False
        return True

    def _first(self, items: _Items) -> tuple[Any, Any] | None:
        """The one character that `items` begin with, as it was parsed; None: not known."""
        for code, argument in items:
            if code in _ONE_CHARACTER:
                return code, argument
            if code in _REPEATS and argument[0] > 0:
                return self._first(list(argument[2]))
            if code is sre.SUBPATTERN:
                return self._first(list(argument[3]))
            return None
        return None

    def _class(self, item: tuple[Any, Any]) -> set[str]:
        state = sre_parse.State()
        one = sre_compile.compile(sre_parse.SubPattern(state, [item]), self._flags)
        return {letter for letter in _ALPHABET if one.match(letter)}
