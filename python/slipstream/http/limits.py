"""Limits of who calls: requests a second, and requests at once, of each client and each model.

A client is the API key it proved to have, or where keys are off its address. Behind a proxy that
the operator trusts, that is the address the proxy names in ``X-Forwarded-For``: the last one in
it that is no trusted proxy itself, since everything before it is the client's own word. Addresses
of IPv6 count by their /64, which is what one customer has.

Requests a second are a token bucket: it holds ``burst`` tokens, a request takes one, ``rps`` come
back each second. Off by default; where a limit is on, requests take the general way.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from slipstream.http.errors import RateLimitError
from slipstream.http.types import Headers
from slipstream.setting_options import ModelLimit
from slipstream.settings import Settings

MOST_CLIENTS = 10_000
"""Clients that are remembered; of more, those that came longest ago start afresh."""
_MOST_HOPS = 64
_ANY_MODEL = "*"

T = TypeVar("T")


class Allowance:
    """What one client, or one model, has left. Guarded by the lock of `Limits`."""

    __slots__ = ("_filled_at", "_tokens", "active")

    def __init__(self) -> None:
        self._tokens = math.inf
        self._filled_at = 0.0
        self.active = 0
        """Requests in progress."""

    def take(self, now_s: float, rps: float, burst: float) -> float:
        """Takes a token and returns 0, or returns the seconds until there is one."""
        refilled = self._tokens + (now_s - self._filled_at) * rps
        self._tokens, self._filled_at = min(burst, refilled), now_s
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / rps
        self._tokens -= 1.0
        return 0.0

    def give_back(self) -> None:
        """Puts a token back that was taken for nothing; the next `take` keeps to the burst."""
        self._tokens += 1.0


class Limits:
    """All limits of one server. Any thread.

    Args:
        settings: What is limited, and which proxies are trusted.
        clock: Seconds that only grow.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._rps = settings.rate_limit_rps
        self._burst = _burst(self._rps, settings.rate_limit_burst)
        self._concurrent = settings.rate_limit_concurrent
        self._proxies = settings.trusted_proxies
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: OrderedDict[str, Allowance] = OrderedDict()
        self._model_limits = {limit.model_id: limit for limit in settings.model_rate_limits}
        self._models: OrderedDict[str, Allowance] = OrderedDict()
        self.of_clients = self._rps > 0 or self._concurrent > 0
        """Whether clients are limited."""
        self.of_models = bool(self._model_limits)
        """Whether models are."""

    def client(self, peer: str, headers: Headers) -> str:
        """The address that a request is counted under.

        Args:
            peer: Who is connected: ``127.0.0.1:4711``, ``[::1]:4711``; empty on a Unix socket.
            headers: Of the request; looked at only if the peer is a trusted proxy.
        """
        address = _address(peer)
        if not self._proxies:
            return _network_of(address) or "unix"
        # A peer without an address came by a Unix socket: only a proxy on this machine can.
        if address is not None and not self._is_trusted(address):
            return _network_of(address) or "unix"
        for hop in reversed(_forwarded_for(headers)):
            found = _address(hop)
            if found is None:  # no address: nothing before it can be believed either
                break
            address = found
            if not self._is_trusted(found):
                break
        return _network_of(address) or "unix"

    def _is_trusted(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._proxies)

    def enter(self, client: str) -> None:
        """Admits one request of a client; each call that returns needs one `leave`.

        Raises:
            RateLimitError: the client has none left; says which limit, and when.
        """
        with self._lock:
            allowance = self._remembered(self._clients, client)
            if self._concurrent and allowance.active >= self._concurrent:
                raise _too_many("rate_limit_concurrent", None, self._concurrent)
            if self._rps:
                wait_s = allowance.take(self._clock(), self._rps, self._burst)
                if wait_s > 0.0:
                    raise _too_fast("rate_limit_rps", None, self._rps, self._burst, wait_s)
            allowance.active += 1

    def leave(self, client: str) -> None:
        """A request that was admitted has ended."""
        with self._lock:
            self._clients[client].active -= 1

    def start(
        self,
        model_id: str,
        start: Callable[[Callable[[T], None]], int],
        on_done: Callable[[T], None],
    ) -> int:
        """Calls ``start`` with what it must call at the end, if the model's limit allows it.

        Raises:
            RateLimitError: the model has none left. Also what ``start`` raises; then, as for the
                model itself, ``on_done`` is never called.
        """
        if not self.of_models:
            return start(on_done)
        limit = self._model_limit(model_id)
        if limit is None:
            return start(on_done)
        self._enter_model(model_id, limit)

        def done(result: T) -> None:
            self._leave_model(model_id)
            on_done(result)

        try:
            return start(done)
        except BaseException:
            self._leave_model(model_id)
            raise

    @contextlib.contextmanager
    def accepting(self, model_id: str) -> Iterator[None]:
        """Around accepting a request that is queued and runs later: a task, an entry of a stream.

        It counts as one of the model's requests a second, unless the block refuses it. Of those in
        progress it is none: how many of its kind run at once is bounded where they are queued.

        Raises:
            RateLimitError: the model has none left; before the block.
        """
        limit = self._model_limit(model_id) if self.of_models else None
        if limit is None:
            yield
            return
        with self._lock:
            self._take_of_model(model_id, limit)
        try:
            yield
        except BaseException:
            with self._lock:
                self._remembered(self._models, model_id).give_back()
            raise

    def _model_limit(self, model_id: str) -> ModelLimit | None:
        return self._model_limits.get(model_id) or self._model_limits.get(_ANY_MODEL)

    def _enter_model(self, model_id: str, limit: ModelLimit) -> None:
        with self._lock:
            allowance = self._remembered(self._models, model_id)
            if limit.concurrent and allowance.active >= limit.concurrent:
                raise _too_many("model_rate_limits", model_id, limit.concurrent)
            self._take_of_model(model_id, limit)
            allowance.active += 1

    def _take_of_model(self, model_id: str, limit: ModelLimit) -> None:
        if not limit.rps:
            return
        burst = _burst(limit.rps, limit.burst)
        allowance = self._remembered(self._models, model_id)
        wait_s = allowance.take(self._clock(), limit.rps, burst)
        if wait_s > 0.0:
            raise _too_fast("model_rate_limits", model_id, limit.rps, burst, wait_s)

    def _leave_model(self, model_id: str) -> None:
        with self._lock:
            self._models[model_id].active -= 1

    @staticmethod
    def _remembered(table: OrderedDict[str, Allowance], name: str) -> Allowance:
        """The allowance of that name, now the last to be forgotten."""
        allowance = table.get(name)
        if allowance is None:
            allowance = table[name] = Allowance()
            if len(table) > MOST_CLIENTS:
                _forget_one(table, name)
        else:
            table.move_to_end(name)
        return allowance


def _forget_one(table: OrderedDict[str, Allowance], newest: str) -> None:
    """Drops the oldest that has nothing in progress, if there is one."""
    for name, allowance in table.items():
        if allowance.active == 0 and name != newest:
            del table[name]
            return


def _burst(rps: float, wanted: int) -> float:
    return float(wanted) if wanted else max(1.0, math.ceil(rps))


def _forwarded_for(headers: Headers) -> list[str]:
    """The hops in all ``X-Forwarded-For`` headers, in order; the last ones of very many."""
    get_all: Callable[[str], Iterable[Any]] | None = getattr(headers, "get_all", None)
    if get_all is not None:
        lines = [str(line) for line in get_all("x-forwarded-for")]
    else:
        lines = [headers.get("x-forwarded-for") or ""]
    return [hop.strip() for line in lines for hop in line.split(",") if hop.strip()][-_MOST_HOPS:]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address with or without a port; an IPv4 one that is written as IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _network_of(address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> str | None:
    if address is None:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _too_fast(
    limit: str, model_id: str | None, rps: float, burst: float, wait_s: float
) -> RateLimitError:
    verb = "may make" if model_id is None else "takes"
    return RateLimitError(
        f"{_subject(model_id)} {verb} {rps:g} requests a second, {burst:g} at once "
        f"({limit.upper()}); the next is possible in {wait_s:.3g} s",
        limit=limit,
        **({} if model_id is None else {"model_id": model_id}),
        rps=rps,
        burst=burst,
        retry_after_s=wait_s,
    )


def _too_many(limit: str, model_id: str | None, concurrent: int) -> RateLimitError:
    return RateLimitError(
        f"{_subject(model_id)} may have {concurrent} requests in progress ({limit.upper()}); wait "
        "for one to end",
        limit=limit,
        **({} if model_id is None else {"model_id": model_id}),
        concurrent=concurrent,
        retry_after_s=1,
    )


def _subject(model_id: str | None) -> str:
    return "A client" if model_id is None else f"Model '{model_id}'"
