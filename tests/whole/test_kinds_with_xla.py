"""The contract of every kind, for those that are compiled with XLA, which takes seconds each."""

import pytest
from kinds import CASES, check_kind, ids


@pytest.mark.parametrize("case", [case for case in CASES if case["jit"]], ids=ids)
def test_every_kind_with_xla_resumes_to_the_bit_is_measured_shown_and_exported(case, tmp_path):
    check_kind(case, tmp_path)
