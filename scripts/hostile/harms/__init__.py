"""Data made to do harm, one by one."""

from hostile.harms import numbers, pictures
from hostile.harms.placing import Harm

__all__ = ["Harm", "everything"]


def everything() -> list[Harm]:
    """All of them."""
    return [
        *numbers.pickles(),
        *numbers.headers(),
        *numbers.zips(),
        *numbers.archives(),
        *pictures.pictures(),
        *pictures.links(),
        *pictures.names(),
        *numbers.tables(),
    ]
