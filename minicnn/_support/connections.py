"""Opens web addresses by the rules of `minicnn._support.addresses`.

Python's modules for this take a tenth of the time of `import minicnn`, so `download` imports this
one when it downloads.
"""

import http.client
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from minicnn._support import addresses
from minicnn._support.addresses import (
    RefusedError,
    UnreachableError,
    as_uri,
    check_url,
    is_private_name,
    reason,
)


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
        response: http.client.HTTPResponse = opener.open(as_uri(url), timeout=seconds)
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


class _Route:
    """The connections of one download, and whether one of them was to the public network."""

    def __init__(self) -> None:
        self.public = False

    def connection(self, kind: Any, request: urllib.request.Request) -> Callable[..., Any]:
        """Return a function that makes the connection for a request, as urllib expects it."""
        target = urllib.parse.urlsplit(request.full_url)
        if request.host != target.netloc:  # the request goes to a proxy
            self._pass(target.hostname or "", is_private_name(target.hostname or ""))
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
                private = addresses.is_private(str(place[0]))
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
