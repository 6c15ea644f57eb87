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

MAX_STORED = 1_000  # More scores are thinned out.


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The sorted scores of held-out examples, or some of them.

    Attributes:
      count: number n of held-out examples.
      ranks: [R] int64, the ranks of the stored scores from 1, ascending; the last is n.
      scores: [R] float64, ascending.
      scoring: how they were computed; see `scores.SCORINGS`.
    """

    count: int
    ranks: np.ndarray
    scores: np.ndarray
    scoring: str

    @classmethod
    def of(cls, scores: np.ndarray, scoring: str) -> Self:
        """Returns the calibration by the scores of n held-out examples, [n], n at least 1.

        Of more than `MAX_STORED`, those near the largest are kept, because thresholds are there: the share of examples
        above a stored score is within 2 % of its neighbors'.
        """
        count = len(scores)
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
        """Returns the threshold that at most this share of normal examples exceeds; infinity if it is below `least`."""
        rank = math.ceil((1 - contamination) * (self.count + 1) - 1e-9)  # 0.99 * 100 is 99 in exact arithmetic.
        index = np.searchsorted(self.ranks, rank)
        return float(self.scores[index]) if index < len(self.ranks) else math.inf

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Returns the share of normal examples that score as high, (1 + #) / (n + 1): [N] -> [N] float64; NaN for NaN.

        If not all held-out scores are stored, # is the largest number that agrees with those.
        """
        below = np.concatenate([[0], self.ranks])[np.searchsorted(self.scores, scores)]
        return np.where(np.isnan(scores), np.nan, (1 + self.count - below) / (self.count + 1))

    def to_json(self) -> dict[str, Any]:
        """Returns the content as JSON; `from_json` restores it."""
        return {
            "count": self.count,
            "ranks": self.ranks.tolist(),
            "scores": self.scores.tolist(),
            "scoring": self.scoring,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Restores what `to_json` returned.

        Raises:
          KeyError, TypeError, ValueError: the content is damaged.
        """
        ranks, scores = (_ascending(content[name], kind) for name, kind in (("ranks", np.int64), ("scores", float)))
        if not len(ranks) == len(scores) > 0 or int(ranks[0]) < 1 or int(ranks[-1]) != content["count"]:
            raise ValueError("the ranks and the scores do not belong together")
        return cls(int(content["count"]), ranks, scores, str(content["scoring"]))


def _ascending(values: Sequence[float], kind: type) -> np.ndarray:
    array: np.ndarray = np.asarray(values, kind)
    if array.ndim != 1 or (np.diff(array) < 0).any():
        raise ValueError("the scores are not in ascending order")
    return array
