"""One finished run for all tests of runs in this process, in blocks of seven steps."""

import pytest
from trained import OFTEN, seen


@pytest.fixture(scope="session", autouse=True)
def small_blocks(one_graph_a_network):
    """Blocks of seven steps: these runs have several."""
    from trainer.runs import planning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "MAX_BLOCK_STEPS", 7)
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory, one_graph_a_network):
    """An uninterrupted run with a checkpoint at every step."""
    import launch

    run = tmp_path_factory.mktemp("finished") / "run"
    assert launch.main([*OFTEN, f"--run_dir={run}"]) == 0
    return run


@pytest.fixture(scope="session")
def seen_of_finished(finished):
    return seen(finished)
