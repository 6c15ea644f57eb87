"""All runs of the tests in this folder consist of several blocks."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def several_blocks_a_run(small_blocks):
    """Sets the length of a block to seven steps."""
