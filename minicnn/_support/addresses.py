"""Which network addresses minicnn requests, and which redirects it follows.

A server may redirect a request to any address. Three rules say what minicnn follows:

- A secure address may lead to secure ones only, and no address may lead to a local file.
- No redirect leads from the public network into a private one (this machine, the home or company
  network, a cloud's metadata service): someone who asks for a stranger's photo does not mean to
  query the router at home. What counts is the address that is connected to, not the name, which
  may stand for another address a moment later. Behind a proxy, which resolves names itself, the
  name has to count.
- A private address that the user gives is intended, and allowed.
"""

import ipaddress
import string
import urllib.parse
from collections.abc import Sequence

_LOCAL = ("localhost", "127.0.0.1", "::1")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedError(ValueError):
    """An address that minicnn does not request."""


class UnreachableError(ConnectionError):
    """An address that does not answer with a file."""


def check_url(url: str, schemes: Sequence[str] = ("https",)) -> None:
    """Raise a `ValueError` unless the address has one of these schemes, or is on this machine."""
    if not isinstance(url, str):
        raise TypeError(f"An address is a text. Received {url!r}.")
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
        _ = "" if host is None or host.isascii() else host.encode("idna")
    except ValueError as error:
        raise RefusedError(f"{url!r} is not an address: {error}.") from error
    local = parts.scheme == "http" and host in _LOCAL
    if not (parts.scheme in schemes or local) or not host:
        allowed = " and ".join(scheme.upper() for scheme in schemes)
        raise RefusedError(f"Only {allowed} addresses are downloaded. Received {url!r}.")


def reason(error: Exception) -> str:
    """Return an error's message, in one line without a full stop.

    An HTTPError says "HTTP Error 404: Not Found" by itself, a URLError wraps its reason.
    """
    told = error if hasattr(error, "code") else getattr(error, "reason", error)
    lines = str(told).strip().splitlines()
    return lines[0].rstrip(" .:") if lines else type(told).__name__


def is_private(address: str) -> bool:
    """Return whether an IP address is outside the public network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_private(str(inner))
    return not ip.is_global or ip.is_multicast


def is_private_name(host: str) -> bool:
    """Return whether a host is an address in a private network, or is called this machine."""
    try:
        return is_private(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def as_uri(url: str) -> str:
    """Return the address in ASCII, with blanks and other letters encoded as browsers do."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    path, query = (
        urllib.parse.quote(p, safe=string.punctuation) for p in (parts.path, parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))
