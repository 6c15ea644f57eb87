"""The tabs of TensorBoard show everything that a run has written."""

import pytest
from browser import chromium, needs_browser, open_page, wait_for_image, wait_until_served
from readers import read_images, scalars

from trainer.serving import addresses
from trainer.serving.server import Server
from trainer.summaries import hparams

pytestmark = needs_browser

BASELINES = ("floor/mean", "floor/pca")
IMAGES = "reconstruction examples/worst examples/best weights/first_layer latent/traversal data/sample".split()
IMAGES += "latent/interpolation denoising/restored prior/samples".split()

# Texts that each tab must show. Line breaks separate text nodes.
TEXTS = {
    "?tagFilter=loss%7Crmse#timeseries": ("\nloss\n", "\nreconstruction\n/rmse\n", "\ntrain\n", "\neval\n", *BASELINES),
    "#scalars&tagFilter=rmse": ("\nreconstruction/rmse\n", "\nbest/rmse\n", "\ntrain\n", "\neval\n", *BASELINES),
    "#scalars&tagFilter=latent%7Cerror": ("\nlatent/active_units\n", "\nlatent/effective_rank\n", "\nerror/p90\n"),
    "#scalars&tagFilter=norm%7Cperf": (
        "\ngradient_norm\n",
        "\nupdate_norm\n",
        "\nweight_norm\n",
        "\nperf/input_wait\n",
    ),
    "#custom_scalars": (
        *("\nTraining, evaluation and baselines\n", "\nloss\n", "\nroot mean squared error\n"),
        *("\nError of single examples\n", "\nDenoising\n", "\nEvidence\n", "\nSpeed\n", "Matches (4)"),
    ),
    "#images&tagFilter=.": tuple(f"\ntag:\n{tag}\n" for tag in IMAGES),
    "#scalars&tagFilter=elbo%7Cdenoising": ("\nelbo/elbo\n", "\nelbo/kl\n", "\ndenoising/rmse_2x\n"),
    "#histograms&tagFilter=code%7Cerror": (
        *("\ntag:\ncodes\n", "\ntag:\nerror/examples\n"),
        *("\ntag:\nweights/encoder/code/kernel\n", "\ntag:\ngradients/encoder/code/kernel\n"),
    ),
    "#distributions&tagFilter=%5Ecodes%7Ckl": ("\ntag:\ncodes\n", "\ntag:\nkl/units\n"),
    "#graphs": ("\nencoder\n", "\ndecoder\n", "\nloss\n", "\noptimizer\n"),
    "#projector": (
        *("1 tensor found\ncodes at step 40\n", "Points:\n297\nDimension:\n5\n", "Metadata:\nmetadata.tsv"),
        "described: ",
    ),
    "#text": (
        *("\ntag:\nhistory\n", "\nstep 0\n: started", "\nstep 40\n: finished"),
        *(
            "\ntag:\nrun/command\n",
            "\npython launch.py --hidden=5 --variational=true --noise=masking --steps=40",
            "git",
        ),
        *("\n--learning_rate\n0.002\n", "\nencoder/code/kernel\n64 x 5\n320\n", "fingerprint"),
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    import launch

    run = tmp_path_factory.mktemp("finished") / "run"
    kind = ["--hidden=5", "--variational", "--noise=masking"]
    assert launch.main(["--steps=40", *kind, "--jit=off", "--export=none", f"--run_dir={run}"]) == 0
    return run


@pytest.fixture(scope="module")
def url(finished):
    server = Server(finished, "localhost", addresses.free_port("localhost", 0))
    try:
        wait_until_served(server.url)
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="module")
def driver():
    driver = chromium()
    yield driver
    driver.quit()


@pytest.mark.parametrize("tab", TEXTS)
def test_each_tab_shows_all_tags(tab, url, driver):
    open_page(driver, url + tab, TEXTS[tab])


def test_the_reconstruction_image_is_loaded_in_full_size(url, driver, finished):
    height, width, _ = read_images(finished / "eval", "reconstruction")[40].shape
    open_page(driver, url + "#images&tagFilter=^reconstruction$", ["reconstruction"])
    wait_for_image(driver, "IMG", width, height)


def test_the_hparams_table_has_flags_and_errors_of_the_run(url, driver, finished):
    values = scalars(finished / "eval")
    metrics = [values[tag][40] for tag, _ in hparams.METRICS[:5]]  # The other columns are hidden at first.
    texts = ["Trial ID", "\nrun ", "\nswish\n", "\nbeta\n", "\nbest rmse\n", "\nfinal ssim\n"]
    open_page(driver, url + "#hparams", [*texts, *(f"\n{value:.5g}" for value in metrics if value < 1)])
