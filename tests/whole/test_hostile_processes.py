"""The short form of scripts/fuzz in separate processes."""

import ast
import sys

from hostile import launched, malice, mutants, vectors, workers
from hostile.harms import Harm


def test_random_flags_are_accepted_or_rejected_in_three_lines():
    tally = workers.run(vectors.make, 500, processes=1)
    assert tally.problems == []
    assert tally.tried == 500
    assert tally.kinds["exit 1"] > 100
    assert tally.kinds[launched.ACCEPTED] > 100


def test_valid_files_of_every_kind_are_read(tmp_path, python):
    program = """
import pathlib, random, sys
from hostile import launched, mutants
mutants.mutated = lambda content, other, draw: content
trial = mutants.make()
print({trial(number).kind for number in range(300)})
"""
    done = python(f"import sys; sys.path[:0] = {sys.path!r}\n{program}")
    assert done.returncode == 0, done.stderr
    kinds = set(ast.literal_eval(done.stdout))
    # Inputs get a random extension, so that some have a wrong one.
    assert kinds - {"input: exit 2"} == {f"{name}: exit 0" for name in mutants.kinds()}


def test_malicious_data_is_rejected_and_runs_nothing(monkeypatch):
    monkeypatch.setattr(malice, "SECONDS", 60.0)  # Times are checked by the full form.
    claims = malice.run_trials(8)
    assert [claim.what for claim in claims if not claim.holds] == []


READS_ANYTHING = """
import pickle, sys
folder = sys.argv[-1].removeprefix("--data_dir=")
pickle.load(open(folder + "/data_batch_1", "rb"))
"""


def test_a_reader_that_unpickles_is_detected():
    (harm,) = (harm for harm in malice.everything() if harm.name == "pickle: os.system")
    reading = malice.read(Harm(harm.name, harm.place, program=READS_ANYTHING))
    assert reading.executed
    assert reading.written == "ran differs"
    assert reading.wrong.startswith("exit 0")
