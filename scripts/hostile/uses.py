"""Tables of new rows and indexes of checkpoints, broken at random. The tables are scored, the indexes are read."""

import pathlib
import random
import tempfile

import numpy as np

from hostile.mutations import mutated
from hostile.workers import Outcome, Trial
from trainer.checkpoints import bundle
from trainer.commands.score_cells import Cells
from trainer.commands.score_format import Format
from trainer.data.inputs.table_stream import TableInput
from trainer.data.limits import Limits
from trainer.data.options import DataOptions
from trainer.data.schema import Schema
from trainer.data.sources import Sources
from trainer.errors import CheckpointError, HourglassError
from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration
from trainer.runs.scoring import Scorer

NAMED = Schema(names=("id", "a", "b", "kind"), has_heading=True, trained=(1, 2), label=3, delimiter=",")
UNNAMED = Schema(names=("column 1", "column 2"), has_heading=False, trained=(0, 1), delimiter=";")
TABLES = {
    b"id,a,b,kind\n" + b"".join(b"r%d,%d.5,%d,x\n" % (row, row, -row) for row in range(9)): NAMED,
    b'b\tid\ta\textra\n1\t"x\ty"\t2\t\n\n3\t"line\nbreak"\t4e1\t"q""q"\n5\t\t6\tNA\n': NAMED,
    b"\xef\xbb\xbfkind;a;id;b\r\nx;1;7;2\r\ny;?;8;4\r\nz;5;9\r\n": NAMED,
    b"1;2\n3;4\n5.5;-6e-2\n": UNNAMED,
    b" 1  2\n 3\t4\n 5 6\n": UNNAMED,
}
READERS = (Limits(), Limits(min_parsed_bytes=0), Limits(min_parsed_bytes=0, table_block_bytes=40))
CALIBRATION = Calibration.of(np.linspace(0, 2, 99), scores.SQUARED)


def make_scored() -> Trial:
    """Returns the trial that scores a table of new rows. Each of its lines must come out, and nothing else."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-scored-")) / "new.csv"

    def trial(seed: int) -> Outcome:
        draw = random.Random(seed)
        specimens = list(TABLES)
        specimen = draw.choice(specimens)
        content = mutated(specimen, draw.choice(specimens), draw)
        path.write_bytes(content)
        options = DataOptions(dataset="table", missing=draw.choice(("error", "mean")))
        sources = Sources(options, lambda line: None, limits=draw.choice(READERS))
        try:
            return _scored(content, TableInput(path, TABLES[specimen], sources, offset=None))
        except HourglassError as error:
            return Outcome(f"exit {error.exit_code}")
        except Exception as error:
            return Outcome("an exception", f"{content[:200]!r}: {type(error).__name__}: {error}")

    return trial


def _scored(content: bytes, table: TableInput) -> Outcome:
    """Scores a table with a network that returns zeros, and compares the lines."""
    scorer = Scorer((2,), np.zeros_like, scores.SQUARED, None, None)
    form = Format(
        delimiter=table.delimiter,
        names=table.names,
        trained_names=table.trained_names,
        kept=None,
        explain=2,
        errors=False,
        reconstructions=False,
        only_anomalies=False,
        keeps_bad=True,
    )
    cells = Cells(form, scorer, 1.0, CALIBRATION)
    lines, texts = [], []
    for block in table.blocks():
        lines.extend(block.lines)
        texts.append(cells.text(block, scorer(block.examples), 1))
    expected = _normalized(content)
    given = [*table.heading, *lines]
    if "\n".join(given).rstrip("\n") != expected.rstrip("\n"):
        return Outcome("other lines", f"{content[:200]!r}: {given[:9]}")
    written = b"".join(texts).decode()
    if written.count("\n") != sum(line.count("\n") + 1 for line in lines):
        return Outcome("other rows", f"{content[:200]!r}: {written[:400]!r}")
    return Outcome("scored")


def _normalized(content: bytes) -> str:
    """Returns a text with line feeds, and without a byte order mark."""
    text = content.decode().removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def make_indexes() -> Trial:
    """Returns the trial that reads the variables of a checkpoint with a broken index."""
    import tensorflow as tf

    folder = pathlib.Path(tempfile.mkdtemp(prefix="hourglass-index-"))
    values = {f"v{number}": tf.Variable(tf.random.normal([number + 1, 3])) for number in range(40)}
    prefix = pathlib.Path(tf.train.Checkpoint(**values).write(str(folder / "ckpt-1")))
    index = prefix.with_name(prefix.name + bundle.INDEX)
    original, names = index.read_bytes(), [f"{name}" for name in values]

    def trial(seed: int) -> Outcome:
        draw = random.Random(seed)
        index.write_bytes(mutated(original, original[::-1], draw))
        try:
            arrays = bundle.read(prefix, names)
        except CheckpointError:
            return Outcome("refused")
        except Exception as error:
            return Outcome("an exception", f"{type(error).__name__}: {error}")
        size = sum(array.nbytes for array in arrays.values())
        limit = len(arrays) * prefix.with_name(prefix.name + bundle.DATA).stat().st_size
        return Outcome("read") if size <= limit else Outcome("too large", f"{size:,} bytes of at most {limit:,}")

    return trial
