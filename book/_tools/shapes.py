"""The rule that docstrings name shapes: what it is, and who breaks it.

A public function or method whose annotations name a Tensor or an ndarray says in its docstring
which shape: letters or numbers in brackets with a comma, as in (B, K) or (n,), or "scalar", or
"any shape"; a citation's year is none. A method that overrides another may leave it to that one's
docstring.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

ARRAYS = re.compile(r"\b(?:Tensor|ndarray)\b")
NO_YEAR = r"(?![^()]*\b(?:19|20)\d\d\))"
SHAPE = re.compile(
    rf"\({NO_YEAR}(?:[^\s()]{{1,12}}|[\w+·*− -]+),(?: ?[\w.…+·*−×/ -]+,?)*\)|\bscalar|any shape"
)


def lacks_shape(member: Any) -> bool:
    """Whether a function, method or property names arrays, and its docstring no shape."""
    raw = getattr(member, "fget", None) or getattr(member, "func", None) or member
    function = inspect.unwrap(getattr(raw, "__func__", raw))
    annotations = getattr(function, "__annotations__", None) or {}
    if not any(ARRAYS.search(str(x)) for x in annotations.values()):
        return False
    return not SHAPE.search(inspect.getdoc(member) or "")


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Names and functions, methods and properties that a module defines and does not hide."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            for inner, raw in vars(thing).items():
                if not inner.startswith("_") and _callable(raw):
                    member = raw if isinstance(raw, property) else getattr(thing, inner)
                    yield f"{name}.{inner}", member


def _callable(raw: Any) -> bool:
    return inspect.isfunction(raw) or isinstance(raw, property | staticmethod | classmethod)
