"""All runs of the tests in this folder consist of several blocks."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def several_blocks_a_run(small_blocks):
    """Sets the length of a block to seven steps."""


@pytest.fixture(scope="session")
def table_run(tmp_path_factory, cached_graphs):
    """A standardized run of rows with missing numbers, with checkpoints of steps 1 (not evaluated), 2 and 3."""
    import launch

    folder = tmp_path_factory.mktemp("table")
    cells = [[f"{n % 7 + c * 10 * n:.2f}" for c in range(3)] for n in range(40)]
    cells[3][1] = cells[35][2] = cells[38][0] = ""
    lines = ["size,weight,age,kind", *(",".join([*row, "ab"[n % 2]]) for n, row in enumerate(cells))]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    flags = ("--dataset=table", f"--data_dir={folder}/rows.csv", "--label_column=kind", "--missing=mean")
    more = ("--standardise", "--hidden=2", "--steps=3", "--batch_size=8", "--checkpoint_every=1", "--eval_every=2")
    assert launch.main([*flags, *more, "--jit=off", "--export=none", f"--run_dir={folder / 'run'}"]) == 0
    return folder / "run"
