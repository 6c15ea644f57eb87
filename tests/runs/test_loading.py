"""A trained run that is loaded for use: the calibration of its scores."""

import numpy as np

from trainer import config
from trainer.evaluation.scores import RELATIVE, SQUARED
from trainer.runs.loading import LoadedRun


def loaded(run, *flags):
    return LoadedRun(*config.parse(["--mode=encode", f"--run_dir={run}", *flags]))


def test_scores_from_the_data_equal_those_that_training_stored(table_run, log_lines):
    run = loaded(table_run)
    stored = run.calibration(SQUARED)
    assert log_lines == []
    run.entry.manifest.scores.clear()
    computed = run.calibration(SQUARED)
    np.testing.assert_allclose(computed.scores, stored.scores, rtol=1e-5)
    assert (computed.count, computed.scoring) == (stored.count, SQUARED) == (3, SQUARED)
    assert log_lines[-1] == (
        "note        the checkpoint of step 3 has no squared scores; they were computed for the 3 evaluation examples"
    )


def test_without_data_a_checkpoint_without_these_scores_has_no_calibration(table_run, tmp_path, log_lines):
    run = loaded(table_run, f"--data_dir={tmp_path / 'absent.csv'}", "--at_step=2")
    assert run.calibration(SQUARED).count == 3
    assert run.calibration(RELATIVE) is None
    assert log_lines[-1].startswith("note        there are no thresholds: the checkpoint of step 2 has no relative")
    assert "absent.csv" in log_lines[-1]
