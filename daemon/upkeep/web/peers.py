"""Peers: who is at the other end of a connection, and whose word about it is taken."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import request

from upkeep.web.rooms import rooms


def believed() -> bool:
    """Whether the request comes from a trusted proxy, whose headers are believed."""
    return _trusted(request.remote_addr or "")


def client_address() -> str:
    """Where the request came from: the last address of X-Forwarded-For that no trusted proxy of ours has, if one of
    them hands the request over; else the other end of the connection. Anybody can write the entries before that one."""
    address = request.remote_addr or ""
    forwarded = [entry.strip() for line in request.headers.getlist("X-Forwarded-For") for entry in line.split(",")]
    while forwarded and _trusted(address):
        before = forwarded.pop()
        if _parsed(before) is None:
            break
        address = before
    return address


def _trusted(address: str) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in rooms().trusted_proxies)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
