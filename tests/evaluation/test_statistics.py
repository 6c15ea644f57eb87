"""Metrics, histograms, images and projector files, computed from arrays."""

import io

import numpy as np
import pytest
from PIL import Image

from trainer.data.rows import evenly_spaced
from trainer.evaluation import statistics
from trainer.evaluation.probes import MAX_POINTS
from trainer.summaries import images, projector
from trainer.summaries.histograms import MAX_HISTOGRAM_VALUES, histogram
from trainer.summaries.scatter import COLORS, MARGIN, SIDE, scatter

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("side", "window"), [(32, 11), (12, 11), (11, 11), (8, 7)])
def test_structural_similarity_equals_that_of_tensorflow(side, window):
    import tensorflow as tf

    originals = RANDOM.random((5, side, side + 3, 3), np.float32)
    reconstructions = np.clip(originals + RANDOM.normal(0, 0.2, originals.shape), 0, 1).astype(np.float32)
    expected = tf.image.ssim(originals, reconstructions, max_val=1.0, filter_size=window).numpy().mean()
    assert statistics.ssim(originals, reconstructions) == pytest.approx(expected, abs=1e-5)
    assert statistics.ssim(originals, originals) == pytest.approx(1.0)


def test_code_metrics_show_dead_and_redundant_units():
    independent = RANDOM.normal(size=(20_000, 4)).astype(np.float32)
    metrics = statistics.code_metrics(independent)
    assert metrics["latent/active_units"] == 4
    assert metrics["latent/effective_rank"] == pytest.approx(4, abs=0.01)
    assert metrics["latent/mean_correlation"] == pytest.approx(0, abs=0.02)
    # Two units with opposite values, a nearly dead unit, and an independent unit.
    codes = independent[:, [0, 0, 1, 2]] * np.float32([1, -1, 0.001, 1])
    metrics = statistics.code_metrics(codes)
    assert metrics["latent/active_units"] == 3
    # The singular values are proportional to sqrt(2), 1 and 0.001; the rank is exp of the entropy of their shares.
    shares = np.array([2**0.5, 1, 0.001]) / (2**0.5 + 1.001)
    assert metrics["latent/effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=0.01)
    assert metrics["latent/mean_correlation"] == pytest.approx(1 / 3, abs=0.02)


def test_code_metrics_of_equal_codes_are_0_and_codes_of_one_number_have_no_correlation():
    metrics = statistics.code_metrics(np.ones((9, 3), np.float32))
    assert set(metrics.values()) == {0.0}
    assert set(statistics.code_metrics(np.arange(4.0).reshape(4, 1))) == {
        "latent/active_units",
        "latent/effective_rank",
    }


def test_code_metrics_of_wide_codes_are_estimated_from_a_sample():
    narrow = RANDOM.normal(size=(2_000, 3)).astype(np.float32)
    wide = (narrow @ RANDOM.normal(size=(3, 5_000))).astype(np.float32)
    metrics = statistics.code_metrics(wide)
    assert metrics["latent/active_units"] == 5_000
    assert 2 < metrics["latent/effective_rank"] < 3.1
    assert 0.3 < metrics["latent/mean_correlation"] < 0.7


def test_percentiles_are_those_of_the_errors_of_single_examples():
    errors = statistics.example_errors(np.float32(np.arange(101)) ** 2 * 4, 4)
    np.testing.assert_allclose(errors, np.arange(101), rtol=1e-6)
    assert statistics.error_percentiles(errors) == pytest.approx({"error/p10": 10, "error/p50": 50, "error/p90": 90})


def test_a_histogram_counts_all_values_of_small_tensors_and_a_sample_with_the_extremes_of_large_ones():
    values = RANDOM.normal(size=(40, 50)).astype(np.float32)
    buckets = histogram(values)
    assert (buckets[0, 0], buckets[-1, 1]) == (values.min(), values.max())
    assert buckets[:, 2].sum() == 2_000
    np.testing.assert_array_equal(buckets[1:, 0], buckets[:-1, 1])
    large = np.zeros(1_000_000, np.float32)
    large[[7, 8]] = -3, 9
    buckets = histogram(large)
    assert (buckets[0, 0], buckets[-1, 1]) == (-3, 9)
    assert buckets[:, 2].sum() == MAX_HISTOGRAM_VALUES + 2


@pytest.mark.parametrize(
    "values", [[5.0, 5.0], [1.0, np.nextafter(np.float32(1), 2)], [-3e38, 3e38], [0.0], [1e15], [-1e38, -1e38], [1e-40]]
)
def test_a_histogram_accepts_values_of_any_range(values):
    assert histogram(np.float32(values))[:, 2].sum() == len(values)


def test_evenly_spaced_indices_include_the_first_and_the_last():
    assert evenly_spaced(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_spaced(3, 4).tolist() == [0, 1, 2]
    assert evenly_spaced(1, 4).tolist() == [0]


def test_worst_and_best_examples_are_sorted_by_error():
    worst, best = images.extremes(np.float32([3, 1, 2, 9, 0, 5, 7, 8, 4, 6]))
    assert worst.tolist() == [3, 7, 6, 9, 5, 8, 0, 2]
    assert best.tolist() == [4, 1, 2, 0, 8, 5, 9, 6]
    assert [indices.tolist() for indices in images.extremes(np.float32([2, 1]))] == [[0, 1], [1, 0]]


def test_each_tile_of_weights_is_scaled_by_its_largest_weight_around_gray():
    kernel = np.zeros((4, 3), np.float32)
    kernel[:, 0] = [1, -1, 0, 0.5]
    kernel[:, 1] = [-0.01, 0, 0, 0]
    image = images.first_layer(kernel, (2, 2, 1))
    assert image.shape == (2 * 34 + 2, 2 * 34 + 2, 1)  # Four tiles for three units.
    centers = [(top + 8, left + 8) for top in (2, 18) for left in (2, 18)]
    assert [int(image[center][0]) for center in centers] == [255, 0, 128, 191]
    assert int(image[10, 44, 0]) == 0
    assert int(image[60, 20, 0]) == 128  # All weights of this unit are 0.
    assert int(image[60, 60, 0]) == 255  # This tile has no unit.


def test_the_first_unit_increases_from_left_to_right_and_the_second_from_bottom_to_top_in_the_manifold():
    corners = np.float32([[-1, 10], [3, 10], [-1, 50], [3, 50]]).repeat(100, axis=0)
    codes = images.manifold_codes(corners)
    assert codes.shape == (400, 2)
    assert codes[0].tolist() == [-1, 50]  # top left
    assert codes[19].tolist() == [3, 50]
    assert codes[-20].tolist() == [-1, 10]
    assert images.manifold(np.zeros((400, 4, 4, 1))).shape == (20 * 30 + 2, 20 * 30 + 2, 1)


def test_each_row_of_a_traversal_varies_one_unit_the_most_active_first():
    codes = np.float32([[0, 5, -4], [0, 7, 4]])
    varied = images.traversal_codes(codes).reshape(3, 9, 3)
    np.testing.assert_allclose(varied[0, :, 2], np.linspace(-12, 12, 9), atol=1e-5)
    np.testing.assert_allclose(varied[1, :, 1], 6 + np.linspace(-3, 3, 9), atol=1e-5)
    np.testing.assert_allclose(varied[0, :, :2], np.tile([0, 6], (9, 1)))
    assert images.traversal(np.zeros((27, 64, 64, 3))).shape == (3 * 66 + 2, 9 * 66 + 2, 3)


def rgb(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]


def test_points_are_drawn_at_their_codes_in_the_colors_of_their_classes():
    codes = np.float32([[0, 0], [10, 0], [0, 20], [10, 20]])
    image = scatter(codes, np.array([7, 7, 2, 7]), ["seven", "seven", "two", "seven"])
    left, right = MARGIN + int(0.04 / 1.08 * SIDE), MARGIN + int(1.04 / 1.08 * SIDE)
    top, bottom = int(0.04 / 1.08 * SIDE), int(1.04 / 1.08 * SIDE)
    two, seven = rgb(COLORS[0]), rgb(COLORS[1])
    assert image[top, left].tolist() == two
    assert [image[point].tolist() for point in ((top, right), (bottom, left), (bottom, right))] == [seven] * 3
    legend = image[:, MARGIN + SIDE + 16]
    assert [tuple(row) for row in np.unique(legend, axis=0).tolist()] == sorted({*map(tuple, (two, seven)), (255,) * 3})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 100.0, -3e38, 1e-30])
def test_equal_codes_are_one_point_in_the_middle(value):
    image = scatter(np.full((3, 2), value, np.float32), np.array([0, 0, 0]), ["only"] * 3)
    middle = image[SIDE // 2 - 5 : SIDE // 2 + 5, MARGIN + SIDE // 2 - 5 : MARGIN + SIDE // 2 + 5]
    assert (middle == rgb(COLORS[0])).all(axis=2).any()


@pytest.mark.filterwarnings("error")
def test_the_legend_names_at_most_20_classes():
    image = scatter(RANDOM.normal(size=(50, 2)) * 3e37, np.arange(50), ["a" * 99] * 50)
    legend = image[:, MARGIN + SIDE + 16]
    changes = np.count_nonzero(np.diff((legend == 255).all(axis=1).astype(int)) == -1)
    assert changes == 20


COLUMNS = {"label": ["a", "tab\tand\nline"], "rmse": [0.123456789, 1e-9], "example": [3, 40]}


def test_projector_files_have_codes_labels_errors_and_images(tmp_path):
    originals = np.zeros((2, 4, 6, 1), np.float32)
    originals[1] = 1
    sprite = projector.Sprite.from_images(originals)
    projector.write(tmp_path, 40, np.float32([[1, 2, 3, 4], [5, 6, 7, 8.5]]), COLUMNS, sprite)
    folder = tmp_path / projector.FOLDER
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["codes.tsv", "metadata.tsv", "projector_config.pbtxt", "sprite.png"]
    )
    np.testing.assert_array_equal(np.loadtxt(folder / "codes.tsv"), [[1, 2, 3, 4], [5, 6, 7, 8.5]])
    assert projector.has_step(tmp_path, 40)
    assert not projector.has_step(tmp_path, 4)
    assert (folder / "metadata.tsv").read_text().splitlines() == [
        "label\trmse\texample",
        "a\t0.123457\t3",
        "tab and line\t1e-09\t40",
    ]
    pixels = np.asarray(Image.open(folder / "sprite.png"))
    assert pixels.shape == (2 * 4, 2 * 6)
    assert [int(pixels[y, x]) for y, x in ((2, 2), (2, 9), (6, 2))] == [0, 255, 255]


def test_tensorboard_can_parse_the_projector_config(tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    sprite = projector.Sprite.from_images(np.zeros((2, 4, 6, 3), np.float32))
    projector.write(tmp_path, 40, np.float32([[1, 2], [5, 6]]), COLUMNS, sprite)
    text = (tmp_path / projector.FOLDER / projector.CONFIG).read_text()
    (embedding,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert list(embedding.tensor_shape) == [2, 3]  # The projector shows nothing for two columns.
    assert list(embedding.sprite.single_image_dim) == [6, 4]
    assert embedding.tensor_name == "codes at step 40"
    assert (embedding.tensor_path, embedding.metadata_path) == ("codes.tsv", "metadata.tsv")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / projector.FOLDER / "codes.tsv"), [[1, 2, 0], [5, 6, 0]])


def test_only_the_units_that_vary_most_are_written_for_wide_codes(tmp_path):
    codes = RANDOM.normal(size=(10, 300)).astype(np.float32)
    codes[:, 50:150] *= 0.001
    projector.write(tmp_path, 1, codes, {"a": range(10), "b": range(10)}, None)
    written = np.loadtxt(tmp_path / projector.FOLDER / "codes.tsv")
    np.testing.assert_allclose(written, np.delete(codes, np.s_[50:150], axis=1), rtol=1e-3)


def test_a_sprite_can_be_one_pixel():
    sprite = projector.Sprite.from_images(np.ones((1, 1, 1, 1), np.float32))
    assert Image.open(io.BytesIO(sprite.png)).size == (1, 1)


def test_the_largest_sprite_is_within_the_limit_of_tensorboard():
    sprite = projector.Sprite.from_images(np.zeros((MAX_POINTS, 97, 130, 1), np.float32))
    assert (sprite.height, sprite.width) == (33, 44)
    assert max(Image.open(io.BytesIO(sprite.png)).size) <= 8_192
