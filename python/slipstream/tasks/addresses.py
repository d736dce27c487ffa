"""The wall: to which URLs and addresses this server may be made to talk.

Whoever may submit a task, or ask for a download, chooses a URL that *this* machine then talks to,
from inside its network. So only public addresses are allowed, whatever the name in front of them,
except for hosts that the operator has listed. A URL is taken apart once, here, and put together
again from the parts by whoever connects: two parsers that read one URL differently are how such
walls are climbed.

The ranges are those of the IANA special-purpose address registries (RFC 6890), beyond what
`ipaddress` of older Pythons knows of them.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from slipstream.errors import InvalidInputError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MOST_URL_CHARACTERS = 2048
_VISIBLE = re.compile(r"[\x21-\x7e]*")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORTS = {"http": 80, "https": 443}

_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "100.64.0.0/10",  # shared; a cloud's metadata is at 100.100.100.200
        "168.63.129.16/32",  # a cloud's own services, on an address that looks public
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata is at 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "240.0.0.0/4",  # reserved, and broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b:1::/48",  # translation, local
        "100::/64",  # discarded
        "2001::/23",  # protocol assignments: Teredo, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local
        "fd00::/8",  # private; a cloud's metadata is at fd00:ec2::254
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REFUSED_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "onion")
"""Names in these domains are never public, whatever a resolver says."""


class Target(NamedTuple):
    """A URL, taken apart."""

    scheme: str
    host: str
    """A name in lower case, or an address."""
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> IpAddress | None:
        """The host if it is an address and not a name."""
        return _as_address(self.host)


class Wall:
    """What may be talked to. Any thread.

    Args:
        allowed_hosts: Names or addresses that may be private, each with ``:port`` or not.
        key: What the URL is called where it is given, for messages.
        remedy: The setting that lists allowed hosts, likewise.
    """

    def __init__(
        self,
        allowed_hosts: Iterable[str],
        key: str = "callback_url",
        remedy: str = "CALLBACK_ALLOWED_HOSTS",
    ) -> None:
        self._key = key
        self._remedy = remedy
        self._allowed = frozenset(host.lower().rstrip(".") for host in allowed_hosts)

    def is_listed(self, target: Target) -> bool:
        """Whether the operator allows this host, wherever it is."""
        return not self._allowed.isdisjoint((target.host, target.authority, _with_port(target)))

    def target(self, url: str) -> Target:
        """Takes a URL apart, and refuses what can be told from it alone.

        Raises:
            InvalidInputError: no URL, another scheme, or a host that is not public.
        """
        target = parsed(url, self._key)
        if self.is_listed(target):
            return target
        if target.scheme != "https":
            raise self._refusal(
                f"it is plain http, which only hosts that the operator allows may be told by "
                f"({self._remedy})"
            )
        address = target.address
        if address is not None:
            self.check((address,), target)
        elif any(
            target.host == name or target.host.endswith(f".{name}") for name in _REFUSED_NAMES
        ):
            raise self._refusal(f"{target.host} is not a public host ({self._remedy})")
        elif "." not in target.host:
            raise self._refusal(f"{target.host} is a name of a local network ({self._remedy})")
        return target

    def check(self, addresses: Iterable[IpAddress], target: Target) -> None:
        """Refuses a host of which any address is not public.

        Raises:
            InvalidInputError: names the host, not the address: that would map the network.
        """
        if not self.is_listed(target) and not all(map(is_public, addresses)):
            raise self._refusal(f"{target.host} is not at a public address ({self._remedy})")

    def _refusal(self, reason: str) -> InvalidInputError:
        return _refusal(reason, self._key)


def is_public(address: IpAddress) -> bool:
    """Whether an address is one that anybody on the internet could reach."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        inner = address.ipv4_mapped or address.sixtofour or _inside_nat64(address)
        if inner is not None:  # who connects to it arrives at the IPv4 address
            return is_public(inner)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _REFUSED)
    )


def _inside_nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(address.packed[-4:]) if address in _NAT64 else None


def parsed(url: str, key: str = "callback_url") -> Target:
    """The parts of a URL; ``key`` is what it is called in messages.

    Raises:
        InvalidInputError: it is none, or one that parsers might read differently.
    """
    if len(url) > _MOST_URL_CHARACTERS:
        raise _refusal(f"it has more than {_MOST_URL_CHARACTERS} characters", key)
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        raise _refusal(
            "it holds spaces, '\\' or characters outside ASCII; write them percent-encoded, and "
            "names of hosts in Punycode",
            key,
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refusal(f"it is no URL: {error}", key) from None
    if parts.scheme not in _PORTS:
        raise _refusal("it does not begin with https:// or http://", key)
    if "@" in parts.netloc:
        raise _refusal("it holds a user name or password", key)
    if parts.fragment or url.endswith("#"):
        raise _refusal("it holds a fragment (#…), which is never sent", key)
    if port == 0:
        raise _refusal("its port is 0", key)
    host = (parts.hostname or "").rstrip(".")
    _check_host(host, "[" in parts.netloc, key)
    host = str(_as_address(host) or host)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.startswith("/"):
        raise _refusal("its path does not begin with '/'", key)
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def _check_host(host: str, bracketed: bool, key: str) -> None:
    if bracketed:
        if not isinstance(_as_address(host), ipaddress.IPv6Address) or "%" in host:
            raise _refusal("what stands in brackets is no IPv6 address", key)
        return
    labels = host.split(".")
    if not host or len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise _refusal("it names no host", key)
    if _as_address(host) is None and _is_odd_address(host):
        raise _refusal("its host is an IPv4 address written in an unusual way; write a.b.c.d", key)


def _is_odd_address(host: str) -> bool:
    """Whether a resolver would take the name for an address: ``2130706433``, ``0177.1``."""
    try:
        socket.inet_aton(host)
    except OSError:
        last = host.rpartition(".")[2]
        return last.isdecimal() or last.startswith("0x")
    return True


def _as_address(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _with_port(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _refusal(reason: str, key: str) -> InvalidInputError:
    return InvalidInputError(f"'{key}' is not valid: {reason}", key=key)
