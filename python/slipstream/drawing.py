"""Drawing one of several by weight: by chance, or by a key that draws the same every time."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence


def drawn(weights: Sequence[float], routing_key: str | None) -> int:
    """The place that is drawn: each as often as its share of the weights.

    The same key draws the same place while weights and order stay: the shares are laid end to end,
    and the key's hash is a point on them. Precondition: weights ≥ 0 with a finite sum above 0.
    """
    if routing_key is None:
        point = random.random()
    else:
        digest = hashlib.blake2b(routing_key.encode(), digest_size=8).digest()
        point = int.from_bytes(digest, "big") / 2**64
    left = point * sum(weights)
    last = 0
    for place, weight in enumerate(weights):
        if weight > 0:
            last = place
            if left < weight:
                return place
        left -= weight
    return last  # rounding


def drawn_by_name(
    names: Sequence[str], weights: Sequence[float], routing_key: str, salt: str
) -> int:
    """The place that a key draws, by names: as few keys as possible move when weights change.

    Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as of Mosharaf and Schindler,
    "Weighted distributed hash tables", 2005): every name runs an exponential race at the speed of
    its weight, and the key's hash decides how long it takes. Who gains weight only wins keys, who
    loses weight only loses some; order does not matter, and scaling all weights changes nothing.

    Precondition: weights ≥ 0 with a finite sum above 0.
    """
    most = max(weights)
    best, best_time = 0, math.inf
    for place, (name, weight) in enumerate(zip(names, weights, strict=True)):
        if weight > 0:
            # -log(1 - u) over the weight's share of the largest: a share too small to divide by
            # takes for ever, and the largest one never does.
            share = weight / most
            time = _race(salt, name, routing_key) / share if share > 0 else math.inf
            if time < best_time:
                best, best_time = place, time
    return best


def _race(salt: str, name: str, routing_key: str) -> float:
    """A draw from the exponential distribution of mean 1; the same for the same words."""
    words = "\0".join((salt, name, routing_key)).encode(errors="surrogatepass")
    digest = hashlib.blake2b(words, digest_size=8).digest()
    # 52 bits and a half: never 0, never 1, exactly a double.
    return -math.log((int.from_bytes(digest, "big") >> 12) / 2**52 + 2**-53)
