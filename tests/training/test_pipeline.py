import numpy as np
import pytest

from trainer.training import pipeline

ROWS = np.arange(7 * 2, dtype=np.float32).reshape(7, 2)
ORDER_OF_SEED_0 = [5, 4, 0, 2, 6, 3, 1, 3, 0, 5, 4, 6, 1, 2, 2, 6, 1, 3, 4, 5, 0]


def stream(count, *, num_examples=7, seed=3, start=0):
    """Returns the first `count` example indices from position `start` on."""
    indices = []
    for epoch in pipeline.index_stream(num_examples, seed=seed, start=start).as_numpy_iterator():
        indices += epoch.tolist()
        if len(indices) >= count:
            return indices[:count]
    raise AssertionError("the stream ended")


def test_every_epoch_is_a_permutation():
    epochs = np.reshape(stream(7 * 50), (50, 7))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(7), (50, 1)))


def test_a_thousand_epochs_are_distinct_and_uncorrelated():
    size = 200
    epochs = np.reshape(stream(1000 * size, num_examples=size), (1000, size)).astype(float)
    assert len(np.unique(epochs, axis=0)) == 1000
    neighbors = [np.corrcoef(epochs[e], epochs[e + 1])[0, 1] for e in range(999)]
    # If epochs are independent, the standard deviation of a correlation is 1 / sqrt(199) = 0.071; of the mean, 0.0022.
    assert abs(np.mean(neighbors)) < 5 * 0.0022
    assert max(map(abs, neighbors)) < 6 * 0.071
    # The mean position of each example is 99.5, with a standard deviation of 1.83.
    assert np.abs(epochs.mean(axis=0) - 99.5).max() < 6 * 1.83


def test_the_order_is_the_same_from_any_start():
    indices = stream(60)
    for start in (1, 6, 7, 8, 13, 14, 29):
        assert stream(30, start=start) == indices[start : start + 30]


def test_a_late_start_is_fast():
    late = 7 * 10**12
    assert sorted(stream(7, start=late)) == list(range(7))
    assert stream(3, start=late + 4) == stream(7, start=late)[4:]


def test_different_seeds_give_different_orders():
    assert stream(70, seed=1) != stream(70, seed=2)


def test_the_order_of_a_seed_never_changes():
    # A change of this order would break the exact resume of all existing runs.
    assert stream(21, seed=0) == ORDER_OF_SEED_0


@pytest.mark.parametrize("resident_on", [None, "/CPU:0"])
@pytest.mark.parametrize("steps_per_block", [1, 2, 5, 16])
@pytest.mark.parametrize("start_step", [0, 1, 4])
def test_blocks_hold_the_batches_of_their_steps_and_batches_span_epochs(steps_per_block, start_step, resident_on):
    blocks = pipeline.blocks(
        ROWS,
        batch_size=3,
        steps_per_block=steps_per_block,
        seed=3,
        start_step=start_step,
        resident_on=resident_on,
    )
    batches = np.concatenate([next(blocks).numpy() for _ in range(-(-16 // steps_per_block))])[:16]
    expected = ROWS[stream(16 * 3, start=start_step * 3)].reshape(16, 3, 2)
    np.testing.assert_array_equal(batches, expected)


@pytest.mark.parametrize("resident_on", [None, "/CPU:0"])
def test_images_keep_their_dtype(resident_on):
    images = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    options = {"batch_size": 2, "steps_per_block": 3, "seed": 0, "start_step": 0}
    block = next(pipeline.blocks(images, **options, resident_on=resident_on))
    assert block.shape == (3, 2, 2, 2, 3)
    assert block.dtype == "uint8"


def test_batch_indices_agree_with_the_blocks():
    blocks = pipeline.blocks(ROWS, batch_size=3, steps_per_block=5, seed=3, start_step=0)
    trained = [batch for block in (next(blocks), next(blocks)) for batch in block.numpy()]
    for step in range(1, 11):
        indices = pipeline.batch_indices(7, batch_size=3, seed=3, step=step)
        np.testing.assert_array_equal(ROWS[indices], trained[step - 1])


@pytest.mark.parametrize("offset", [0, 16])
def test_memory_mapped_files_and_unaligned_arrays_give_the_same_blocks(offset, tmp_path):
    examples = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 1), np.uint8)
    path = tmp_path / "examples"
    path.write_bytes(bytes(offset) + examples.tobytes())
    mapped = np.memmap(path, np.uint8, "c", offset, examples.shape)
    options = {"batch_size": 7, "steps_per_block": 3, "seed": 1, "start_step": 2}
    of_array, of_file = (pipeline.blocks(source, **options) for source in (examples, mapped))
    for _ in range(4):
        np.testing.assert_array_equal(next(of_array), next(of_file))
