"""Hosts and ports that TensorBoard is bound to, and what they are called. No TensorFlow."""

import contextlib
import ipaddress
import socket

from trainer.errors import UsageError, option, said


def url(host: str, port: int, prefix: str = "") -> str:
    """What a person opens to see what is bound to `host`."""
    return f"http://{_in_brackets(name(host))}:{port}{prefix}/"


def name(host: str) -> str:
    """What a host is reached at: 0.0.0.0 is where to listen, nothing to go to."""
    return socket.gethostname() if _address(host)[1].is_unspecified else host


def is_public(host: str) -> bool:
    """Whether other machines can reach what is bound to `host`."""
    return not _address(host)[1].is_loopback


def free_port(host: str, wanted: int) -> int:
    """The wanted port of a host, or any free one where it is taken.

    Raises:
      UsageError: nothing can be bound to that host.
    """
    with contextlib.suppress(OSError):
        if not _is_used_on_localhost(wanted):
            return _bind(host, wanted)
    try:
        return _bind(host, 0)
    except OSError as error:
        raise _unusable(host, error) from error


def _bind(host: str, port: int) -> int:
    family, address = _address(host)
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((str(address), port))
        return int(probe.getsockname()[1])


def _is_used_on_localhost(port: int) -> bool:
    """TensorBoard asks that too, wherever it is to listen, and refuses the port then."""
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def _address(host: str) -> tuple[socket.AddressFamily, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What a host's name stands for, chosen as TensorBoard chooses it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host can be so long.
        raise _unusable(host, error) from error
    return family, ipaddress.ip_address(found[0][4][0])


def _unusable(host: str, error: Exception) -> UsageError:
    return UsageError(
        f"{option('host', host)} cannot be bound ({said(error)})",
        remedy="give localhost, an address of this machine, or 0.0.0.0 for all of them",
    )


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host
