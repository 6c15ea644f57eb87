"""Measures the speed and the memory of training.

scripts/benchmark                   all ways to train all workloads, in turns: half an hour on two cores
scripts/benchmark book hinton       only these workloads
scripts/benchmark start             time from the command to the first step
scripts/benchmark memory [book ...] peak memory, compared with bare TensorFlow
"""

import argparse
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from speed import data
from speed.compare import compare, outliers, table
from speed.contenders import KINDS, RUN
from speed.workloads import WORKLOADS

OTHERS = ("start", "memory")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=", ".join((*OTHERS, *WORKLOADS)))
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15, help="approximate duration of a whole run")
    parser.add_argument("--only", default=None, help=f"NAME,...: some of {', '.join([RUN, *KINDS])}")
    parser.add_argument("--data_dir", default=None, help="folder of MNIST and CIFAR-10; default: generated images")
    options = parser.parse_args(arguments)
    options.other = options.what.pop(0) if options.what[:1] and options.what[0] in OTHERS else None
    options.names = options.only.split(",") if options.only else [RUN, *KINDS]
    for names, known in ((options.what, WORKLOADS), (options.names, [RUN, *KINDS])):
        if unknown := set(names) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    return options


def main() -> int:
    """Returns the exit code: 1 if a contender has learned less than the others."""
    options = parse(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        if not options.data_dir:
            data.write(pathlib.Path(folder))
        flags = [f"--data_dir={pathlib.Path(options.data_dir or folder).resolve()}"]
        if options.other == "start":
            from speed import start

            start.measure(flags)
        elif options.other == "memory":
            from speed import memory

            memory.measure(options.what or list(WORKLOADS), flags)
        else:
            return _compare(options, flags)
    return 0


def _compare(options: argparse.Namespace, flags: list[str]) -> int:
    code = 0
    for name in options.what or WORKLOADS:
        rows = compare(name, options.precision, options.names, flags, rounds=options.rounds, seconds=options.seconds)
        print(f"\n{name}, {options.precision}\n\n{table(rows)}\n", flush=True)
        for row in outliers(rows):
            print(f"{row.name} has learned less than the others: loss {row.loss:.5f}", flush=True)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
