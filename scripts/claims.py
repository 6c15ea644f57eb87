"""Claims about Hourglass, and suites of trials that test them."""

import argparse
import dataclasses
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

HEADER = ("claim", "result", "bound", "detail")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim and its trials.

    Attributes:
      what: the claim.
      passed: number of trials that passed.
      tried: number of trials.
      detail: times, counts, the first failures.
      random: True if the trials are a random sample, which bounds a failure rate; False if they are all cases.
    """

    what: str
    passed: int
    tried: int
    detail: str = ""
    random: bool = False

    @property
    def holds(self) -> bool:
        """True if there were trials and all of them passed."""
        return self.passed == self.tried > 0

    @property
    def bound(self) -> str:
        """The conclusion for cases that were not tried.

        If N random trials have no failure, the failure rate is below 3/N with 95 % confidence (the rule of three:
        (1 - 3/N)^N is about e^-3, which is 0.05).
        """
        if not self.tried:
            return "none: never tried"
        if not self.holds:
            return f"does not hold: {self.tried - self.passed:,} failed"
        if not self.random:
            return "these cases"
        percent = 300 / self.tried
        return f"failure rate < {percent:.2g} % (95 %)" if percent < 100 else "none: too few trials"


def table(claims: Iterable[Claim]) -> str:
    """Returns a Markdown table of claims."""
    rows = [HEADER, ("---",) * len(HEADER)]
    rows += [(c.what, f"{c.passed:,} of {c.tried:,}", c.bound, c.detail) for c in claims]
    return "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows) + "\n"


def failures(failed: Sequence[str], limit: int = 3) -> str:
    """Returns the first failures as the end of a claim's detail; empty if there are none."""
    return f"; failed: {'; '.join(failed[:limit])}" if failed else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


Suites = Mapping[str, Callable[[pathlib.Path, argparse.Namespace], list[Claim]]]


def parse(parser: argparse.ArgumentParser, suites: Suites, folder: str | None = None) -> argparse.Namespace:
    """Parses the names of suites, --short and --dir, whose default is `folder`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("suites", nargs="*", metavar="NAME", help=f"{', '.join(suites)}; default: all")
    parser.add_argument("--short", action="store_true", help="a few trials of each")
    parser.add_argument("--dir", default=folder, help="parent of the suites' folders")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(suites):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(suites)}")
    options.suites = options.suites or list(suites)
    return options


def run(suites: Suites, options: argparse.Namespace, *, keep: bool = True) -> int:
    """Runs the chosen suites and prints their claims; returns the exit code, 1 if a claim does not hold.

    Each suite gets a new folder, which is deleted unless `keep` is set and one of its claims does not hold.
    """
    claims = []
    for name in options.suites:
        started = time.monotonic()
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"hourglass-{name}-", dir=options.dir)).resolve()
        results = suites[name](folder, options)
        print(f"\n{name}: {time.monotonic() - started:,.0f} s\n{table(results)}", flush=True)
        if keep and not all(claim.holds for claim in results):
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        claims += results
    print(f"\n{table(claims)}")
    return 0 if all(claim.holds for claim in claims) else 1
