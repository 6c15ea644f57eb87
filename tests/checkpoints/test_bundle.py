"""Damaged indexes of checkpoints."""

import pathlib
import random
import zipfile

import pytest

from trainer.checkpoints import bundle
from trainer.errors import CheckpointError


@pytest.fixture
def prefix(tmp_path):
    """A checkpoint that TensorFlow wrote."""
    with zipfile.ZipFile(pathlib.Path(__file__).parents[1] / "runs" / "old_runs.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "rows" / "checkpoints" / "ckpt-4"


def mutated(index: bytes, draw: random.Random) -> bytes:
    data = bytearray(index)
    kind = draw.choice(("bits", "cut", "insert", "zeros", "swap"))
    start = draw.randrange(len(data))
    if kind == "bits":
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del data[start : start + draw.randint(1, 60)]
    elif kind == "insert":
        data[start:start] = draw.randbytes(draw.randint(1, 60))
    elif kind == "zeros":
        data[start : start + 16] = bytes(16)
    else:
        other = draw.randrange(len(data))
        data[start : start + 8], data[other : other + 8] = data[other : other + 8], data[start : start + 8]
    return bytes(data)


def test_a_damaged_index_is_an_error_or_has_arrays_that_fit_into_the_data(prefix):
    index = prefix.with_name("ckpt-4.index")
    original, draw, num_errors = index.read_bytes(), random.Random(0), 0
    size = prefix.with_name("ckpt-4.data-00000-of-00001").stat().st_size
    for _ in range(1_000):
        index.write_bytes(mutated(original, draw))
        try:
            names = list(bundle.variables(prefix))
            arrays = bundle.read(prefix, names)
        except CheckpointError:
            num_errors += 1
            continue
        assert all(array.nbytes <= size for array in arrays.values())
    assert 100 < num_errors < 1_000


def test_a_missing_file_is_an_error(prefix):
    prefix.with_name("ckpt-4.data-00000-of-00001").unlink()
    with pytest.raises(CheckpointError, match="ckpt-4 cannot be read"):
        bundle.network_arrays(prefix)
