"""Ways to break bytes at random."""

import random

AT_ONCE = (1, 1, 1, 2, 4)  # mutations
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TEXTS = (
    *(b'"', b'""', b"'", b"\n", b"\r\n", b"\r", b"\0", b",,,,", b";", b"\t", b"|", b"nan", b"inf", b"-1e999", b"1_0"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"(" * 200, b"9" * 400, b"a" * 70_000, b'"' * 999, b"\\", b"#"),
)


def mutated(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Some bytes changed; `other` is what may be put into them."""
    for _ in range(chance.choice(AT_ONCE)):
        content = chance.choice(MUTATIONS)(content, other, chance)
    return content


def _flip(content: bytes, other: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _field(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """A number of 1 to 8 bytes set to an extreme, more often near the beginning."""
    value, size = chance.choice(EXTREMES), chance.choice((1, 2, 4, 8))
    place = chance.randrange(min(len(content), chance.choice((64, 1 << 30)))) if content else 0
    number = (value % (1 << 8 * size)).to_bytes(size, chance.choice(("little", "big")))
    return content[:place] + number + content[place + size :]


def _cut(content: bytes, other: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _without(content: bytes, other: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + content[start + chance.randint(1, 64) :]


def _twice(content: bytes, other: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + content[start : start + chance.randint(1, 500)] * chance.randint(2, 50) + content[start:]


def _spliced(content: bytes, other: bytes, chance: random.Random) -> bytes:
    start, theirs = chance.randrange(len(content) + 1), chance.randrange(len(other) + 1)
    return content[:start] + other[theirs:]


def _inserted(content: bytes, other: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    part = chance.choice((chance.choice(TEXTS), chance.randbytes(chance.randint(1, 40))))
    return content[:start] + part + content[start:]


def _noise(content: bytes, other: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content) + 1)
    part = chance.randbytes(len(content[start : start + chance.randint(1, 300)]))
    return content[:start] + part + content[start + len(part) :]


MUTATIONS = (_flip, _field, _field, _cut, _without, _twice, _spliced, _inserted, _noise)
