"""What a caller may do: the three scopes of API keys and tokens.

``predict`` answers rows; ``models`` changes what is loaded; ``admin`` changes the server itself,
and may do everything else too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, cast, get_args

Scope: TypeAlias = Literal["predict", "models", "admin"]
Scopes: TypeAlias = frozenset[Scope]

SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYTHING: Scopes = frozenset(SCOPES)


def scopes_of(words: Iterable[str]) -> Scopes:
    """The scopes among ``words`` and those that they imply; words of others count for nothing."""
    named = EVERYTHING.intersection(words)
    return EVERYTHING if "admin" in named else named


def shown(scopes: Scopes) -> str:
    """Scopes for a message, in their order; those that another one implies are left out."""
    if "admin" in scopes:
        return "'admin'"
    return " and ".join(f"'{scope}'" for scope in SCOPES if scope in scopes) or "none"


def split_key(text: str) -> tuple[str, Scopes]:
    """``KEY`` or ``KEY:SCOPE+SCOPE`` as a key and what it may do; a key alone may do everything.

    Raises:
        ValueError: the key is empty, or what follows its last colon are no scopes.
    """
    key, colon, words = text.rpartition(":")
    if not colon:
        key, scopes = text, EVERYTHING
    else:
        named = words.split("+")
        if not EVERYTHING.issuperset(cast("list[Scope]", named)):
            raise ValueError(f"what follows the last ':' of a key is no scope: {', '.join(SCOPES)}")
        scopes = scopes_of(named)
    if not key:
        raise ValueError("a key is empty")
    return key, scopes
