"""The row of a run in the HParams tab."""

import pytest

from trainer import config

OLDEST = (  # the columns of rows of all versions
    "activation batch_size classes code_activation dataset hidden learning_rate loss model optimizer output_activation"
    " precision schedule seed steps other_flags"
).split()


def row(*arguments: str, total_steps: int = 1) -> dict:
    return config.table_row(config.parse(list(arguments))[0], total_steps)


def test_a_row_has_every_column_with_a_value_of_its_type():
    every = row("--hidden=7,3", "--epochs=2", "--learning_rate=0.5", total_steps=123)
    assert {name: every[name] for name in ("hidden", "learning_rate", "steps")} == {
        "hidden": "7,3",
        "learning_rate": 0.5,
        "steps": 123,
    }
    columns = config.table_columns()
    assert list(every) == list(columns)
    assert {
        name for name in columns if not isinstance(every[name], (int, float) if columns[name] is float else str)
    } == {
        "standardise",
        "variational",
    }
    assert set(columns) - set(OLDEST) == {
        *("beta", "noise", "noise_level", "sparsity", "variational"),
        *("image_size", "standardise"),
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"variational": False, "beta": 0, "noise": "none", "noise_level": 0, "sparsity": 0}),
        (["--variational"], {"variational": True, "beta": 1}),
        (["--variational", "--beta=4"], {"variational": True, "beta": 4}),
        (["--noise=masking"], {"noise": "masking", "noise_level": 0.25}),
        (["--noise=gaussian", "--noise_level=0.5", "--sparsity=1e-3"], {"noise_level": 0.5, "sparsity": 1e-3}),
        (["--dataset=iris"], {"standardise": False, "image_size": ""}),
        (["--dataset=iris", "--standardize"], {"standardise": True}),
        (["--dataset=images", "--data_dir=x"], {"standardise": False, "image_size": "32x32"}),
        (["--dataset=images", "--data_dir=x", "--image_size=64x48"], {"image_size": "64x48"}),
    ],
)
def test_the_kind_of_a_network_has_columns_that_are_empty_where_they_have_no_effect(arguments, expected):
    assert {name: value for name, value in row(*arguments).items() if name in expected} == expected


def test_other_flags_are_those_that_rows_of_older_versions_have_no_column_for():
    assert row("--learning_rate=0.5", "--steps=7")["other_flags"] == ""
    others = row("--warmup=5", "--jit=off", "--learning_rate=0.5", "--variational", "--beta=4", "--run_dir=x")
    assert set(others["other_flags"].split()) == {"--warmup=5", "--jit=off", "--variational=true", "--beta=4.0"}
