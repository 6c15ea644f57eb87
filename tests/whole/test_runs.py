"""Complete runs in separate processes: their commands, their output and their files."""

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


def test_a_finished_run_is_reported_without_importing_tensorflow(finished, python):
    process = python(
        "import sys, launch\ncode = launch.main(sys.argv[1:])\nprint('tensorflow' in sys.modules, code)",
        f"--run_dir={finished}",
    )
    assert "finished already" in process.stdout
    assert process.stdout.strip().splitlines()[-1] == "False 0"


def test_a_process_with_closed_streams_can_train(tmp_path):
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
    # HIDE is needed because the checkout may be installed.
    process = subprocess.run(
        [sys.executable, "-I", "-c", HIDE + LOAD, *arguments], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    out = np.load("out.npz")
    assert out["codes"].shape == (7, 5)
    assert {array.dtype for array in out.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(out["decoded"], out["reconstructions"], atol=1e-6)
    np.testing.assert_allclose(out["one"], out["reconstructions"][:1], atol=1e-6)
    codes, reconstructions = numpy_reconstruction(finished, images)
    np.testing.assert_allclose(out["codes"], codes, atol=1e-5)
    np.testing.assert_allclose(out["reconstructions"], reconstructions, atol=1e-5)


def numpy_reconstruction(run: pathlib.Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes codes and reconstructions of a linear network 64 -> 5 -> 64 from its checkpoint, with NumPy."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(run / "checkpoints" / "ckpt-40"))
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    trained = {tuple(reader.get_tensor(f"optimizer/_trainable_variables/{i}{end}").shape): i for i in (0, 1, 3)}
    w, b, v = (reader.get_tensor(f"optimizer/_trainable_variables/{trained[s]}{end}") for s in ((64, 5), (5,), (5, 64)))
    codes = (images - reader.get_tensor(f"model/mean{end}")).reshape(-1, 64) @ w + b
    return codes, (codes @ v).reshape(images.shape) + reader.get_tensor(f"model/decoder/bias{end}")


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [("XLA_FLAGS", "--xla_nonsense=1", "--xla_nonsense=1"), ("TF_XLA_FLAGS", "--tf_nonsense", "--tf_nonsense")],
)
def test_an_unknown_flag_of_xla_is_refused_by_name(tmp_path, monkeypatch, variable, value, found):
    monkeypatch.setenv(variable, value)
    command = [sys.executable, str(ROOT / "launch.py"), "--dataset=iris", "--hidden=1", "--steps=3", "--run_dir=run"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    remedy = f"remedy: correct {variable}, or unset it"
    assert process.stderr == f"error: {variable} has flags that XLA does not know\n{found}\n{remedy}\n"


def test_a_crash_of_native_code_names_the_log(python, tmp_path):
    code = (
        "import os, sys, launch\n"
        "from trainer.compute import frameworks\n"
        "frameworks.load = os.abort\n"
        "launch.main(sys.argv[1:])"
    )
    process = python(code, "--dataset=iris", "--hidden=1", "--run_dir=run")
    assert process.returncode == -signal.SIGABRT
    log = tmp_path / "run" / "run.log"
    assert process.stderr == f"error: native code has ended this process; its messages are in {log}\n"
    assert log.exists()


def test_hourglass_runs_in_a_process_that_has_used_tensorflow_or_says_why_not(python):
    code = (
        "import sys, tensorflow as tf, launch\n"
        "tf.constant(1.0) + 1\n"
        "arguments = sys.argv[1:]\n"
        "print(launch.main(arguments), launch.main([*arguments, '--restart', '--threads=99']))"
    )
    process = python(code, "--dataset=iris", "--hidden=1", "--steps=3", "--jit=off", "--run_dir=run")
    assert process.stdout.splitlines()[-1] == "0 1"
    assert "error: --threads=99 is not possible in this process\n" in process.stderr


def test_an_interrupted_process_saves_and_exits_with_130_and_can_be_resumed(tmp_path, launch):
    run = tmp_path / "run"
    command = [sys.executable, str(ROOT / "launch.py"), f"--run_dir={run}"]
    # Enough steps that the interrupt comes before the end.
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
    uninterrupted = tmp_path / "uninterrupted"
    assert launch(f"--run_dir={uninterrupted}", *LONG, f"--steps={reached + 3}")[0] == 0
    assert weights(run, reached + 3) == weights(uninterrupted, reached + 3)


def is_served(url: str, process: subprocess.Popen) -> bool:
    try:
        with urllib.request.urlopen(url + "data/runs", timeout=10) as response:
            return b"eval" in response.read()
    except (urllib.error.URLError, ConnectionError):
        assert process.poll() is None
        return False


def test_tensorboard_is_served_after_the_run_until_a_signal(finished, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # TensorBoard writes its registration there.
    command = [sys.executable, str(ROOT / "launch.py"), f"--run_dir={finished}"]
    process = subprocess.Popen([*command, "--tensorboard"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line.split()[-3] for line in process.stdout if line.startswith("TensorBoard continues at"))
    # The run is not locked while TensorBoard is served.
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    while not is_served(url, process):
        os.sched_yield()
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(url, timeout=10)


def test_errors_in_flags_and_data_are_reported_without_importing_tensorflow(python):
    commands = [
        ["--hiden=3"],
        ["--dataset=cifar"],
        ["--classes=11"],
        ["--batch_size=5000"],
        ["--dataset=mnist", "--data_dir=no"],
        ["--help"],
    ]
    code = f"import sys, launch\nfor flags in {commands}:\n    launch.main(flags)\nprint('tensorflow' in sys.modules)"
    process = python(code)
    assert process.stdout.strip().splitlines()[-1:] == ["False"], process.stderr


def test_a_run_resumed_during_layerwise_pretraining_has_the_same_bits(launch, tmp_path):
    kind = (
        "--dataset=iris",
        "--hidden=4,2",
        "--pretrain=layerwise",
        "--pretrain_steps=4",
        "--variational",
        "--sparsity=0.1",
    )
    often = ("--noise=gaussian", "--checkpoint_every=1", "--keep=100", "--eval_every=5", "--log_every=3", "--jit=off")
    uninterrupted = tmp_path / "uninterrupted"
    assert launch(*kind, *often, "--steps=12", f"--run_dir={uninterrupted}")[0] == 0
    curves = [scalars(uninterrupted / name) for name in ("train", "eval")]
    assert list(curves[0]["pretrain/stage_1"]) == [3, 4]
    assert list(curves[0]["pretrain/stage_2"]) == [6, 8]
    assert list(curves[0]["loss"]) == list(curves[0]["elbo/kl"]) == [9, 12]
    for step in (4, 6):  # 4: at the end of a stage. 6: within a stage.
        run = tmp_path / f"from-{step}"
        killed_after(uninterrupted, step, run)
        code, output, _ = launch(f"--run_dir={run}")
        assert (code, "to the bit" in output) == (0, True)
        assert weights(run, 12) == weights(uninterrupted, 12)
        for name, expected in zip(("train", "eval"), curves, strict=True):
            assert {t: v for t, v in scalars(run / name).items() if "perf/" not in t} == {
                t: v for t, v in expected.items() if "perf/" not in t
            }
