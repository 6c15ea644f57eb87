"""`--mode=evaluate`, `encode`, `reconstruct` and `generate`: what a trained network is for.

They take the run's own flags, and the newest checkpoint that verifies, or `--at_step`'s. They take no lock and change
nothing that training has made: it may go on meanwhile.
"""

import dataclasses
import io
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.checkpoints import catalog, retention
from trainer.config import Config
from trainer.data.dataset import Data
from trainer.data.inputs import reader
from trainer.errors import DONE, CheckpointError, DataError, StorageError, UsageError, option
from trainer.models import networks
from trainer.runs.data import load
from trainer.runs.directory import CHECKPOINTS, FLAGS_FILE, LOG_FILE, RunDirectory
from trainer.system import files, logs
from trainer.system.logs import log

if TYPE_CHECKING:
    from trainer.runs.trained import Trained

MOST_SAID = 10  # examples whose numbers are said, not only written
MOST_IN_PICTURE = 64
MOST_WRITTEN = 100  # as picture files
MOST_BYTES = 200  # of their names
COMPARISON, PICTURES = "comparison.png", "pictures"


class _Use:
    """One run, one of its checkpoints, and a folder to write to."""

    def __init__(self, config: Config, given: frozenset[str]) -> None:
        self.directory = RunDirectory(config)
        if not (self.directory / FLAGS_FILE).exists():
            raise UsageError(
                f"there is no run in {self.directory.path}",
                remedy=f"give the {option('run_dir')} of a run, or the flags that it was started with",
            )
        self.config = self.directory.adopt_flags(config, given)
        networks.check(self.config.model)
        self._kept = tempfile.TemporaryDirectory(prefix="hourglass-")
        self.entry = self._keep()
        self.output = self._place()

    def _keep(self) -> catalog.Entry:
        """The checkpoint, in a place of its own: a run that goes on training removes its oldest ones."""
        for is_last in (False, False, True):
            entry = self._find()
            try:
                retention.put(entry.folder, entry.step, pathlib.Path(self._kept.name))
                return dataclasses.replace(entry, folder=pathlib.Path(self._kept.name))
            except FileNotFoundError:
                if is_last:
                    raise
        raise AssertionError

    def _find(self) -> catalog.Entry:
        step = self.config.command.at_step
        if step is None:
            damaged: list[str] = []
            entry = catalog.find(self.directory.path, damaged)
            for words in damaged:
                log.warning(f"{words}; the one of step {entry.step:,} is used")
            return entry
        try:
            return catalog.of_step(self.directory / CHECKPOINTS, step)
        except CheckpointError as error:
            raise CheckpointError(
                error.what, found=error.found, remedy=f"give another {option('at_step')}, or leave it out"
            ) from error

    def _place(self) -> pathlib.Path:
        """The folder to write to, not made yet."""
        named, place = self.config.command.output, self.directory / self.config.command.mode / str(self.entry.step)
        try:
            place = pathlib.Path(named).expanduser().absolute() if named else place
        except (OSError, RuntimeError) as error:  # No such person; or the working folder is gone.
            raise UsageError(option("output", named), found=str(error), remedy="give an absolute path") from error
        there = next(path for path in (place, *place.parents) if path.exists())
        if not there.is_dir():
            raise UsageError(
                f"{option('output', named)}: {there} is a file", remedy="give a folder, there already or not"
            )
        if not os.access(there, os.W_OK):
            raise StorageError(
                f"{there} may not be written to", remedy=f"give {option('output', 'FOLDER')}, somewhere else"
            )
        return place

    def load(self) -> "Trained":
        """The network."""
        run_log = self.directory / LOG_FILE  # It may be somebody else's.
        with logs.noise_to(run_log if os.access(run_log, os.W_OK) else pathlib.Path(os.devnull)):
            from trainer.runs.trained import (
                Trained,  # Seconds of TensorFlow: what can be wrong with flags comes before.
            )

            log.info(f"network     {self.directory.path}, step {self.entry.step:,}")
            return Trained.load(self.config, self.entry)

    def data(self) -> Data:
        """What the run was trained on.

        Raises:
          DataError: they are not the same any more.
        """
        data = load(self.config)
        trained_on = self.entry.manifest.data if self.entry.manifest else data.fingerprint
        if data.fingerprint != trained_on:
            raise DataError(
                f"{data.name} in {data.source} is not what this run was trained on",
                found=f"fingerprint {data.fingerprint[:16]}, expected {trained_on[:16]}",
                remedy="bring back the same data",
            )
        return data

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file, whole, and says where."""
        files.make_folder(self.output)
        files.write(self.output / name, content)
        log.info(f"written     {self.output / name}")

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes an .npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def write_pictures(self, names: Sequence[str], pictures: np.ndarray) -> None:
        """Writes the first of [N, H, W, C] pictures in [0, 1] as PNG files, in a folder of their own."""
        folder = self.output / PICTURES
        if not self.config.command.output:  # In the run's own place nothing is anybody else's.
            shutil.rmtree(folder, ignore_errors=True)
        files.make_folder(folder)
        for name, picture in zip(_file_names(names[:MOST_WRITTEN]), pictures, strict=False):
            files.write(folder / f"{name}.png", _png(_pixels(picture)), durably=False)
        count = f"the first {MOST_WRITTEN} of {len(names):,}" if len(names) > MOST_WRITTEN else f"{len(names):,}"
        log.info(f"written     {folder}: {count} as pictures")


def evaluate(config: Config, given: frozenset[str]) -> int:
    """Measures a checkpoint on the data of its run; writes `evaluation.json`."""
    use = _Use(config, given)
    data = use.data()
    values = use.load().assess(data)
    floors = files.read_json(use.directory / "floors.json") or {}
    of_some = "train" in floors.get("key", {})  # its floors are of some of the training examples only
    for place, split in enumerate(("train", "eval")):
        for name in ("mean", "pca"):
            if floors.get(name) and not (of_some and split == "train"):
                values[f"floor/{name}/{split}"] = floors[name][place] ** 0.5
    for name, value in values.items():
        log.info(f"{name:32} {value:.6g}")
    use.write("evaluation.json", files.to_json({"step": use.entry.step, **values}))
    return DONE


def encode(config: Config, given: frozenset[str]) -> int:
    """Writes `codes.npz`: the codes and labels of both splits."""
    use = _Use(config, given)
    data = use.data()
    trained = use.load()
    arrays = {"label_names": np.array(data.label_names)}
    for name, split in (("train", data.train), ("eval", data.evaluation)):
        found = trained.encode(split.examples, data.scale if isinstance(data.scale, float) else 1.0)
        arrays |= {f"{name}_{kind}": values for kind, values in found.items()} | {f"{name}_labels": split.labels}
    for name, values in arrays.items():
        log.info(f"{name:20}{' x '.join(map(str, values.shape))} {values.dtype}")
    use.write_arrays("codes.npz", arrays)
    return DONE


def reconstruct(config: Config, given: frozenset[str]) -> int:
    """Reconstructs what a person gives; writes pictures, and `reconstructions.npz` with the codes. Needs no data."""
    if config.command.input is None:
        raise UsageError(
            f"{option('mode', 'reconstruct')} without {option('input')}",
            found="a picture, a folder of pictures, an .npy file, or numbers are expected",
            remedy=f"give one, such as {option('input', 'photo.png')} or {option('input', '8,4,6,2')}",
        )
    use = _Use(config, given)
    trained = use.load()
    read = reader.read(config.command.input, trained.shape, use.config.data.fit)
    for note in read.notes:
        log.info(note)
    originals = read.images
    codes = trained.encode(originals)["codes"]
    reconstructions = trained.decode(codes)
    _check_finite(reconstructions, option("input"))
    errors = np.sqrt(np.square(originals - reconstructions, dtype=np.float64).reshape(len(originals), -1).mean(axis=1))
    for name, code, row, error in list(zip(read.names, codes, reconstructions, errors, strict=True))[:MOST_SAID]:
        shown = f" -> {_numbers(row)}" if row.ndim == 1 else ""
        log.info(f"{name}: code {_numbers(code)}{shown}; rmse {error:.4g}")
    use.write_arrays(
        "reconstructions.npz",
        {"names": np.array(read.names), "codes": codes, "reconstructions": reconstructions, "rmse": errors},
    )
    if len(trained.shape) == 3:
        from trainer.summaries import images

        use.write_pictures(read.names, reconstructions)
        some = slice(MOST_IN_PICTURE)
        use.write(COMPARISON, _png(images.reconstruction_grid(originals[some], reconstructions[some])))
    return DONE


def generate(config: Config, given: frozenset[str]) -> int:
    """Decodes codes that a person gives; writes pictures, and `generated.npz`. Needs no data."""
    use = _Use(config, given)
    codes = _codes(config.command.code, use.config.model.hidden[-1])
    decoded = use.load().decode(codes)
    _check_finite(decoded, option("code"))
    for code, row in list(zip(codes, decoded, strict=True))[:MOST_SAID]:
        if row.ndim == 1:
            log.info(f"{_numbers(code)} -> {_numbers(row)}")
    use.write_arrays("generated.npz", {"codes": codes, "generated": decoded})
    if decoded.ndim == 4:
        from trainer.summaries import images

        use.write_pictures([str(number) for number in range(len(decoded))], decoded)
        use.write(COMPARISON, _png(images.grid(decoded[np.newaxis, :MOST_IN_PICTURE])))
    return DONE


def _file_names(names: Sequence[str]) -> list[str]:
    """Names that are different, and not too long for a file."""
    short = [name.encode()[:MOST_BYTES].decode(errors="ignore") for name in names]
    return [name if short.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(short)]


def _check_finite(values: np.ndarray, flag: str) -> None:
    if not np.isfinite(values).all():
        raise UsageError(
            f"{flag} is beyond what this network can compute with",
            found="it makes numbers of them that are not finite",
            remedy=f"give numbers such as the data have, or codes as {option('mode', 'encode')} finds them",
        )


def _codes(text: str | None, size: int) -> np.ndarray:
    """`5,5` or `5,5;0,1` -> [N, K] float32."""
    example = ",".join(["5"] * min(size, 4)) + (",..." if size > 4 else "")
    problem = UsageError(
        option("code", text) if text is not None else f"{option('mode', 'generate')} without {option('code')}",
        found=f"{size:,} finite numbers a code are expected, codes separated by semicolons",
        remedy=f"give them, such as {option('code')}='{example}'",
    )
    try:
        rows = [[float(number) for number in row.split(",")] for row in (text or "").split(";")]
    except ValueError:
        raise problem from None
    if any(len(row) != size for row in rows):
        raise problem
    with np.errstate(over="ignore"):
        codes = np.array(rows, np.float32)
    if not np.isfinite(codes).all():
        raise problem
    return codes


def _png(picture: np.ndarray) -> bytes:
    """[H, W, C] uint8, C being 1 or 3."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, "png")
    return buffer.getvalue()


def _pixels(picture: np.ndarray) -> np.ndarray:
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def _numbers(values: np.ndarray) -> str:
    """The first few, for people."""
    shown = ", ".join(f"{value:.4g}" for value in values.reshape(-1)[:MOST_SAID])
    return f"{shown}, ..." if values.size > MOST_SAID else shown
