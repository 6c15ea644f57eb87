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
from trainer.data import splits
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


def test_every_option_is_a_flag_with_one_kind_a_description_and_a_theme():
    flag_values = flags.FlagValues()
    define(flag_values)
    aliases = {declared.alias for declared in config.OPTIONS.values() if declared.alias}
    assert set(flag_values) == {*config.option_names(), *aliases}
    assert sorted(name for kind in KINDS for name in config.option_names(kind)) == sorted(config.option_names())
    assert all(declared.description and declared.theme for declared in config.OPTIONS.values())


def test_the_choices_of_options_equal_the_registries():
    assert {"none", *NOISES} == set(training_options.NOISES)
    assert set(LOSSES) == set(training_options.LOSSES)
    assert set(OPTIMIZERS) == set(training_options.OPTIMIZERS)
    assert set(training_options.LIKELIHOODS) < set(LOSSES)
    assert set(training_options.SHARES) < set(NOISES)
    assert {precision for _, precision in devices.XLA_IS_FASTER} == set(PRECISIONS)
    assert set(run_options.MODES) == set(MODES)
    assert {*data_options.OWN} <= set(LOADERS)


def test_the_help_lists_all_flags_by_theme_with_defaults_and_common_flags_first():
    text = config.help_text()
    for name, declared in config.OPTIONS.items():
        assert text.count(f"  --{name} ") + text.count(f"  --[no]{name} ") + text.count(f"  --{name}\n") == 1, name
        assert f"\n{declared.theme}:\n" in text or declared.is_common
    assert "Default: digits" in text
    common = [name for name, declared in config.OPTIONS.items() if declared.is_common]
    assert max(text.index(f"{name} ") for name in common) < text.index("--data_url")
    assert "--preset=NAME" in text


def test_the_short_help_lists_the_common_flags_in_at_most_40_lines():
    text = config.help_text(short=True)
    assert len(text.splitlines()) <= 40
    assert "--dataset" in text
    assert "--warmup" not in text


def test_options_are_checked_in_python_like_on_the_command_line():
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
def test_an_invalid_value_is_a_usage_error_with_a_remedy(flag):
    with pytest.raises(UsageError) as error:
        parse(flag)
    assert "remedy: " in str(error.value)


@pytest.mark.parametrize("name", [path.stem for path in PRESETS])
def test_a_preset_equals_its_flagfile(name):
    path = next(path for path in PRESETS if path.stem == name)
    expected = parse(f"--flagfile={path}", "--seed=3")

    assert parse(f"--preset={name}", "--seed=3") == expected
    assert parse("--preset", name, "--seed=3") == expected


@pytest.mark.parametrize("name", [path.stem for path in PRESETS])
@pytest.mark.parametrize("length", [("steps", 7), ("epochs", 2.0)])
def test_a_length_on_the_command_line_replaces_that_of_a_preset(name, length):
    option, value = length
    for order in ((f"--preset={name}", f"--{option}={value}"), (f"--{option}={value}", f"--preset={name}")):
        training = parse(*order).training
        assert (training.steps, training.epochs) == ((7, None) if option == "steps" else (None, 2.0))
        assert training.batch_size == parse(f"--preset={name}").training.batch_size


def test_the_error_for_an_unknown_preset_lists_all_presets():
    with pytest.raises(UsageError, match="iris"):
        parse("--preset=irises")


def test_the_defaults_are_as_documented():
    defaults = parse()
    assert (defaults.data.dataset, defaults.model.model, defaults.model.hidden) == ("digits", "dense", (32,))
    assert (defaults.serving.tensorboard, defaults.serving.host, defaults.serving.port) == (False, "localhost", 6006)
    assert (defaults.checkpoints.keep, defaults.compute.device, defaults.compute.precision, defaults.compute.jit) == (
        5,
        "auto",
        "float32",
        "auto",
    )


def test_layer_widths_keep_their_order():
    assert parse("--hidden=256,128,32").model.hidden == (256, 128, 32)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--hiden=3", "unknown flag --hiden\ndid you mean --hidden?"),
        ("--hidden=0", "1 to 1,000,000"),
        ("--hidden=", "--hidden is empty"),
        ("--hidden=12x", "'12x'"),
        ("--batch_size=0", "not an integer in the range"),
        ("--batch_size=1e3", "invalid literal"),
        ("--learning_rate=nan", "not a finite number"),
        ("--learning_rate=0", "would train nothing"),
        ("--learning_rate=-1", "not a number in the range"),
        ("--epochs=inf", "not a number in the range"),
        ("--epochs=nan", "not a finite number"),
        ("--steps=0", "not an integer in the range"),
        ("--optimizer=adamw", "adam|rmsprop|sgd"),
        ("--port=70000", "65535"),
        ("--run_dir=a\nb", "an unprintable character"),
        ("--flagfile=absent.flags", "absent.flags"),
        ("false", "unexpected argument 'false'"),
    ],
)
def test_a_wrong_argument_is_a_usage_error_of_at_most_three_lines(argument, message):
    with pytest.raises(UsageError) as error:
        parse(argument)
    assert message in str(error.value)
    assert "remedy: " in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_control_characters_are_replaced_in_error_messages():
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
        ("--early_stopping=3", "--eval_every=0"),
        ("--learning_rate_from_now=0.1", "--restart"),
        ("--learning_rate_from_now=0.1", "--mode=evaluate"),
    ],
)
def test_contradicting_flags_are_rejected(arguments):
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
def test_the_length_of_a_run_is_set_in_steps_or_epochs(arguments, steps):
    assert parse(*arguments).total_steps(num_train=148) == steps


@pytest.mark.parametrize(
    ("arguments", "loss"),
    [((), "mse"), (("--variational",), "gaussian"), (("--variational", "--loss=bernoulli"), "bernoulli")],
)
def test_the_default_loss_of_a_variational_network_is_a_likelihood(arguments, loss):
    assert parse(*arguments).training.loss == loss


def test_a_restart_that_toggles_variational_has_an_allowed_loss():
    stored, (given, names) = parse("--hidden=9"), config.parse(["--variational"])
    assert config.merge(stored, given, names, guard=False).training.loss == "gaussian"
    for loss, merged in (("gaussian", "mse"), ("bernoulli", "bernoulli")):
        stored = parse("--variational", f"--loss={loss}")
        assert config.merge(stored, *config.parse(["--novariational"]), guard=False).training.loss == merged
    given, names = config.parse(["--loss=mse"])
    with pytest.raises(UsageError, match="--variational cannot be used with --loss=mse"):
        config.merge(parse("--variational"), given, names, guard=False)


def test_a_resumed_run_keeps_its_loss():
    stored = parse("--variational", "--loss=bernoulli")
    given, names = config.parse(["--variational", "--steps=90"])
    assert config.merge(stored, given, names).training.loss == "bernoulli"


@pytest.mark.parametrize("flag", ["--beta=4", "--noise_level=0.5", "--pretrain_steps=7"])
def test_a_flag_without_effect_is_rejected(flag):
    with pytest.raises(UsageError, match="has no effect without"):
        config.check_unused(parse(flag))
    config.check_unused(parse(flag, "--variational", "--noise=gaussian", "--pretrain=layerwise"))


def test_network_options_are_resolved_and_completed_with_defaults():
    old = {"loss": "bernoulli", "hidden": [3]}  # From a checkpoint that is older than most options.
    options = config.network_options(old)
    assert (options["output_activation"], options["tied"], options["hidden"]) == ("sigmoid", False, [3])
    assert config.network_options({"loss": "mse"})["output_activation"] == "linear"


def test_a_flagfile_restores_the_config():
    given = parse("--hidden=9,4", "--classes=1,5", "--epochs=2.5", "--deterministic", "--learning_rate=0.0003")
    assert config.from_flagfile(config.to_flagfile(given)) == given


@pytest.mark.parametrize(
    ("dataset", "depth"),
    [("images", "full"), ("tfds:mnist", "full"), ("array", "full"), ("digits", "auto"), ("table", "auto")],
)
def test_a_run_from_before_an_option_existed_keeps_its_old_meaning(dataset, depth):
    given = parse(f"--dataset={dataset}")
    old = "".join(line for line in config.to_flagfile(given).splitlines(True) if not line.startswith("--depth"))
    stored = config.from_flagfile(old)
    assert stored == config.Config.of(given.values() | {"depth": depth})
    config.check_unused(stored)
    manifest = {name: value for name, value in config.mathematical_options(given).items() if name != "depth"}
    assert config.with_defaults(manifest) == config.mathematical_options(stored)
    assert config.from_flagfile(old + "--depth=stretch\n").data.depth == "stretch"
    if depth == "full":
        with pytest.raises(UsageError, match="--depth: full -> auto"):
            config.merge(stored, parse(f"--dataset={dataset}", "--depth=auto"), {"depth"})


def test_options_of_the_kind_place_are_not_stored():
    stored = config.to_flagfile(parse("--data_dir=d", "--run_dir=r", "--device=cpu", "--host=0.0.0.0", "--port=1234"))
    assert not any(f"--{name}=" in stored for name in config.option_names("place"))


@pytest.mark.parametrize("dataset", ["images", "array", "table", "tfds:shades"])
def test_the_path_of_custom_data_is_stored_and_used_until_another_is_given(dataset, tmp_path):
    text = config.to_flagfile(parse(f"--dataset={dataset}", "--data_dir=my data/x.csv"))
    assert f"\n--data_dir={tmp_path / 'my data' / 'x.csv'}\n" in text
    stored = config.from_flagfile(text)
    merged = config.merge(stored, *config.parse(["--run_dir=r"]))
    assert merged.data.data_dir == f"{tmp_path}/my data/x.csv"
    assert config.to_flagfile(merged) == text
    assert config.merge(stored, *config.parse(["--data_dir=new"])).data.data_dir == "new"
    for other in ("digits", "array" if dataset != "array" else "table"):
        given, names = config.parse([f"--dataset={other}", "--restart"])
        assert config.merge(stored, given, names, guard=False).data.data_dir is None


def test_the_path_of_an_evaluation_file_is_stored_and_used_until_another_is_given(tmp_path):
    text = config.to_flagfile(parse("--dataset=table", "--data_dir=t.csv", "--eval_file=e.csv"))
    assert f"\n--eval_file={tmp_path / 'e.csv'}\n" in text
    stored = config.from_flagfile(text)
    merged = config.merge(stored, *config.parse(["--data_dir=moved.csv"]))
    assert (merged.data.data_dir, merged.data.eval_file) == ("moved.csv", f"{tmp_path}/e.csv")
    assert config.merge(stored, *config.parse(["--eval_file=new"])).data.eval_file == "new"
    (tmp_path / "flags.txt").write_text(text)
    assert parse("--eval_file=new", "--flagfile=flags.txt").data.eval_file == "new"


def test_an_evaluation_file_and_a_fraction_of_the_training_file_exclude_each_other():
    with pytest.raises(UsageError, match="has no effect with --eval_file"):
        parse("--dataset=table", "--eval_file=e.csv", "--eval_fraction=0.2")


def test_paths_of_built_in_data_are_not_stored_and_buckets_are_stored_as_they_are():
    assert "data_dir" not in config.to_flagfile(parse("--dataset=mnist", "--data_dir=d"))
    assert "--data_dir=gs://b/tf\n" in config.to_flagfile(parse("--dataset=tfds:mnist", "--data_dir=gs://b/tf"))


@pytest.mark.parametrize("given", [["--data_dir=new"], ["--data_dir", "new"], ["-data_dir=old", "--data_dir=new"]])
def test_a_given_path_replaces_that_of_a_flagfile_in_any_order(given, tmp_path):
    (tmp_path / "flags.txt").write_text("--dataset=table\n--data_dir=/stored.csv\n")
    for flagfile in (["--flagfile=flags.txt"], ["--flagfile", "flags.txt"]):
        assert parse(*flagfile).data.data_dir == "/stored.csv"
        for arguments in ([*given, *flagfile, "--seed=3"], ["--seed", "3", *flagfile, *given]):
            parsed = parse(*arguments)
            assert (parsed.data.dataset, parsed.data.data_dir, parsed.training.seed) == ("table", "new", 3)


def test_an_existing_run_keeps_its_options_except_changed_ones():
    stored = parse("--hidden=9", "--epochs=3", "--log_every=7")
    given, names = config.parse(["--run_dir=r", "--steps=50", "--log_every=9"])
    merged = config.merge(stored, given, names)
    assert merged == config.Config.of({**stored.values(), "run_dir": "r", "steps": 50, "epochs": None, "log_every": 9})


def test_a_changed_mathematical_flag_is_rejected_with_both_values():
    stored = parse("--hidden=9", "--loss=sse")
    given, names = config.parse(["--hidden=9", "--loss=mse", "--seed=4"])
    with pytest.raises(UsageError) as error:
        config.merge(stored, given, names)
    assert "--loss: sse -> mse; --seed: 0 -> 4" in str(error.value)
    assert "--restart" in str(error.value)


@pytest.mark.parametrize(
    ("flag", "has_same_network"),
    [
        ("--learning_rate=0.01", True),
        ("--batch_size=9", True),
        ("--loss=sse", True),
        ("--loss=bernoulli", False),  # Its output layer is a sigmoid.
        ("--hidden=3", False),
        ("--classes=1", False),
    ],
)
def test_the_error_names_init_from_if_the_weights_can_be_used(flag, has_same_network):
    given, names = config.parse([flag])
    with pytest.raises(UsageError) as error:
        config.merge(parse("--hidden=9"), given, names, run="/my runs/r")
    command = f"--flagfile='/my runs/r/flags.txt' --init_from='/my runs/r' --run_dir=NEW {flag}"
    assert (command in str(error.value)) == has_same_network
    assert ("--init_from" in str(error.value)) == has_same_network


def test_the_error_for_a_changed_learning_rate_names_the_way_to_change_it_before_init_from():
    given, names = config.parse(["--learning_rate=0.01"])
    with pytest.raises(UsageError) as error:
        config.merge(parse("--hidden=9"), given, names, run="/my runs/r")
    way = "continue it with the new learning rate with --run_dir='/my runs/r' --learning_rate_from_now=0.01,"
    assert str(error.value).index(way) < str(error.value).index("--init_from")
    given, names = config.parse(["--learning_rate=0.01", "--seed=3"])
    with pytest.raises(UsageError) as error:
        config.merge(parse("--hidden=9"), given, names)
    assert "--learning_rate_from_now" not in str(error.value)


def test_a_new_learning_rate_replaces_the_stored_one_and_the_same_command_repeats_it():
    arguments = ["--learning_rate=0.01", "--learning_rate_from_now=0.005"]
    merged = config.merge(parse("--learning_rate=0.01"), *config.parse(arguments))
    assert merged.training.learning_rate == 0.005
    assert config.merge(merged, *config.parse(arguments)).training.learning_rate == 0.005
    assert "from_now" not in config.to_flagfile(merged)
    with pytest.raises(UsageError, match="learning_rate=0 would train nothing"):
        config.merge(merged, *config.parse(["--learning_rate_from_now=0"]))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "last"),
        (("--early_stopping=3",), "best"),
        (("--early_stopping=3", "--export=last"), "last"),
        (("--export=best",), "best"),
        (("--early_stopping=3", "--export=none"), "none"),
    ],
)
def test_the_best_weights_are_exported_with_early_stopping_unless_others_are_requested(arguments, expected):
    assert parse(*arguments).export == expected


def test_an_older_run_that_stores_the_export_of_the_last_weights_keeps_it():
    stored = config.from_flagfile("--dataset=iris\n--export=last\n")
    assert config.merge(stored, *config.parse(["--early_stopping=3"])).export == "last"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_parses_and_has_a_header(path):
    parse(f"--flagfile={path}")
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    assert any("Source:" in line for line in header)
    assert any("Expected:" in line for line in header)


def test_the_batches_of_the_preset_for_anomalies_fit_a_table_of_38_rows():
    options = parse("--preset=anomalies", "--data_dir=normal.csv")
    is_evaluation = splits.by_index(38, options.data.eval_fraction)
    assert options.training.batch_size <= sum(~is_evaluation)


def test_there_are_presets():
    assert PRESETS


def test_profile_is_parsed_as_two_integers():
    assert config.parse(["--profile=100,20"])[0].summaries.profile == (100, 20)
    assert config.parse([])[0].summaries.profile == ()


@pytest.mark.parametrize("given", ["5", "1,2,3", "1,1001", f"{'9' * 5000},1", "0,4", "4,0", "a,b", "-1,2"])
def test_invalid_profiles_are_rejected(given):
    with pytest.raises(UsageError, match="the first step to profile"):
        config.parse([f"--profile={given}"])


def test_to_arguments_returns_only_the_passed_options():
    assert config.to_arguments(*config.parse(["--restart", "--hidden=7,3"])) == ["--hidden=7,3", "--restart=true"]
