"""Helpers that start TensorBoard servers on unused ports."""

import socket

from trainer.serving import server

LOCAL = "127.0.0.1"


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return probe.getsockname()[1]


def start(root, host=LOCAL, port=None):
    return server.start_server(root, host, port or unused_port())
