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

import http.client
import ipaddress
import socket
import string
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

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


def open_url(url: str, schemes: Sequence[str], seconds: float) -> http.client.HTTPResponse:
    """Request the address and return the server's answer 200, to be read and closed.

    Args:
        url: may contain blanks and letters of any language.
        schemes: as in `check_url`, also for redirects.
        seconds: how long to wait for a byte before the server counts as gone.

    Raises `RefusedError` (a `ValueError`) for an address that the rules above forbid, and
    `UnreachableError` (a `ConnectionError`) for anything else that does not give a file.
    """
    check_url(url, schemes)
    route = _Route()
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(schemes),
        _HTTP(route),
        _HTTPS(route),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "minicnn")]
    try:
        response: http.client.HTTPResponse = opener.open(_as_uri(url), timeout=seconds)
    except RefusedError as error:
        raise RefusedError(f"{url} cannot be downloaded: {error}") from error
    except (OSError, http.client.HTTPException) as error:  # among them URLError
        raise UnreachableError(f"{url} cannot be downloaded: {reason(error)}.") from error
    except ValueError as error:  # Python raises it for an invalid address in a redirect
        raise UnreachableError(
            f"{url} cannot be downloaded: it leads to an invalid address ({error})."
        ) from error
    if response.status not in (200, 203):  # 204 has no content, 206 is a part
        response.close()
        raise UnreachableError(
            f"{url} cannot be downloaded: the server answers {response.status} {response.reason}, "
            "which does not mean a file."
        )
    return response


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


def _as_uri(url: str) -> str:
    """Return the address in ASCII, with blanks and other letters encoded as browsers do."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    path, query = (
        urllib.parse.quote(p, safe=string.punctuation) for p in (parts.path, parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))


class _Route:
    """The connections of one download, and whether one of them was to the public network."""

    def __init__(self) -> None:
        self.public = False

    def connection(self, kind: Any, request: urllib.request.Request) -> Callable[..., Any]:
        """Return a function that makes the connection for a request, as urllib expects it."""
        target = urllib.parse.urlsplit(request.full_url)
        if request.host != target.netloc:  # the request goes to a proxy
            self._pass(target.hostname or "", _is_private_name(target.hostname or ""))
            return kind  # type: ignore[no-any-return]

        def make(*arguments: Any, **options: Any) -> Any:
            made = kind(*arguments, **options)
            made._create_connection = self._connect  # which http.client calls to connect
            return made

        return make

    def _pass(self, address: str, private: bool) -> None:
        if private and self.public:
            raise RefusedError(
                f"it leads from the public network to {address}, an address in a private one."
            )
        self.public = self.public or not private

    def _connect(self, address: Any, timeout: Any = None, source_address: Any = None) -> Any:
        """Connect as `socket.create_connection` does, but check each address beforehand."""
        host, port = address
        problem: Exception = OSError(f"{host} has no address")
        for *kind, _, place in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
            made = None
            try:
                private = is_private(str(place[0]))
                if private and self.public:
                    self._pass(f"{host} ({place[0]})", private)
                made = socket.socket(*kind)
                made.settimeout(timeout)
                made.connect(place)
            except (OSError, RefusedError) as error:
                problem = error
                if made is not None:
                    made.close()
                continue
            self._pass(str(place[0]), private)
            return made
        raise problem


def _is_private_name(host: str) -> bool:
    try:
        return is_private(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, schemes: Sequence[str]) -> None:
        self._schemes = schemes

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> Any:
        check_url(newurl, self._schemes)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _HTTP(urllib.request.HTTPHandler):
    def __init__(self, route: _Route) -> None:
        super().__init__()
        self._route = route

    def http_open(self, req: Any) -> Any:
        return self.do_open(self._route.connection(http.client.HTTPConnection, req), req)


class _HTTPS(urllib.request.HTTPSHandler):
    def __init__(self, route: _Route) -> None:
        super().__init__()
        self._route = route

    def https_open(self, req: Any) -> Any:
        return self.do_open(self._route.connection(http.client.HTTPSConnection, req), req)
