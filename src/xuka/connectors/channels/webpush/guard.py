"""Lets a call out to public addresses only, and to the very address that was looked at.

A customer hands in the endpoint of a push message, so it may point into our own house: at a neighbour's port, at the
machine's metadata. A name is looked up once, every address it has must be public, and the call goes to one of those: a
second look-up, by the time the call is made, could answer something else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

Lookup = Callable[[str, int], Iterable[str]]

# In the extensions of a call: path and query of the endpoint. They are the key to somebody's browser, so they join the
# address here, underneath httpx, whose own log writes down the address of every call.
RESOURCE = "push_resource"

# How many of a name's addresses are tried.
TRIES = 3

# Gateways that carry a call to an IPv4 address hidden in the last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")


class NotPublic(Exception):
    """The endpoint is in our own house, or nowhere at all."""


def addresses(host: str, port: int) -> list[str]:
    """All addresses of this name. Raises ``OSError`` when it has none."""
    return list(dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class PublicOnly(httpx.BaseTransport):
    """Restores the endpoint's path, and sends where it may be sent.

    Args:
        lookup: addresses of a name and port; None lets everything through (a sandbox on this machine).
    """

    def __init__(self, inner: httpx.BaseTransport, lookup: Lookup | None) -> None:
        self._inner, self._lookup = inner, lookup

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it. Raises ``NotPublic`` before anything was sent, ``httpx.ConnectError`` where nobody answers."""
        if self._lookup is None:
            return self._inner.handle_request(_to(request, request.url.host))
        failed: httpx.TransportError = httpx.ConnectError("no address", request=request)
        for address in _checked(request, self._lookup)[:TRIES]:
            try:
                return self._inner.handle_request(_to(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = error
        raise failed

    def close(self) -> None:
        self._inner.close()


def is_public(address: str) -> bool:
    """Whether this address, and any that it hides, belongs to the public internet."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return all(one.is_global and not one.is_multicast for one in _with_hidden(found))


def _with_hidden(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    hidden: list[IPv4Address | IPv6Address] = [address]
    if address.sixtofour:
        hidden.append(address.sixtofour)
    if address in _NAT64:
        hidden.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return hidden


def _checked(request: httpx.Request, lookup: Lookup) -> list[str]:
    url = request.url
    try:
        found = list(lookup(url.raw_host.decode("ascii").strip("[]"), url.port or 443))
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError("no such name", request=request) from error
    if not all(is_public(address) for address in found):
        raise NotPublic
    return found


def _to(request: httpx.Request, address: str) -> httpx.Request:
    extensions = dict(request.extensions)
    resource = extensions.pop(RESOURCE, b"/")
    if address != request.url.host:
        # The certificate must still be the name's, whatever address was dialled.
        extensions["sni_hostname"] = request.url.raw_host.decode("ascii")
    url = request.url.copy_with(host=address, raw_path=resource)
    return httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
