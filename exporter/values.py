"""`dataclasses` in small: what it costs to make one decides how soon the extension listens.

The standard library compiles six functions for each class and asks `inspect` for its
signature, 0.7 ms each; with some fifty classes that was most of the time between the first
`/next` and the loop. Here one function is compiled, and the rest is shared. For type checkers
the names are the standard library's own, and mean the same.

Classes need `slots=True`; `frozen`, `order`, defaults, `default_factory` and inheritance work,
`__post_init__` and other options do not exist.
"""

from __future__ import annotations

# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN202, ANN204 - checkers see `dataclasses`

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
else:
    MISSING = object()

    class _Factory:
        __slots__ = ("make",)

        def __init__(self, make):
            self.make = make

    class Field:
        """A field's `name`, and its `default` or `default_factory`, else MISSING."""

        __slots__ = ("default", "default_factory", "name")

        def __init__(self, name, default):
            made = isinstance(default, _Factory)
            self.name = name
            self.default = MISSING if made else default
            self.default_factory = default.make if made else MISSING

    def field(*, default_factory):
        """The default of a field that every instance has for itself."""
        return _Factory(default_factory)

    def fields(value):
        """Of a class or an instance, in the order of its arguments."""
        return tuple(Field(name, value._defaults[name]) for name in value.__match_args__)

    def is_dataclass(value):
        """Whether a class or an instance was made here."""
        return hasattr(value, "_defaults")

    def replace(value, /, **changes):
        """A copy of `value` with `changes`."""
        for name in value.__match_args__:
            if name not in changes:
                changes[name] = getattr(value, name)
        return type(value)(**changes)

    def dataclass(*, slots, frozen=False, order=False):
        """Make a class with these fields, as `dataclasses.dataclass` does."""
        if not slots:
            raise TypeError("values have slots")
        return lambda cls: _made(cls, frozen=frozen, order=order)

    def _made(cls, *, frozen, order):
        namespace = dict(cls.__dict__)
        defaults = {
            name: default
            for base in reversed(cls.__mro__[1:])
            for name, default in getattr(base, "_defaults", {}).items()
        }
        own = tuple(getattr(cls, "__annotations__", ()))
        inherited = tuple(name for name in getattr(cls, "__match_args__", ()) if name not in own)
        for name in own:
            defaults[name] = namespace.pop(name, MISSING)
        for name in ("__dict__", "__weakref__"):
            namespace.pop(name, None)
        names = inherited + own
        namespace.update(__slots__=own, __match_args__=names, _defaults=defaults, __eq__=_equal)
        namespace.setdefault("__repr__", _written)
        namespace["__hash__"] = _hash if frozen else None
        if frozen:
            namespace.update(__setattr__=_refuse, __delattr__=_refuse)
        if order:
            namespace.update(__lt__=_less, __le__=_at_most, __gt__=_more, __ge__=_at_least)
        made = type(cls)(cls.__name__, cls.__bases__, namespace)
        made.__init__ = _initializer(made, names, defaults)
        return made

    def _initializer(cls, names, defaults):
        arguments, body, known = ["self"], [], {}
        for name in names:
            default = defaults[name]
            value = name
            known[f"_set_{name}"] = getattr(cls, name).__set__
            if default is MISSING:
                arguments.append(name)
            else:
                arguments.append(f"{name}=_default_{name}")
                known[f"_default_{name}"] = default
            if isinstance(default, _Factory):
                known[f"_make_{name}"] = default.make
                value = f"_make_{name}() if {name} is _default_{name} else {name}"
            body.append(f"  _set_{name}(self, {value})")
        source = f"def __init__({', '.join(arguments)}):\n" + ("\n".join(body) or "  pass")
        # The names are those of a class statement in our own code.
        exec(source, known)  # noqa: S102
        return known["__init__"]

    def _tuple(value):
        return tuple([getattr(value, name) for name in value.__match_args__])

    def _equal(self, other):
        if self.__class__ is not other.__class__:
            return NotImplemented
        return self is other or _tuple(self) == _tuple(other)

    def _hash(self):
        return hash(_tuple(self))

    def _written(self):
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{self.__class__.__qualname__}({told})"

    def _refuse(self, name, *_):
        raise AttributeError(f"cannot change {name!r} of a frozen {self.__class__.__name__}")

    def _less(self, other):
        return _tuple(self) < _tuple(other) if _alike(self, other) else NotImplemented

    def _at_most(self, other):
        return _tuple(self) <= _tuple(other) if _alike(self, other) else NotImplemented

    def _more(self, other):
        return _tuple(self) > _tuple(other) if _alike(self, other) else NotImplemented

    def _at_least(self, other):
        return _tuple(self) >= _tuple(other) if _alike(self, other) else NotImplemented

    def _alike(one, other):
        return one.__class__ is other.__class__


__all__ = ["MISSING", "dataclass", "field", "fields", "is_dataclass", "replace"]
