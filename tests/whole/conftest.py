"""Runs of several blocks."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def several_blocks_a_run(small_blocks):
    """Blocks of seven steps, in all tests of this folder."""
