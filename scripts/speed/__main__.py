"""Measures speed.

scripts/benchmark                   every way of training every workload, in turns: half an hour on two cores
scripts/benchmark book hinton       these workloads only
scripts/benchmark start             from the command to the first step
scripts/benchmark memory [book ...] peak memory beside bare TensorFlow's
scripts/benchmark growth            what grows with steps and data
scripts/benchmark pictures          decoding into the cache, and training from there
scripts/benchmark summaries [FLAG ...]  what TensorBoard costs; flags as for training
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from speed import data
from speed.compare import compare, table, unequal
from speed.contenders import KINDS, RUN
from speed.workloads import WORKLOADS

OTHERS = ("start", "memory", "growth", "pictures")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ", ".join((*OTHERS, "summaries", *WORKLOADS))
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {known}")
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15, help="that a whole run is to take, about")
    parser.add_argument("--only", default=None, help=f"some of {', '.join([RUN, *KINDS])}")
    parser.add_argument("--data_dir", default=None, help="real MNIST and CIFAR-10; without: pictures made here")
    parser.add_argument("--json", default=None, help="where to write all that was measured")
    options = parser.parse_args(arguments)
    options.other = options.what.pop(0) if options.what[:1] and options.what[0] in OTHERS else None
    options.names = options.only.split(",") if options.only else [RUN, *KINDS]
    for given, known in ((options.what, WORKLOADS), (options.names, [RUN, *KINDS])):
        if set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(set(given) - set(known)))}; there are {', '.join(known)}")
    return options


def main() -> int:
    """Returns the exit code: 1 where a contender has not done the same work."""
    if sys.argv[1:2] == ["summaries"]:
        from speed import summaries

        summaries.compare(sys.argv[2:])
        return 0
    options = parse(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        if not options.data_dir:
            data.write(pathlib.Path(folder))
        return _measure(options, [f"--data_dir={pathlib.Path(options.data_dir or folder).resolve()}"])


def _measure(options: argparse.Namespace, flags: list[str]) -> int:
    if options.other == "start":
        from speed import start

        start.measure(flags)
        return 0
    if options.other == "memory":
        from speed import memory

        memory.measure(options.what or list(WORKLOADS), flags)
        return 0
    if options.other == "pictures":
        from speed import pictures

        pictures.measure()
        return 0
    if options.other == "growth":
        from speed import growth

        growth.measure()
        return 0
    found, code = {}, 0
    for name in options.what or WORKLOADS:
        rows = compare(name, options.precision, options.names, flags, rounds=options.rounds, seconds=options.seconds)
        print(f"\n{name}, {options.precision}\n\n{table(rows)}\n", flush=True)
        for row in unequal(rows):
            print(f"{row.name} has not learnt as much as the others: loss {row.loss:.5f}", flush=True)
            code = 1
        found[name] = [vars(row) for row in rows]
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps({options.precision: found}, indent=1) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
