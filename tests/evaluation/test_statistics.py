"""Numbers and pictures that TensorBoard shows, computed from arrays."""

import io

import numpy as np
import pytest
from PIL import Image

from trainer.data.rows import evenly_spaced
from trainer.evaluation import statistics
from trainer.evaluation.probes import MAX_POINTS
from trainer.summaries import images as pictures
from trainer.summaries import projector
from trainer.summaries.histograms import MAX_HISTOGRAM_VALUES, histogram
from trainer.summaries.scatter import COLOURS, MARGIN, SIDE, scatter

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("side", "window"), [(32, 11), (12, 11), (11, 11), (8, 7)])
def test_structural_similarity_is_tensorflows(side, window):
    import tensorflow as tf

    originals = RANDOM.random((5, side, side + 3, 3), np.float32)
    reconstructions = np.clip(originals + RANDOM.normal(0, 0.2, originals.shape), 0, 1).astype(np.float32)
    expected = tf.image.ssim(originals, reconstructions, max_val=1.0, filter_size=window).numpy().mean()
    assert statistics.ssim(originals, reconstructions) == pytest.approx(expected, abs=1e-5)
    assert statistics.ssim(originals, originals) == pytest.approx(1.0)


def test_the_health_of_codes_is_seen_by_units_directions_and_correlations():
    independent = RANDOM.normal(size=(20_000, 4)).astype(np.float32)
    healthy = statistics.latent_health(independent)
    assert healthy["latent/active_units"] == 4
    assert healthy["latent/effective_rank"] == pytest.approx(4, abs=0.01)
    assert healthy["latent/mean_correlation"] == pytest.approx(0, abs=0.02)
    # Two units that say the same, one that is dead but for a whisper, one alone.
    ill = independent[:, [0, 0, 1, 2]] * np.float32([1, -1, 0.001, 1])
    found = statistics.latent_health(ill)
    assert found["latent/active_units"] == 3
    # Singular values sqrt(2), 1, 0.001: e to the entropy of their shares.
    shares = np.array([2**0.5, 1, 0.001]) / (2**0.5 + 1.001)
    assert found["latent/effective_rank"] == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=0.01)
    assert found["latent/mean_correlation"] == pytest.approx(1 / 3, abs=0.02)


def test_codes_that_never_change_have_no_health_and_single_numbers_no_correlation():
    dead = statistics.latent_health(np.ones((9, 3), np.float32))
    assert set(dead.values()) == {0.0}
    assert set(statistics.latent_health(np.arange(4.0).reshape(4, 1))) == {
        "latent/active_units",
        "latent/effective_rank",
    }


def test_wide_codes_are_healthy_in_a_moment_and_their_rank_is_that_of_some_examples():
    narrow = RANDOM.normal(size=(2_000, 3)).astype(np.float32)
    wide = (narrow @ RANDOM.normal(size=(3, 5_000))).astype(np.float32)
    found = statistics.latent_health(wide)
    assert found["latent/active_units"] == 5_000
    assert 2 < found["latent/effective_rank"] < 3.1
    assert 0.3 < found["latent/mean_correlation"] < 0.7


def test_the_margin_is_of_single_examples():
    errors = statistics.example_errors(np.float32(np.arange(101)) ** 2 * 4, 4)
    np.testing.assert_allclose(errors, np.arange(101), rtol=1e-6)
    assert statistics.margins(errors) == pytest.approx({"error/p10": 10, "error/p50": 50, "error/p90": 90})


def test_a_histogram_counts_small_tensors_whole_and_of_large_ones_the_extremes_too():
    values = RANDOM.normal(size=(40, 50)).astype(np.float32)
    found = histogram(values)
    assert (found[0, 0], found[-1, 1]) == (values.min(), values.max())
    assert found[:, 2].sum() == 2_000
    np.testing.assert_array_equal(found[1:, 0], found[:-1, 1])
    large = np.zeros(1_000_000, np.float32)
    large[[7, 8]] = -3, 9
    found = histogram(large)
    assert (found[0, 0], found[-1, 1]) == (-3, 9)
    assert found[:, 2].sum() == MAX_HISTOGRAM_VALUES + 2


@pytest.mark.parametrize(
    "values", [[5.0, 5.0], [1.0, np.nextafter(np.float32(1), 2)], [-3e38, 3e38], [0.0], [1e15], [-1e38, -1e38], [1e-40]]
)
def test_a_histogram_stands_numbers_of_any_range(values):
    assert histogram(np.float32(values))[:, 2].sum() == len(values)


def test_a_few_are_spread_over_all_from_the_first_to_the_last():
    assert evenly_spaced(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_spaced(3, 4).tolist() == [0, 1, 2]
    assert evenly_spaced(1, 4).tolist() == [0]


def test_the_worst_and_the_best_are_in_order():
    worst, best = pictures.extremes(np.float32([3, 1, 2, 9, 0, 5, 7, 8, 4, 6]))
    assert worst.tolist() == [3, 7, 6, 9, 5, 8, 0, 2]
    assert best.tolist() == [4, 1, 2, 0, 8, 5, 9, 6]
    assert [found.tolist() for found in pictures.extremes(np.float32([2, 1]))] == [[0, 1], [1, 0]]


def test_weights_are_shown_around_grey_each_unit_by_its_own_largest():
    kernel = np.zeros((4, 3), np.float32)
    kernel[:, 0] = [1, -1, 0, 0.5]
    kernel[:, 1] = [-0.01, 0, 0, 0]
    shown = pictures.first_layer(kernel, (2, 2, 1))
    assert shown.shape == (2 * 34 + 2, 2 * 34 + 2, 1)  # Four places for three units.
    centers = [(top + 8, left + 8) for top in (2, 18) for left in (2, 18)]
    assert [int(shown[place][0]) for place in centers] == [255, 0, 128, 191]
    assert int(shown[10, 44, 0]) == 0
    assert int(shown[60, 20, 0]) == 128  # A unit whose weights are all 0.
    assert int(shown[60, 60, 0]) == 255  # No unit.


def test_the_manifold_goes_from_left_to_right_and_from_bottom_to_top():
    corners = np.float32([[-1, 10], [3, 10], [-1, 50], [3, 50]]).repeat(100, axis=0)
    codes = pictures.manifold_codes(corners)
    assert codes.shape == (400, 2)
    assert codes[0].tolist() == [-1, 50]  # top left
    assert codes[19].tolist() == [3, 50]
    assert codes[-20].tolist() == [-1, 10]
    assert pictures.manifold(np.zeros((400, 4, 4, 1))).shape == (20 * 30 + 2, 20 * 30 + 2, 1)


def test_a_traversal_varies_one_unit_a_row_the_most_active_first():
    codes = np.float32([[0, 5, -4], [0, 7, 4]])
    varied = pictures.traversal_codes(codes).reshape(3, 9, 3)
    np.testing.assert_allclose(varied[0, :, 2], np.linspace(-12, 12, 9), atol=1e-5)
    np.testing.assert_allclose(varied[1, :, 1], 6 + np.linspace(-3, 3, 9), atol=1e-5)
    np.testing.assert_allclose(varied[0, :, :2], np.tile([0, 6], (9, 1)))
    assert pictures.traversal(np.zeros((27, 64, 64, 3))).shape == (3 * 66 + 2, 9 * 66 + 2, 3)


def rgb(color: str) -> list[int]:
    return [int(color[place : place + 2], 16) for place in (1, 3, 5)]


def test_points_are_where_their_codes_are_in_the_colours_of_their_classes():
    codes = np.float32([[0, 0], [10, 0], [0, 20], [10, 20]])
    drawn = scatter(codes, np.array([7, 7, 2, 7]), ["seven", "seven", "two", "seven"])
    left, right = MARGIN + int(0.04 / 1.08 * SIDE), MARGIN + int(1.04 / 1.08 * SIDE)
    top, bottom = int(0.04 / 1.08 * SIDE), int(1.04 / 1.08 * SIDE)
    two, seven = rgb(COLOURS[0]), rgb(COLOURS[1])
    assert drawn[top, left].tolist() == two
    assert [drawn[place].tolist() for place in ((top, right), (bottom, left), (bottom, right))] == [seven] * 3
    legend = drawn[:, MARGIN + SIDE + 16]
    assert [tuple(row) for row in np.unique(legend, axis=0).tolist()] == sorted({*map(tuple, (two, seven)), (255,) * 3})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 100.0, -3e38, 1e-30])
def test_codes_that_are_all_the_same_are_one_point_in_the_middle(value):
    drawn = scatter(np.full((3, 2), value, np.float32), np.array([0, 0, 0]), ["only"] * 3)
    middle = drawn[SIDE // 2 - 5 : SIDE // 2 + 5, MARGIN + SIDE // 2 - 5 : MARGIN + SIDE // 2 + 5]
    assert (middle == rgb(COLOURS[0])).all(axis=2).any()


@pytest.mark.filterwarnings("error")
def test_of_many_classes_the_legend_names_the_first():
    many = scatter(RANDOM.normal(size=(50, 2)) * 3e37, np.arange(50), ["a" * 99] * 50)
    legend = many[:, MARGIN + SIDE + 16]
    changes = np.count_nonzero(np.diff((legend == 255).all(axis=1).astype(int)) == -1)
    assert changes == 20


COLUMNS = {"label": ["a", "tab\tand\nline"], "rmse": [0.123456789, 1e-9], "example": [3, 40]}


def test_the_projectors_files_hold_codes_labels_errors_and_pictures(tmp_path):
    images = np.zeros((2, 4, 6, 1), np.float32)
    images[1] = 1
    projector.write(tmp_path, 40, np.float32([[1, 2, 3, 4], [5, 6, 7, 8.5]]), COLUMNS, projector.Sprite.of(images))
    folder = tmp_path / projector.FOLDER
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["codes.tsv", "metadata.tsv", "projector_config.pbtxt", "sprite.png"]
    )
    np.testing.assert_array_equal(np.loadtxt(folder / "codes.tsv"), [[1, 2, 3, 4], [5, 6, 7, 8.5]])
    assert projector.is_of(tmp_path, 40)
    assert not projector.is_of(tmp_path, 4)
    assert (folder / "metadata.tsv").read_text().splitlines() == [
        "label\trmse\texample",
        "a\t0.123457\t3",
        "tab and line\t1e-09\t40",
    ]
    sprite = np.asarray(Image.open(folder / "sprite.png"))
    assert sprite.shape == (2 * 4, 2 * 6)
    assert [int(sprite[y, x]) for y, x in ((2, 2), (2, 9), (6, 2))] == [0, 255, 255]


def test_tensorboard_reads_the_projectors_configuration(tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    sprite = projector.Sprite.of(np.zeros((2, 4, 6, 3), np.float32))
    projector.write(tmp_path, 40, np.float32([[1, 2], [5, 6]]), COLUMNS, sprite)
    text = (tmp_path / projector.FOLDER / projector.CONFIG).read_text()
    (embedding,) = text_format.Parse(text, ProjectorConfig()).embeddings
    assert list(embedding.tensor_shape) == [2, 3]  # Of two columns it would draw nothing.
    assert list(embedding.sprite.single_image_dim) == [6, 4]
    assert embedding.tensor_name == "codes at step 40"
    assert (embedding.tensor_path, embedding.metadata_path) == ("codes.tsv", "metadata.tsv")
    np.testing.assert_array_equal(np.loadtxt(tmp_path / projector.FOLDER / "codes.tsv"), [[1, 2, 0], [5, 6, 0]])


def test_of_wide_codes_the_projector_gets_the_units_that_vary_most(tmp_path):
    codes = RANDOM.normal(size=(10, 300)).astype(np.float32)
    codes[:, 50:150] *= 0.001
    projector.write(tmp_path, 1, codes, {"a": range(10), "b": range(10)}, None)
    written = np.loadtxt(tmp_path / projector.FOLDER / "codes.tsv")
    np.testing.assert_allclose(written, np.delete(codes, np.s_[50:150], axis=1), rtol=1e-3)


def test_a_sprite_of_one_pixel_is_a_sprite():
    sprite = projector.Sprite.of(np.ones((1, 1, 1, 1), np.float32))
    assert Image.open(io.BytesIO(sprite.png)).size == (1, 1)


def test_a_sprite_of_as_many_large_pictures_as_there_can_be_is_within_what_tensorboard_takes():
    sprite = projector.Sprite.of(np.zeros((MAX_POINTS, 97, 130, 1), np.float32))
    assert (sprite.height, sprite.width) == (33, 44)
    assert max(Image.open(io.BytesIO(sprite.png)).size) <= 8_192
