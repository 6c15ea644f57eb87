"""Whole runs in processes of their own: what a person types, sees, and finds afterwards."""

import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from checkout import ROOT
from readers import scalars
from trained import LONG, killed_after, weights

from trainer.checkpoints import manifest as manifests


def test_a_finished_run_says_so_without_tensorflow(finished, python):
    done = python(
        "import sys, launch\ncode = launch.main(sys.argv[1:])\nprint('tensorflow' in sys.modules, code)",
        f"--run_dir={finished}",
    )
    assert "finished already" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "False 0"


def test_a_daemon_with_closed_streams_trains(tmp_path):
    command = f"exec {sys.executable} {ROOT / 'launch.py'} --dataset=iris --hidden=1 --steps=3 --jit=off --run_dir=run"
    assert subprocess.run(["sh", "-c", command + " <&- >&- 2>&-"], check=False).returncode == 0
    assert (tmp_path / "run" / "export" / "3").exists()


HIDE = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("trainer", "launch"):
            raise ImportError(name)
sys.meta_path.insert(0, Hidden())
"""


LOAD = """
import sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
images = np.load(sys.argv[2])
codes = loaded.signatures["encode"](images=images)["codes"]
out = {
    "codes": codes,
    "decoded": loaded.signatures["decode"](codes=codes)["reconstructions"],
    "reconstructions": loaded.signatures["serving_default"](images=images)["reconstructions"],
    "one": loaded.signatures["serving_default"](images=images[:1])["reconstructions"],
}
np.savez(sys.argv[3], **out)
assert not {"trainer", "launch"} & set(sys.modules)
"""


def test_the_saved_model_works_in_a_process_that_cannot_import_trainer(finished, tmp_path):
    images = np.random.default_rng(0).random((7, 8, 8, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    arguments = [str(finished / "export" / "40"), "images.npy", "out.npz"]
    # The checkout may be installed, so it is not enough to run elsewhere.
    done = subprocess.run(
        [sys.executable, "-I", "-c", HIDE + LOAD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = np.load("out.npz")
    assert out["codes"].shape == (7, 5)
    assert {array.dtype for array in out.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(out["decoded"], out["reconstructions"], atol=1e-6)
    np.testing.assert_allclose(out["one"], out["reconstructions"][:1], atol=1e-6)
    codes, reconstructions = by_hand(finished, images)
    np.testing.assert_allclose(out["codes"], codes, atol=1e-5)
    np.testing.assert_allclose(out["reconstructions"], reconstructions, atol=1e-5)


def by_hand(run: pathlib.Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and reconstructions of 64 -> 5 -> 64, linear, from the checkpoint's tensors with NumPy."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / "ckpt-40"))
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    trained = {tuple(reader.get_tensor(f"optimizer/_trainable_variables/{i}{end}").shape): i for i in (0, 1, 3)}
    w, b, v = (reader.get_tensor(f"optimizer/_trainable_variables/{trained[s]}{end}") for s in ((64, 5), (5,), (5, 64)))
    codes = (images - reader.get_tensor(f"model/mean{end}")).reshape(-1, 64) @ w + b
    return codes, (codes @ v).reshape(images.shape) + reader.get_tensor(f"model/decoder/bias{end}")


def test_an_interrupted_process_saves_exits_130_and_the_same_command_ends_it(tmp_path, launch):
    run = tmp_path / "run"
    command = [sys.executable, str(ROOT / "launch.py"), f"--run_dir={run}"]
    # Long enough that the interrupt comes half way.
    process = subprocess.Popen(
        [*command, *LONG, "--checkpoint_every=100", "--steps=2000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not manifests.steps_in(run / "checkpoints"):
        assert process.poll() is None
        os.sched_yield()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 5
    assert f"locked by process {process.pid} on" in second.stderr
    process.send_signal(signal.SIGINT)
    output, error = process.communicate()
    assert process.returncode == 130, error
    assert error == ""
    reached = manifests.steps_in(run / "checkpoints")[-1]
    assert f"stopped at step {reached:,} of 2,000,000, saved" in output

    code, output, error = launch(f"--run_dir={run}", f"--steps={reached + 3}")
    assert code == 0, error
    assert f"resumed     at step {reached:,}; the result will be that of an uninterrupted run" in output
    whole = tmp_path / "whole"
    assert launch(f"--run_dir={whole}", *LONG, f"--steps={reached + 3}")[0] == 0
    assert weights(run, reached + 3) == weights(whole, reached + 3)


def reached_at(url: str, process: subprocess.Popen) -> bool:
    try:
        with urllib.request.urlopen(url + "data/runs", timeout=10) as response:
            return b"eval" in response.read()
    except (urllib.error.URLError, ConnectionError):
        assert process.poll() is None
        return False


def test_tensorboard_is_served_after_the_run_until_a_signal_and_ends_with_it(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # It registers there.
    command = [sys.executable, str(ROOT / "launch.py"), f"--run_dir={finished}"]
    process = subprocess.Popen([*command, "--tensorboard"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line.split()[-3] for line in process.stdout if line.startswith("TensorBoard goes on at"))
    # The lock is free while it serves.
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    while not reached_at(url, process):
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(url, timeout=10)


def test_errors_are_found_without_tensorflow(python):
    wrong = [
        ["--hiden=3"],
        ["--dataset=cifar"],
        ["--classes=11"],
        ["--batch_size=5000"],
        ["--dataset=mnist", "--data_dir=no"],
        ["--help"],
    ]
    code = f"import sys, launch\nfor wrong in {wrong}:\n    launch.main(wrong)\nprint('tensorflow' in sys.modules)"
    done = python(code)
    assert done.stdout.strip().splitlines()[-1:] == ["False"], done.stderr


def test_stages_of_a_stacked_noisy_variational_run_resume_to_the_bit(launch, tmp_path):
    kind = (
        "--dataset=iris",
        "--hidden=4,2",
        "--pretrain=layerwise",
        "--pretrain_steps=4",
        "--variational",
        "--sparsity=0.1",
    )
    often = ("--noise=gaussian", "--checkpoint_every=1", "--keep=100", "--eval_every=5", "--log_every=3", "--jit=off")
    whole = tmp_path / "whole"
    assert launch(*kind, *often, "--steps=12", f"--run_dir={whole}")[0] == 0
    curves = [scalars(whole / name) for name in ("train", "eval")]
    assert list(curves[0]["pretrain/stage_1"]) == [3, 4]
    assert list(curves[0]["pretrain/stage_2"]) == [6, 8]
    assert list(curves[0]["loss"]) == list(curves[0]["elbo/kl"]) == [9, 12]
    for step in (4, 6):  # One stage ends with its last checkpoint, one is cut in two.
        run = tmp_path / f"from-{step}"
        killed_after(whole, step, run)
        code, output, _ = launch(f"--run_dir={run}")
        assert (code, "to the bit" in output) == (0, True)
        assert weights(run, 12) == weights(whole, 12)
        for name, expected in zip(("train", "eval"), curves, strict=True):
            found = scalars(run / name)
            assert {t: v for t, v in found.items() if "perf/" not in t} == {
                t: v for t, v in expected.items() if "perf/" not in t
            }
