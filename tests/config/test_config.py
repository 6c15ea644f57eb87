import pytest
from absl import flags
from checkout import ROOT

from trainer import config
from trainer.commands import MODES
from trainer.compute import devices
from trainer.compute.options import PRECISIONS
from trainer.config import options as run_options
from trainer.config.flags import define
from trainer.config.options import RunOptions
from trainer.data import options as data_options
from trainer.data.datasets import LOADERS
from trainer.data.options import DataOptions
from trainer.errors import UsageError
from trainer.models.options import ModelOptions
from trainer.summaries.options import SummaryOptions
from trainer.system.options import KINDS
from trainer.training import options as training_options
from trainer.training.losses import LOSSES
from trainer.training.noise import NOISES
from trainer.training.optimizers import OPTIMIZERS
from trainer.training.options import TrainingOptions

PRESETS = sorted((ROOT / "flags").glob("*.flags"))


def parse(*arguments):
    return config.parse(arguments)[0]


def test_every_option_is_a_flag_of_exactly_one_kind_with_a_meaning_and_a_theme():
    flag_values = flags.FlagValues()
    define(flag_values)
    assert set(flag_values) == set(config.names())
    assert sorted(name for kind in KINDS for name in config.names(kind)) == sorted(config.names())
    assert all(declared.meaning and declared.theme for declared in config.OPTIONS.values())


def test_the_choices_of_options_are_the_registries():
    assert {"none", *NOISES} == set(training_options.NOISES)
    assert set(LOSSES) == set(training_options.LOSSES)
    assert set(OPTIMIZERS) == set(training_options.OPTIMIZERS)
    assert set(training_options.LIKELIHOODS) < set(LOSSES)
    assert set(training_options.SHARES) < set(NOISES)
    assert {precision for _, precision in devices.XLA_PAYS} == set(PRECISIONS)
    assert set(run_options.MODES) == set(MODES)
    assert {*data_options.OWN} <= set(LOADERS)


def test_help_lists_every_flag_with_its_default_by_theme_the_common_ones_first():
    text = config.help_text()
    for name, declared in config.OPTIONS.items():
        assert text.count(f"  --{name} ") + text.count(f"  --[no]{name} ") + text.count(f"  --{name}\n") == 1, name
        assert f"\n{declared.theme}:\n" in text or declared.is_common
    assert "Default: digits" in text
    common = [name for name, declared in config.OPTIONS.items() if declared.is_common]
    assert max(text.index(f"{name} ") for name in common) < text.index("--data_url")
    assert "--preset=NAME" in text


def test_the_short_help_is_a_screenful_of_common_flags():
    text = config.help_text(short=True)
    assert len(text.splitlines()) <= 40
    assert "--dataset" in text
    assert "--warmup" not in text


def test_options_are_checked_in_python_as_on_the_command_line():
    assert ModelOptions(hidden=[9, "4"]).hidden == (9, 4)
    assert ModelOptions(hidden=100).hidden == (100,)
    assert ModelOptions(hidden="256,128,32").hidden == (256, 128, 32)
    assert DataOptions(image_size=48).image_size == (48, 48)
    assert repr(TrainingOptions(beta=2).beta) == "2.0"
    for make in (
        lambda: TrainingOptions(learning_rate="0.1"),
        lambda: TrainingOptions(batch_size=2.5),
        lambda: TrainingOptions(batch_size=None),
        lambda: ModelOptions(variational="no"),
        lambda: ModelOptions(hidden=None),
        lambda: ModelOptions(hidden=[2.5]),
        lambda: SummaryOptions(profile=5),
        lambda: RunOptions(run_dir=""),
        lambda: DataOptions(data_dir="\ue000hidden\ue0013\ue002"),
        lambda: DataOptions(data_dir="\u202e"),
        lambda: TrainingOptions(noise="snow"),
        lambda: TrainingOptions(batch_size=0),
        lambda: TrainingOptions(learning_rate=float("nan")),
        lambda: DataOptions(data_dir="a\nb"),
        lambda: config.Config(training=TrainingOptions(steps=3, epochs=2.0)),
    ):
        with pytest.raises(UsageError):
            make()


@pytest.mark.parametrize(
    "flag", ["--nodebug=3", "--norestart=x", "--debug=3", "--steps=x", "--run_dir=", "--init_from=", "--preset="]
)
def test_a_value_that_cannot_be_meant_is_an_error_of_three_lines(flag):
    with pytest.raises(UsageError) as refused:
        parse(flag)
    assert "remedy: " in str(refused.value)


@pytest.mark.parametrize("name", [path.stem for path in PRESETS])
def test_a_preset_is_its_flagfile(name):
    path = next(path for path in PRESETS if path.stem == name)
    expected = parse(f"--flagfile={path}", "--seed=3")

    assert parse(f"--preset={name}", "--seed=3") == expected
    assert parse("--preset", name, "--seed=3") == expected


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(UsageError, match="iris"):
        parse("--preset=irises")


def test_defaults_are_the_documented_ones():
    defaults = parse()
    assert (defaults.data.dataset, defaults.model.model, defaults.model.hidden) == ("digits", "dense", (32,))
    assert (defaults.serving.tensorboard, defaults.serving.host, defaults.serving.port) == (False, "localhost", 6006)
    assert (defaults.checkpoints.keep, defaults.compute.device, defaults.compute.precision, defaults.compute.jit) == (
        5,
        "auto",
        "float32",
        "auto",
    )


def test_widths_are_read_in_order():
    assert parse("--hidden=256,128,32").model.hidden == (256, 128, 32)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--hiden=3", "Did you mean: hidden"),
        ("--hidden=0", "1 to 1,000,000"),
        ("--hidden=", "--hidden is empty"),
        ("--hidden=12x", "'12x'"),
        ("--batch_size=0", "not an integer in the range"),
        ("--batch_size=1e3", "invalid literal"),
        ("--learning_rate=nan", "not a finite number"),
        ("--learning_rate=0", "trains nothing"),
        ("--learning_rate=-1", "not a number in the range"),
        ("--epochs=inf", "not a number in the range"),
        ("--epochs=nan", "not a finite number"),
        ("--steps=0", "not an integer in the range"),
        ("--optimizer=adamw", "adam|rmsprop|sgd"),
        ("--port=70000", "65535"),
        ("--run_dir=a\nb", "cannot be printed"),
        ("--flagfile=absent.flags", "absent.flags"),
        ("false", "unexpected argument 'false'"),
    ],
)
def test_a_wrong_value_is_a_usage_error_of_three_lines_at_most(argument, said):
    with pytest.raises(UsageError) as error:
        parse(argument)
    assert said in str(error.value)
    assert "remedy: " in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_what_would_do_something_to_a_terminal_is_said_harmlessly():
    with pytest.raises(UsageError) as error:
        parse("--jit=\x1b[2J\u202e\ud800")
    assert "--jit=?[2J??" in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--steps=3", "--epochs=2"),
        ("--loss=bernoulli", "--output_activation=relu"),
        ("--variational", "--loss=mse"),
        ("--noise=masking", "--noise_level=1.5"),
        ("--code=5,5",),
        ("--mode=generate", "--input=x.png"),
        ("--at_step=5",),
    ],
)
def test_flags_that_contradict_each_other_are_refused(arguments):
    with pytest.raises(UsageError):
        parse(*arguments)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ((), training_options.DEFAULT_STEPS),
        (("--steps=7",), 7),
        (("--epochs=2", "--batch_size=10"), 30),
        (("--epochs=0.01",), 1),
    ],
)
def test_the_length_is_told_in_steps_or_epochs(arguments, steps):
    assert parse(*arguments).total_steps(num_train=148) == steps


@pytest.mark.parametrize(
    ("arguments", "loss"),
    [((), "mse"), (("--variational",), "gaussian"), (("--variational", "--loss=bernoulli"), "bernoulli")],
)
def test_a_variational_network_has_a_likelihood_by_default(arguments, loss):
    assert parse(*arguments).training.loss == loss


def test_beginning_again_as_another_kind_is_checked_as_a_whole():
    stored, (given, names) = parse("--hidden=9"), config.parse(["--variational"])
    assert config.adopt(stored, given, names, guard=False).training.loss == "gaussian"
    for loss, kept in (("gaussian", "mse"), ("bernoulli", "bernoulli")):
        stored = parse("--variational", f"--loss={loss}")
        assert config.adopt(stored, *config.parse(["--novariational"]), guard=False).training.loss == kept
    given, names = config.parse(["--loss=mse"])
    with pytest.raises(UsageError, match="--variational with --loss=mse"):
        config.adopt(parse("--variational"), given, names, guard=False)


def test_a_run_that_goes_on_keeps_its_likelihood():
    stored = parse("--variational", "--loss=bernoulli")
    given, names = config.parse(["--variational", "--steps=90"])
    assert config.adopt(stored, given, names).training.loss == "bernoulli"


@pytest.mark.parametrize("idle", ["--beta=4", "--noise_level=0.5", "--pretrain_steps=7"])
def test_a_flag_that_would_do_nothing_is_refused(idle):
    with pytest.raises(UsageError, match="does nothing without"):
        config.check_idle(parse(idle))
    config.check_idle(parse(idle, "--variational", "--noise=gaussian", "--pretrain=layerwise"))


def test_the_flags_of_a_network_are_compared_as_they_work():
    old = {"loss": "bernoulli", "hidden": [3]}  # A checkpoint that is older than most of the flags.
    found = config.network(old)
    assert (found["output_activation"], found["tied"], found["hidden"]) == ("sigmoid", False, [3])
    assert config.network({"loss": "mse"})["output_activation"] == "linear"


def test_flags_txt_repeats_the_run():
    given = parse("--hidden=9,4", "--classes=1,5", "--epochs=2.5", "--deterministic", "--learning_rate=0.0003")
    assert config.from_flagfile(config.to_flagfile(given)) == given


def test_places_are_not_stored():
    stored = config.to_flagfile(parse("--data_dir=d", "--run_dir=r", "--device=cpu", "--host=0.0.0.0", "--port=1234"))
    assert not any(f"--{name}=" in stored for name in config.names("place"))


def test_an_existing_run_keeps_its_flags_and_takes_what_may_change():
    stored = parse("--hidden=9", "--epochs=3", "--log_every=7")
    given, names = config.parse(["--run_dir=r", "--steps=50", "--log_every=9"])
    adopted = config.adopt(stored, given, names)
    assert adopted == config.Config.of({**stored.values(), "run_dir": "r", "steps": 50, "epochs": None, "log_every": 9})


def test_a_mathematical_flag_may_not_change_and_the_error_names_both_values():
    stored = parse("--hidden=9", "--loss=sse")
    given, names = config.parse(["--hidden=9", "--loss=mse", "--seed=4"])
    with pytest.raises(UsageError) as error:
        config.adopt(stored, given, names)
    assert "--loss: sse -> mse; --seed: 0 -> 4" in str(error.value)
    assert "--restart" in str(error.value)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_parses_and_says_what_it_is(path):
    parse(f"--flagfile={path}")
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    assert any("Source:" in line for line in header)
    assert any("Expected:" in line for line in header)


def test_there_is_a_preset():
    assert PRESETS


def test_the_profilers_steps_are_two_numbers():
    assert config.parse(["--profile=100,20"])[0].summaries.profile == (100, 20)
    assert config.parse([])[0].summaries.profile == ()


@pytest.mark.parametrize("given", ["5", "1,2,3", "1,1001", f"{'9' * 5000},1", "0,4", "4,0", "a,b", "-1,2"])
def test_other_profiles_are_refused(given):
    with pytest.raises(UsageError, match="the first step to trace"):
        config.parse([f"--profile={given}"])


def test_the_columns_of_a_run_are_numbers_and_texts_and_hold_what_is_not_usual():
    ours = config.parse(["--hidden=7,3", "--epochs=2", "--jit=off", "--learning_rate=0.5"])[0]
    found = config.row(ours, 123)
    assert (found["hidden"], found["learning_rate"], found["steps"], found["jit"]) == ("7,3", 0.5, 123, "off")
    assert set(found) == {*config.columns(), "jit"}
    assert config.row(config.parse(["--noise=masking"])[0], 1)["noise"] == "masking"


def test_the_command_line_is_what_was_given():
    assert config.given_again(*config.parse(["--restart", "--hidden=7,3"])) == ["--hidden=7,3", "--restart=true"]
