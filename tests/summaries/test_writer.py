"""Event files, read with TensorBoard's own code."""

import re

import numpy as np
import pytest
from readers import read_images, scalars

from trainer.evaluation import statistics
from trainer.evaluation.probes import fixed_examples
from trainer.summaries import event_files, images, tags
from trainer.summaries import writer as board


def test_reconstruction_metrics_have_the_expected_values():
    squared_errors = np.float32([3.0, 5.0])
    metrics = statistics.reconstruction_metrics(squared_errors, 100, is_image=True)
    expected = {"mse": 0.04, "rmse": 0.2, "sse": 4.0, "psnr": 13.9794}
    assert metrics == pytest.approx({f"reconstruction/{name}": value for name, value in expected.items()}, rel=1e-5)


def test_tables_have_no_psnr():
    assert "reconstruction/psnr" not in statistics.reconstruction_metrics(np.float32([1]), 4, is_image=False)


def test_an_exact_reconstruction_has_no_psnr():
    assert "reconstruction/psnr" not in statistics.error_metrics(0.0, 4, is_image=True)


def test_fixed_examples_are_evenly_spaced():
    examples = np.arange(100)
    fixed = fixed_examples(examples)
    assert (len(fixed), fixed[0], fixed[-1]) == (8, 0, 99)
    assert fixed_examples(examples[:3]).tolist() == [0, 1, 2]


def test_the_rows_of_the_grid_are_originals_reconstructions_and_differences():
    originals = np.full((2, 64, 64, 1), 0.5, np.float32)
    reconstructions = originals + np.float32([0.1, 9.0]).reshape(2, 1, 1, 1)
    grid = images.reconstruction_grid(originals, reconstructions)
    assert grid.shape == (3 * 66 + 2, 2 * 66 + 2, 1)
    # The difference of 0.1 is doubled. Values above 1 are clipped.
    first, second = grid[33::66, 33, 0][:3], grid[33::66, 99, 0][:3]
    assert first.tolist() == [128, 153, 51]
    assert second.tolist() == [128, 255, 255]
    assert grid[0].min() == 255


def test_small_images_are_enlarged_without_smoothing():
    tile = np.float32([[0, 1], [1, 0]]).reshape(1, 1, 2, 2, 1)
    grid = images.grid(tile)
    assert grid.shape == (64 + 4, 64 + 4, 1)
    assert set(np.unique(grid)) == {0, 255}


def write(folder, steps, next_step=0, **values):
    writer = board.Writer(folder, next_step)
    for step in steps:
        writer.scalars(step, {"loss": step / 2, **values})
    writer.close()


def test_scalars_and_images_are_read_back(tmp_path):
    writer = board.Writer(tmp_path, 0)
    writer.scalars(3, {"loss": 0.5, "learning_rate": 0.25})
    writer.scalars(7, {"loss": 1.5})
    grid = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    writer.image(7, "reconstruction", grid)
    writer.close()
    assert scalars(tmp_path) == {"loss": {3: 0.5, 7: 1.5}, "learning_rate": {3: 0.25}}
    np.testing.assert_array_equal(read_images(tmp_path, "reconstruction")[7], grid)


def test_records_after_the_last_checkpoint_are_removed(tmp_path):
    write(tmp_path, range(10))
    write(tmp_path, range(6, 8), next_step=6, learning_rate=1.0)
    assert scalars(tmp_path)["loss"] == {step: step / 2 for step in range(8)}
    assert set(scalars(tmp_path)["learning_rate"]) == {6, 7}


def test_a_run_that_starts_again_at_step_0_removes_all_old_points(tmp_path):
    write(tmp_path, range(10))
    write(tmp_path, range(2))
    assert set(scalars(tmp_path)["loss"]) == {0, 1}


@pytest.mark.parametrize("num_bytes", [1, 7, 40])
def test_a_torn_last_record_is_removed(num_bytes, tmp_path):
    write(tmp_path, range(5))
    (path,) = [p for p in tmp_path.glob(event_files.PATTERN) if p.name.endswith(".v2")]
    path.write_bytes(path.read_bytes()[:-num_bytes])
    write(tmp_path, [4], next_step=4)
    assert scalars(tmp_path)["loss"] == {step: step / 2 for step in range(5)}


def test_a_copy_of_a_damaged_event_file_is_kept(tmp_path):
    write(tmp_path, range(50))
    (path,) = [p for p in tmp_path.glob(event_files.PATTERN) if p.name.endswith(".v2")]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    write(tmp_path, [50], next_step=50)
    (copy,) = tmp_path.glob("damaged.*")
    assert copy.read_bytes() == bytes(content)
    assert 50 in scalars(tmp_path)["loss"]


def test_no_points_are_lost_if_the_clock_was_set_back(tmp_path, monkeypatch):
    write(tmp_path, range(5))
    for path in tmp_path.glob(event_files.PATTERN):
        path.rename(path.with_name(re.sub(r"tfevents\.\d+", "tfevents.9999999999", path.name)))
    write(tmp_path, range(5, 8), next_step=5)
    assert scalars(tmp_path)["loss"] == {step: step / 2 for step in range(8)}
    assert not list(tmp_path.glob("*9999999999*"))


def test_every_start_writes_a_session_log(tmp_path):
    import tensorflow as tf

    write(tmp_path, range(5))
    write(tmp_path, range(3, 5), next_step=3)
    start_steps = [
        event.step
        for path in sorted(tmp_path.glob(event_files.PATTERN))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.session_log.status == tf.compat.v1.SessionLog.START
    ]
    assert start_steps == [0, 3]


def test_every_tag_has_a_description_and_layers_share_one():
    assert all(len(text) > 20 and text.endswith((".", "?")) for text in tags.TAGS.values())
    assert tags.description("weights/encoder/code/kernel") == tags.TAGS["weights"]
    assert tags.description("weights/first_layer") == tags.TAGS["weights/first_layer"]
    with pytest.raises(KeyError):
        tags.description("unheard/of")


def descriptions(folder):
    """Returns the description of each tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return {tag: accumulator.SummaryMetadata(tag).summary_description for tag in accumulator.Tags()["tensors"]}


def test_every_tag_is_described_and_a_scalar_only_once_per_file(tmp_path):
    writer = board.Writer(tmp_path, 0)
    for step in range(100):
        writer.scalars(step, {"loss": 1.0})
    writer.scalars(100, {"loss": 1.0, "weight_norm": 2.0})
    writer.histograms(0, {"codes": np.arange(9.0), "weights/any": np.ones((3, 2))})
    writer.image(0, "latent/manifold", np.zeros((4, 4, 1), np.uint8))
    writer.text(0, "run/flags", "text")
    writer.close()
    assert descriptions(tmp_path) == {
        **{tag: tags.TAGS[tag] for tag in ("loss", "weight_norm", "codes", "latent/manifold", "run/flags")},
        "weights/any": tags.TAGS["weights"],
    }
    (path,) = [path for path in tmp_path.glob(event_files.PATTERN) if path.name.endswith(".v2")]
    assert path.read_bytes().count(tags.TAGS["loss"].encode()) == 1


def test_points_are_kept_if_the_description_of_a_tag_changes(tmp_path, monkeypatch):
    write(tmp_path, range(5))
    monkeypatch.setitem(tags.TAGS, "loss", "The same loss in other words.")
    write(tmp_path, [5], next_step=5)
    assert set(scalars(tmp_path)["loss"]) == set(range(6))


def test_images_of_another_schedule_are_removed_when_the_run_is_resumed(tmp_path):
    def write_images(next_step, steps, schedule):
        writer = board.Writer(tmp_path, next_step, schedule)
        for step in steps:
            writer.image(step, "reconstruction", np.full((2, 3, 1), step, np.uint8))
            writer.scalars(step, {"loss": step})
        writer.close()

    write_images(0, [0, 1, 2, 5, 10], {0, 1, 2, 5, 10, 20})
    write_images(11, [15], {0, 5, 10, 15})
    assert set(read_images(tmp_path, "reconstruction")) == {0, 5, 10, 15}
    assert set(scalars(tmp_path)["loss"]) == {0, 1, 2, 5, 10, 15}


def test_two_texts_never_share_a_step(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = board.Writer(tmp_path, 0)
    for step, text in ((4, "one"), (4, "two"), (5, "three"), (9, "four")):
        writer.text(step, "history", text)
    writer.close()
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    texts = [(event.step, event.tensor_proto.string_val[0]) for event in accumulator.Tensors("history")]
    assert texts == [(4, b"one"), (5, b"two"), (6, b"three"), (9, b"four")]
