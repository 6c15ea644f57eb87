"""`--mode=export`, and what is beside an exported network."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from trainer.checkpoints import manifest as manifests
from trainer.evaluation import scores
from trainer.evaluation.calibration import Calibration
from trainer.runs.directory import RunFiles


@pytest.fixture
def run(table_run, tmp_path):
    return shutil.copytree(table_run, tmp_path / "run")


def test_a_checkpoint_is_exported_while_the_run_is_locked_and_without_its_data(run, launch, monkeypatch):
    from trainer.system import locks

    before = (run / "checkpoints" / "ckpt-2.json").read_bytes()
    with locks.held(RunFiles(run).path / ".lock"):
        code, output, error = launch(
            "--mode=export", f"--run_dir={run}", "--at_step=2", f"--data_dir={run / 'absent.csv'}"
        )
    assert code == 0, error
    assert f"SavedModel  {run}/export/2" in output
    assert [path.name for path in (run / "export").iterdir()] == ["2"]
    assert (run / "checkpoints" / "ckpt-2.json").read_bytes() == before
    _check_scores(run)
    _check_score_file(run)
    card = (run / "export" / "2" / "README.md").read_text()
    assert "| training | 2 steps, Hourglass" in card
    assert manifests.read(run / "checkpoints", 2).data in card
    assert str(run.parent) not in card
    monkeypatch.chdir(run)
    names = {}
    exec(card.split("```python")[1].split("```")[0], names)
    assert [names[name].shape for name in ("codes", "outputs", "scores")] == [(3, 2), (3, 3), (3,)]
    listed = {line.split("`")[1] for line in card.split("## Signatures")[1].splitlines() if line.startswith("| `")}
    assert listed == set(names["network"].signatures)


def _check_scores(run):
    """The signature equals NumPy's definition, in standard deviations and without missing numbers."""
    network, reader = (
        tf.saved_model.load(str(run / "export" / "2")),
        tf.train.load_checkpoint(str(run / "checkpoints" / "ckpt-2")),
    )
    unit = reader.get_tensor("model/unit/.ATTRIBUTES/VARIABLE_VALUE")
    rows = np.float32([[1, 20, 300], [np.nan, 2, 3], [np.nan] * 3])
    outputs = network.signatures["serving_default"](rows=rows)["reconstructions"].numpy()
    scored = network.signatures["score"](rows=tf.constant(rows))
    expected = scores.total(scores.parts(rows, outputs, scoring=scores.SQUARED, unit=unit))
    np.testing.assert_allclose(scored["scores"], expected, rtol=1e-5)
    np.testing.assert_allclose(scored["errors"], np.square((rows - outputs) / unit), rtol=1e-4)
    np.testing.assert_allclose(np.nanmean(scored["errors"][:2], axis=1), scored["scores"][:2], rtol=1e-6)


def _check_score_file(run):
    content = json.loads((run / "export" / "2" / "assets" / "score.json").read_text())
    some = Calibration.from_json(content["calibration"])
    assert some.to_json() == manifests.read(run / "checkpoints", 2).scores
    assert content["thresholds"] == {"0.001": None, "0.01": None, "0.05": None}  # Of three held-out rows.
    assert (content["scoring"], content["columns"]) == ("squared", ["size", "weight", "age"])
    assert content["unit"] == "in standard deviations of the columns"


def test_an_existing_export_is_replaced_and_a_step_without_scores_has_no_thresholds_without_data(run, launch):
    (run / "export" / "1").mkdir(parents=True)
    (run / "export" / "1" / "old").write_text("of an earlier export")
    code, output, error = launch("--mode=export", f"--run_dir={run}", "--at_step=1", f"--data_dir={run}/absent.csv")
    assert code == 0, error
    assert "there are no thresholds: the checkpoint of step 1 has no squared scores" in output
    assert [path.name for path in (run / "export").iterdir()] == ["1"]
    names = {path.name for path in (run / "export" / "1").iterdir()}
    assert names >= {"saved_model.pb", "variables", "README.md", "assets"}
    assert "old" not in names
    content = json.loads((run / "export" / "1" / "assets" / "score.json").read_text())
    assert (content["calibration"], set(content["thresholds"].values())) == (None, {None})


def test_the_option_export_cannot_select_the_weights_of_the_mode(run, launch):
    code, _, error = launch("--mode=export", f"--run_dir={run}", "--export=best")
    assert code == 1
    assert "--export cannot be used with --mode=export" in error
