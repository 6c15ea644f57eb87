"""What was tried, how often it held, and what that bounds: one line a claim, one table for all."""

import dataclasses
from collections.abc import Iterable

HEADER = ("claim", "result", "what it bounds", "detail")


@dataclasses.dataclass(frozen=True)
class Claim:
    """Something said of the trainer, and how often it was seen to be so.

    Attributes:
      what: is claimed, in words.
      passed: trials in which it held.
      tried: trials.
      detail: what else a person wants to know: times, counts, the first failures.
      random: whether the trials were drawn at random, so that they bound a rate; else they are all there are.
      control: it is said of something else, for comparison: nothing is wrong if it does not hold.
    """

    what: str
    passed: int
    tried: int
    detail: str = ""
    random: bool = False
    control: bool = False

    @property
    def holds(self) -> bool:
        """Whether it held every time; what was never tried does not."""
        return self.passed == self.tried > 0

    @property
    def bounds(self) -> str:
        """What the trials say of those that were not done.

        Where N random trials had no failure, the failure rate is below 3/N with 95 % confidence (the rule of three:
        (1 - 3/N)^N is about e^-3, which is 0.05).
        """
        if not self.tried:
            return "nothing: never tried"
        if not self.holds:
            return f"it does not hold: {self.tried - self.passed:,} failed"
        if not self.random:
            return "these cases"
        percent = 300 / self.tried
        return f"failure rate < {percent:.2g} % (95 %)" if percent < 100 else "nothing: too few trials"


def table(claims: Iterable[Claim]) -> str:
    """A Markdown table of claims."""
    rows = [HEADER, ("---",) * len(HEADER)]
    rows += [(c.what, f"{c.passed:,} of {c.tried:,}", c.bounds, c.detail) for c in claims]
    return "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows) + "\n"


def _cell(text: str) -> str:
    """One line that does not end its cell."""
    return " ".join(text.split()).replace("|", "\\|")
