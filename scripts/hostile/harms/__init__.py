"""Malicious data, item by item."""

from hostile.harms import arrays, images
from hostile.harms.harm import Harm

__all__ = ["Harm", "everything"]


def everything() -> list[Harm]:
    """Returns all malicious data."""
    makers = (arrays.pickles, arrays.headers, arrays.zips, arrays.archives, images.images, images.links, images.names)
    return [harm for make in (*makers, arrays.tables) for harm in make()]
