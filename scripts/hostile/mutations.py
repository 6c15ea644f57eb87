"""Random mutations of bytes."""

import random

NUM_MUTATIONS = (1, 1, 1, 2, 4)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TEXTS = (
    *(b'"', b'""', b"'", b"\n", b"\r\n", b"\r", b"\0", b",,,,", b";", b"\t", b"|", b"nan", b"inf", b"-1e999", b"1_0"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"(" * 200, b"9" * 400, b"a" * 70_000, b'"' * 999, b"\\", b"#"),
)


def mutated(content: bytes, other: bytes, draw: random.Random) -> bytes:
    """Applies one or more mutations; parts of `other` may be inserted."""
    for _ in range(draw.choice(NUM_MUTATIONS)):
        content = draw.choice(MUTATIONS)(content, other, draw)
    return content


def _flip(content: bytes, other: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8) if changed else 0):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _field(content: bytes, other: bytes, draw: random.Random) -> bytes:
    """Sets an integer of 1 to 8 bytes to an extreme value, more often near the beginning."""
    value, size = draw.choice(EXTREMES), draw.choice((1, 2, 4, 8))
    start = draw.randrange(min(len(content), draw.choice((64, 1 << 30)))) if content else 0
    number = (value % (1 << 8 * size)).to_bytes(size, draw.choice(("little", "big")))
    return content[:start] + number + content[start + size :]


def _cut(content: bytes, other: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _without(content: bytes, other: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + content[start + draw.randint(1, 64) :]


def _twice(content: bytes, other: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + content[start : start + draw.randint(1, 500)] * draw.randint(2, 50) + content[start:]


def _spliced(content: bytes, other: bytes, draw: random.Random) -> bytes:
    start, theirs = draw.randrange(len(content) + 1), draw.randrange(len(other) + 1)
    return content[:start] + other[theirs:]


def _inserted(content: bytes, other: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    part = draw.choice((draw.choice(TEXTS), draw.randbytes(draw.randint(1, 40))))
    return content[:start] + part + content[start:]


def _noise(content: bytes, other: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    part = draw.randbytes(len(content[start : start + draw.randint(1, 300)]))
    return content[:start] + part + content[start + len(part) :]


MUTATIONS = (_flip, _field, _field, _cut, _without, _twice, _spliced, _inserted, _noise)
