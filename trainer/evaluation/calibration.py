"""Thresholds of anomaly scores, from the scores of held-out examples that are taken as normal.

A threshold is a conformal quantile (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; section
2.2): if new normal examples come from the distribution of the held-out ones, at most the promised share of them scores
above it. Scores of training examples would be too low for this.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from trainer.evaluation.scores import SCORINGS

MAX_STORED = 1_000  # More scores are thinned out.
MAX_COUNT = 2**53  # Every integer up to here is a float64.


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The sorted scores of held-out examples, or some of them.

    Attributes:
      count: number n of held-out examples.
      ranks: [R] int64, the ranks of the stored scores from 1, ascending; the last is n.
      scores: [R] float64, ascending; values of float32, as new scores are, so that equal scores stay equal.
      scoring: how they were computed; see `scores.SCORINGS`.
    """

    count: int
    ranks: np.ndarray
    scores: np.ndarray
    scoring: str

    @classmethod
    def of(cls, scores: np.ndarray, scoring: str) -> Self:
        """Returns the calibration by the scores of held-out examples, [N]. Scores that are NaN are left out.

        Of more than `MAX_STORED`, those near the largest are kept, because thresholds are there. Shares of examples are
        then rounded up, by at most 2 % for up to 300 million examples.

        Raises:
          ValueError: there is no score.
        """
        scores = scores[~np.isnan(scores)].astype(np.float32)
        count = len(scores)
        if not count:
            raise ValueError("there are no scores")
        if count <= MAX_STORED:
            ranks = np.arange(1, count + 1)
        else:
            from_top = np.unique(np.geomspace(1, count, MAX_STORED).round().astype(np.int64))
            ranks = (count + 1 - from_top)[::-1]
        return cls(count, ranks, np.sort(scores).astype(np.float64)[ranks - 1], scoring)

    @property
    def least(self) -> float:
        """The smallest share of false alarms that n held-out examples support."""
        return 1 / (self.count + 1)

    def threshold(self, contamination: float) -> float:
        """Returns the threshold that at most this share of normal examples exceeds; infinity if it is below `least`.

        A score exceeds it exactly if its p-value is at most this share, a number from 0 to 1.
        """
        most = round(contamination * (self.count + 1))  # the largest integer with most / (n + 1) <= contamination
        if most / (self.count + 1) > contamination:  # Compared as p-values are: 0.07 * 100 is more than 7.
            most -= 1
        if most > self.count:
            return -math.inf
        index = np.searchsorted(self.ranks, self.count + 1 - most)
        return float(self.scores[index]) if index < len(self.ranks) else math.inf

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Returns the share of normal examples that score as high, (1 + #) / (n + 1): [N] -> [N] float64; NaN for NaN.

        If not all held-out scores are stored, # is the largest number that agrees with those.
        """
        below = np.concatenate([[0], self.ranks])[np.searchsorted(self.scores, scores)]
        return np.where(np.isnan(scores), np.nan, (1 + self.count - below) / (self.count + 1))

    def to_json(self) -> dict[str, Any]:
        """Returns the content as JSON; `from_json` restores it. Nine digits are enough for float32."""
        return {
            "count": self.count,
            "ranks": self.ranks.tolist(),
            "scores": [float(f"{score:.9g}") for score in self.scores],
            "scoring": self.scoring,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Restores what `to_json` returned.

        Raises:
          KeyError, TypeError, ValueError: the content is damaged.
        """
        ranks = _ascending(content["ranks"], MAX_COUNT).astype(np.int64)
        scores = _ascending(content["scores"], float(np.finfo(np.float32).max)).astype(np.float32)
        if not len(ranks) == len(scores) > 0 or ranks[0] < 1 or int(ranks[-1]) != content["count"]:
            raise ValueError("the ranks and the scores do not belong together")
        if (np.diff(ranks) == 0).any() or content["scoring"] not in SCORINGS:
            raise ValueError("a rank occurs twice, or the scoring is unknown")
        return cls(int(content["count"]), ranks, scores.astype(np.float64), content["scoring"])


def _ascending(values: Sequence[float], largest: float) -> np.ndarray:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise TypeError("the ranks and the scores are not lists of numbers")
    array = np.asarray(values, np.float64)
    if (np.diff(array) < 0).any() or not (np.abs(array) <= largest).all():
        raise ValueError("the ranks or the scores are not in ascending order, or too large")
    return array
