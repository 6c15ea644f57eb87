"""Runs on custom data: the stored path, and runs that older versions started."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest

from trainer.checkpoints import manifest as manifests

SMALL = ("--hidden=1", "--steps=4", "--batch_size=8", "--jit=off", "--export=none")
WAVELENGTHS = ",".join(str(900 + 2 * column) for column in range(8))
SPECTRA = [",".join(f"{row * (column + 1) % 7 / 10:.1f}" for column in range(8)) for row in range(40)]
LABELED = [f"{number},{number**2},{label}.0000000e+00" for number in range(20) for label in (1, 2, 3)]
TABLES = {"spectra": [WAVELENGTHS, *SPECTRA], "labeled": ["a,b,kind", *LABELED]}
# What version 0.1 read, in the flags of this version; and the fingerprint that version 0.1 computed.
OLD_RUNS = {
    "spectra": (["--heading=no"], "25303bc3c70fff39"),
    "labeled": (["--label_column=kind", "--classes=2"], "da3b76518fb74b2d"),
}


def write_table(path: pathlib.Path, name: str) -> pathlib.Path:
    path.write_text("\n".join(TABLES[name]) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, cached_graphs):
    """A finished run on spectra.csv beside it."""
    import launch

    folder = tmp_path_factory.mktemp("own")
    table = write_table(folder / "spectra.csv", "spectra")
    assert launch.main(["--dataset=table", f"--data_dir={table}", *SMALL, f"--run_dir={folder / 'run'}"]) == 0
    return folder / "run"


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run and of its data, whose path the copy has stored."""
    shutil.copytree(run, tmp_path / "run")
    table = write_table(tmp_path / "data.csv", "spectra")
    flags = (tmp_path / "run" / "flags.txt").read_text().replace(str(run.parent / "spectra.csv"), str(table))
    (tmp_path / "run" / "flags.txt").write_text(flags)
    return tmp_path / "run"


def test_a_run_finds_its_data_in_every_mode_and_from_every_folder(copied, tmp_path, launch, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "finished already" in launch(f"--run_dir={copied}")[1]
    assert f"table, {tmp_path / 'data.csv'}" in launch("--mode=inspect", f"--run_dir={copied}")[1]
    code, output, error = launch("--mode=encode", f"--run_dir={copied}", "--output=out")
    assert code == 0, error
    codes = np.load("out/codes.npz")
    assert len(codes["train_codes"]) + len(codes["eval_codes"]) == 40
    code, output, _ = launch("--mode=inspect", f"--flagfile={copied}/flags.txt")
    assert (code, output.splitlines()[0]) == (0, f"data        table, {tmp_path / 'data.csv'}")


def test_a_missing_path_is_named_until_another_is_given_which_is_then_stored(copied, tmp_path, launch):
    (tmp_path / "data.csv").rename(tmp_path / "moved.csv")
    for mode in ("train", "evaluate", "inspect"):
        code, _, error = launch(f"--mode={mode}", f"--run_dir={copied}")
        assert code == 2
        assert f"the stored path of the data does not exist: {tmp_path / 'data.csv'}" in error
        assert "--data_dir=path/to/it" in error
    code, _, error = launch(f"--flagfile={copied}/flags.txt", "--run_dir=new")
    assert (code, f"--data_dir={tmp_path / 'data.csv'} does not exist" in error) == (2, True)
    assert launch(f"--run_dir={copied}", "--data_dir=moved.csv")[0] == 0
    assert f"\n--data_dir={tmp_path / 'moved.csv'}\n" in (copied / "flags.txt").read_text()
    assert "finished already" in launch(f"--run_dir={copied}")[1]


def test_other_data_in_the_stored_place_are_refused(copied, tmp_path, launch):
    (tmp_path / "data.csv").write_text("\n".join([WAVELENGTHS, *SPECTRA[1:]]) + "\n")
    code, _, error = launch(f"--run_dir={copied}")
    assert code == 2
    assert "is not what this run was trained on" in error


def test_the_remedy_for_a_changed_learning_rate_starts_a_new_run_from_the_weights(copied, launch):
    code, _, error = launch(f"--run_dir={copied}", "--learning_rate=0.5")
    assert code == 1
    remedy = [word.strip(",") for word in error.splitlines()[-1].split() if word.startswith("--")]
    command = remedy[remedy.index(f"--flagfile={copied}/flags.txt") : remedy.index("--learning_rate=0.5") + 1]
    code, output, _ = launch(*command)
    assert code == 0
    assert f"weights     of {copied}/checkpoints/ckpt-4" in output
    flags = pathlib.Path("NEW/flags.txt").read_text()
    assert "--learning_rate=0.5\n" in flags
    assert "--dataset=table\n" in flags


@pytest.mark.parametrize("name", OLD_RUNS)
def test_a_run_of_an_older_version_that_read_the_data_otherwise_is_refused_with_a_remedy(name, tmp_path, launch):
    flags, fingerprint = OLD_RUNS[name]
    table = write_table(tmp_path / "t.csv", name)
    assert launch("--dataset=table", f"--data_dir={table}", *flags, *SMALL, "--run_dir=run")[0] == 0
    make_older(tmp_path / "run", classes={"labeled": "1"}.get(name, ""))  # The second of the sorted names.
    manifest = manifests.read(tmp_path / "run" / "checkpoints", 4)
    assert manifest.data.startswith(fingerprint)

    for mode in ("train", "encode"):
        code, _, error = launch(f"--mode={mode}", "--run_dir=run", f"--data_dir={table}")
        assert code == 1
        assert "an older version started this run" in error
        assert ("--heading=no" if name == "spectra" else "--classes with the labels themselves") in error
    resumed = ("--run_dir=run", f"--data_dir={table}", flags[-1])
    if name == "labeled":
        assert "finished already" in launch(*resumed)[1]
        return
    assert launch("--mode=encode", *resumed)[0] == 0
    assert "resumed     at step 4" in launch(*resumed, "--steps=6")[1]
    assert "finished already" in launch("--run_dir=run")[1]  # The remedy has been stored.
    code, _, error = launch("--run_dir=run", "--heading=yes")
    assert (code, "started with other flags: --heading: no -> yes" in error) == (1, True)


def make_older(run: pathlib.Path, classes: str) -> None:
    """Changes the flags and the manifests of a run to those of version 0.1, which had no --heading and --depth."""
    added = ("heading", "depth", "data_dir")
    lines = [
        f"--classes={classes}" if line.startswith("--classes=") else line
        for line in (run / "flags.txt").read_text().splitlines()
        if line.partition("=")[0].removeprefix("--") not in added
    ]
    (run / "flags.txt").write_text("\n".join(lines) + "\n")
    for folder in (run / "checkpoints", run / "checkpoints" / "best"):
        for step in manifests.steps_in(folder):
            manifest = manifests.read(folder, step)
            flags = {key: value for key, value in manifest.flags.items() if key not in added}
            flags["classes"] = [classes] if classes else []
            manifests.write(folder, dataclasses.replace(manifest, flags=flags))
