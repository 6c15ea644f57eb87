"""The summary of `--mode=score`: counts, the rows with the highest scores, and detection metrics."""

import heapq
import math
import time
from typing import Any

import numpy as np

from trainer.commands.score_cells import Cells
from trainer.data import labels
from trainer.data.inputs.blocks import InputBlock
from trainer.errors import sanitize
from trainer.evaluation import detection
from trainer.runs.scoring import Scored
from trainer.system.logs import log

MAX_WORST, MAX_LABELS = 10, 20
MIN_SCORED, MOST = 20, 0.5  # rows and share of flagged rows from which the rows as a whole are unlike those of training


class Summary:
    """Counts rows while they are scored.

    Args:
      threshold: scores above it are anomalies.
      unit: the word for a line of the input, such as "line"; empty if the lines are names.
      anomaly_label: the label of anomalies; None: there are no labels.
    """

    def __init__(self, threshold: float, unit: str, anomaly_label: str | None) -> None:
        self._threshold, self._unit = threshold, unit
        self._label = None if anomaly_label is None else labels.display(sanitize(anomaly_label))
        self.num_rows = self.num_scored = self.num_anomalies = 0
        self.first_bad = ""
        self._worst: list[tuple[float, int, str, str]] = []  # a heap
        self._scores: list[np.ndarray] = []
        self._are_anomalous: list[np.ndarray] = []
        self._labels: set[str] = set()
        self._started = time.monotonic()

    @property
    def num_bad(self) -> int:
        """Number of rows that cannot be scored."""
        return self.num_rows - self.num_scored

    def add(self, block: InputBlock, scored: Scored, cells: Cells) -> None:
        """Adds the rows of a block."""
        self.num_rows += int(block.is_row.sum())
        self.num_scored += len(scored.scores)
        self.num_anomalies += int(np.count_nonzero(scored.scores > self._threshold))
        if block.bad and not self.first_bad:
            index, _, reason = block.bad[0]
            self.first_bad = f"{self._place(block, index)} {reason}"
        self._add_worst(block, scored, cells)
        if self._label is not None:
            names = [labels.display(sanitize(name)) for name in block.labels]
            self._labels.update(names[:MAX_LABELS])
            is_anomalous = np.array([name == self._label for name in names], bool)
            self._scores.append(scored.scores)
            self._are_anomalous.append(is_anomalous[block.label_of_row])

    def _add_worst(self, block: InputBlock, scored: Scored, cells: Cells) -> None:
        least = self._worst[0][0] if len(self._worst) == MAX_WORST else -math.inf
        count = min(MAX_WORST, len(scored.scores))
        highest = np.argpartition(scored.scores, -count)[-count:] if count else np.zeros(0, np.int64)
        highest = np.sort(highest[scored.scores[highest] > least])
        if not len(highest):
            return
        texts = cells.explanations(Scored(*(array[highest] for array in scored)))
        places = np.flatnonzero(block.is_good)[highest]
        for score, place, text in zip(scored.scores[highest].tolist(), places.tolist(), texts, strict=True):
            heapq.heappush(self._worst, (score, -int(block.numbers[place]), self._place(block, place), text))
            if len(self._worst) > MAX_WORST:
                heapq.heappop(self._worst)

    def _place(self, block: InputBlock, index: int) -> str:
        """Returns where a line of a block is in the input."""
        return f"{self._unit} {block.numbers[index]:,}" if self._unit else block.lines[index]

    def metrics(self) -> dict[str, float]:
        """Returns the detection metrics; empty unless there are anomalies and normal rows by their labels."""
        if self._label is None or not self._scores:
            return {}
        is_anomalous = np.concatenate(self._are_anomalous)
        count = int(is_anomalous.sum())
        if not 0 < count < len(is_anomalous):
            known = ", ".join(f"'{name}'" for name in sorted(self._labels)[:MAX_LABELS])
            what = f"{count:,} of {len(is_anomalous):,} scored rows have the label of anomalies"
            log.warning(f"{what}: no metrics; labels: {known}")
            return {}
        if self.num_bad or "" in self._labels:
            log.warning(
                "rows that cannot be scored do not count in the metrics; rows without a label are not anomalies"
            )
        scores = np.concatenate(self._scores).astype(np.float64)
        return {"labeled_anomalies": count, **detection.metrics(scores, is_anomalous, self._threshold)}

    def log_counts(self) -> None:
        """Logs the counts, and the speed since the beginning."""
        rate = self.num_rows / max(1e-9, time.monotonic() - self._started)
        share = self.num_anomalies / max(1, self.num_scored)
        counts = f"{self.num_rows:,} rows: {self.num_anomalies:,} flagged ({share:.2%})"
        bad = f", {self.num_bad:,} cannot be scored" if self.num_bad else ""
        log.info(f"scored      {counts}{bad}; {rate:,.0f} rows/s")
        if self.num_scored >= MIN_SCORED and share > MOST:
            log.warning(
                "most rows are flagged: as a whole, they are unlike the training rows, for example in other units"
            )
        if self.num_bad:
            log.warning(f"{self.first_bad}" + (f"; {self.num_bad - 1:,} more" if self.num_bad > 1 else ""))

    def log_worst(self) -> None:
        """Logs the rows with the highest scores."""
        for score, _, name, text in sorted(self._worst, reverse=True):
            log.info(f"{name}: {score:.6g}" + (f": {text}" if text else ""))

    def to_json(self) -> dict[str, Any]:
        """Returns the counts, and the rows with the highest scores."""
        return {
            "rows": self.num_rows,
            "scored": self.num_scored,
            "flagged": self.num_anomalies,
            "not_scored": self.num_bad,
            "worst": [
                {"name": name, "score": number(score), "columns": text}
                for score, _, name, text in sorted(self._worst, reverse=True)
            ],
        }


def number(value: float) -> float | str:
    """Returns a number as JSON, which has no infinity."""
    return float(f"{value:.9g}") if math.isfinite(value) else str(value)
