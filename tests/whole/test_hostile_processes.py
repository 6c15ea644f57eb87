"""The short form of scripts/fuzz in processes of their own."""

import ast
import sys

from hostile import launched, malice, mutants, vectors, workers
from hostile.harms import Harm


def failures(tally):
    return tally.wrong if tally.num_wrong else []


def test_flags_drawn_at_random_are_accepted_or_refused_in_three_lines():
    tally = workers.run(vectors.make, 500, processes=1)
    assert failures(tally) == []
    assert tally.tried == 500
    assert tally.kinds["exit 1"] > 100
    assert tally.kinds[launched.ACCEPTED] > 100


def test_sound_files_of_every_kind_are_read(tmp_path, python):
    program = """
import pathlib, random, sys
from hostile import launched, mutants
mutants.mutated = lambda content, other, chance: content
trial = mutants.make(0)
print({trial(number).kind for number in range(300)})
"""
    done = python(f"import sys; sys.path[:0] = {sys.path!r}\n{program}")
    assert done.returncode == 0, done.stderr
    found = set(ast.literal_eval(done.stdout))
    # What is given to a trained network is named at random, so that not all of it is what it says.
    assert found - {"input: exit 2"} == {f"{name}: exit 0" for name in mutants.kinds()}


def test_malicious_data_do_nothing_and_get_nothing(monkeypatch):
    monkeypatch.setattr(malice, "SECONDS", 60.0)  # How fast is for the full form.
    found = malice.storm(8)
    assert [claim.what for claim in found if not claim.holds] == []


READS_ANYTHING = """
import pickle, sys
folder = sys.argv[-1].removeprefix("--data_dir=")
pickle.load(open(folder + "/data_batch_1", "rb"))
"""


def test_a_reader_that_unpickles_is_found_out():
    (harm,) = (harm for harm in malice.everything() if harm.name == "pickle: os.system")
    done = malice.suffer(Harm(harm.name, harm.place, program=READS_ANYTHING))
    assert done.executed
    assert done.touched == "ran differs"
    assert done.wrong.startswith("exit 0")
