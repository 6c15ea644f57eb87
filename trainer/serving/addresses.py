"""Host names, ports and URLs of TensorBoard servers. Does not import TensorFlow."""

import contextlib
import ipaddress
import socket

from trainer.errors import UsageError, error_text, option

PORTS_TRIED = 10  # consecutive ports, as TensorBoard does when it is started without --port
MAX_PORT = 65_535


def url(host: str, port: int) -> str:
    """Returns the URL of a server that listens on `host` and `port`."""
    return f"http://{_in_brackets(_reachable_name(host))}:{port}/"


def is_public(host: str) -> bool:
    """Returns True if other machines can reach a server that listens on `host`.

    Raises:
      UsageError: the host name cannot be resolved.
    """
    return not _address(host)[1].is_loopback


def free_port(host: str, preferred: int) -> int:
    """Returns the first free port among `preferred` and the next nine ports; if all are in use, any free port.

    The port is not reserved: another process may bind it before the caller does.

    Raises:
      UsageError: no socket can be bound to `host`.
    """
    for port in range(preferred, min(preferred + PORTS_TRIED, MAX_PORT + 1)):
        with contextlib.suppress(OSError):
            if not _is_used_on_localhost(port):
                return _bind(host, port)
    try:
        return _bind(host, 0)
    except OSError as error:
        raise _unusable(host, error) from error


def _bind(host: str, port: int) -> int:
    """Binds a socket for a moment, and returns its port: a free one if `port` is 0."""
    family, address = _address(host)
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((str(address), port))
        return int(probe.getsockname()[1])


def _is_used_on_localhost(port: int) -> bool:
    # TensorBoard rejects a port that is in use on localhost, even if it is to listen on another address.
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def _address(host: str) -> tuple[socket.AddressFamily, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Resolves a host name to the address family and the address that TensorBoard chooses."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        results = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: the host name is too long.
        raise _unusable(host, error) from error
    return family, ipaddress.ip_address(results[0][4][0])


def _reachable_name(host: str) -> str:
    # 0.0.0.0 and :: are addresses to listen on, not addresses to connect to.
    return socket.gethostname() if _address(host)[1].is_unspecified else host


def _unusable(host: str, error: Exception) -> UsageError:
    return UsageError(
        f"{option('host', host)} cannot be bound ({error_text(error)})",
        remedy="give localhost, an address of this machine, or 0.0.0.0 for all its addresses",
    )


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host
