"""The labels and the split that folders of images define."""

import collections
import functools
import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np

from trainer.data import splits
from trainer.data.custom import cache
from trainer.data.dataset import NO_LABEL
from trainer.errors import sanitize

TRAIN, EVALUATION = cache.SPLITS
# Usual names of the folders of a split. If two of them are a split, folders with the names below are not used.
PLAIN_NAMES = ("train", "training", "eval", "evaluation", "test", "testing", "val", "valid", "validation")
# Other usual names, in lower case and without separators: `trainingset`, `valimages`, `test2017`.
_ADDED = r"(?:sets?|data|images?|imgs?|pictures?|pics?|photos?|samples?|examples?|files?|folders?|splits?|\d)*"
_NAMES = {
    TRAIN: re.compile(f"{_ADDED}(?:train|training|trainval|trn|tr){_ADDED}"),
    EVALUATION: re.compile(
        f"{_ADDED}(?:eval|evaluate|evaluation|tests?|testing|tst|ts|val|valid|validate|validation|dev|holdout){_ADDED}"
    ),
}
MAX_FOLDERS_SHOWN = 3

Folder = tuple[str, ...]  # the names on the path from --data_dir to a folder


class FolderLayout:
    """The labels and the split that the folders of images define.

    The labels are the names of the folders in the deepest folder that contains all images. If a training folder and an
    evaluation folder are there, they are the split, and the labels are the names of the folders in them. The split may
    also be in each of the labels. Images outside a split are not used.

    Args:
      names: the paths of all images.

    Attributes:
      has_split: True if the folders define a split.
      is_extended: True if the first revision of these rules defined other labels or another split.
    """

    REVISION = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._all = {_folder(name) for name in names}
        shared = _num_shared(self._all)
        parents = next(filter(None, (_splits(self._all, depth) for depth in (shared, shared + 1))), {})
        self.has_split = bool(parents)
        depth = len(next(iter(parents), ()))  # of the folders that have training and evaluation folders
        self._end = depth + 1 if parents else 0  # the depth of the folders in a training or evaluation folder
        self._split_of = {
            folder: split
            for folder in self._all
            if len(folder) > depth and (split := parents.get(folder[:depth], {}).get(folder[depth]))
        }
        if not parents:
            self._label_depth = _label_depth([self._all])
        elif len(parents) > 1:
            self._label_depth = shared
        else:
            self._label_depth = self._end + self._label_depth_in_split()
        is_plain = all(name.lower() in PLAIN_NAMES for children in parents.values() for name in children)
        self.is_extended = not is_plain or depth > shared * self.has_split or self._label_depth > self._end

    def _label_depth_in_split(self) -> int:
        """Returns the depth of the labels in the folders of a split, which may contain a folder of the same name."""
        below = {folder: folder[self._end :] for folder in self._split_of}
        is_doubled = all(path and _role(path[0])[0] == self._split_of[folder] for folder, path in below.items())
        paths = [
            {path[is_doubled:] for folder, path in below.items() if self._split_of[folder] == split}
            for split in cache.SPLITS
        ]
        return is_doubled + _label_depth(paths)

    def is_used(self, name: str) -> bool:
        """Returns True if an image is in a split, or if the folders define no split."""
        return not self.has_split or _folder(name) in self._split_of

    def label(self, name: str) -> str:
        """Returns the label of an image."""
        folder = _folder(name)
        return sanitize(folder[self._label_depth]) if len(folder) > self._label_depth else NO_LABEL

    def evaluation_mask(self, names: Sequence[str], fraction: float) -> np.ndarray:
        """Returns the evaluation mask of these images, [N] bool; `fraction` is used if the folders define no split."""
        if self.has_split:
            return np.array([self._split_of[_folder(name)] == EVALUATION for name in names], bool)
        return splits.by_name(names, fraction)

    def notes(self, names: Sequence[str], used: Sequence[str]) -> list[str]:
        """Returns notes on the split, on skipped images, and on evaluation folders that are used for training.

        Args:
          names: the paths of all images.
          used: the paths of the images of the data set.
        """
        num_skipped = sum(not self.is_used(name) for name in names)
        notes = ["the split is defined by the training and evaluation folders"] if self.has_split else []
        if num_skipped:
            notes.append(f"skipped {num_skipped:,} images outside these folders")
        if unused := self._unused_evaluation_folders(used):
            shown = ", ".join(sanitize(folder) for folder in sorted(unused)[:MAX_FOLDERS_SHOWN])
            more = ", ..." if len(unused) > MAX_FOLDERS_SHOWN else ""
            notes.append(
                f"not an evaluation split, although named like one: {shown}{more};"
                f" the {unused.total():,} images there are used like all others"
            )
        return [*notes, *self._training_label_note(used)]

    def _training_label_note(self, used: Sequence[str]) -> list[str]:
        """Returns a note if a training folder became a class, because no evaluation folder is beside it."""
        names = {self.label(name) for name in used}
        training = sorted(name for name in names if _role(name) == (TRAIN, ()))
        if self.has_split or len(names) < 2 or not training:
            return []
        return [
            f"not a training split, although named like one: {', '.join(training)}; its name is a class, because no"
            " evaluation folder, such as test or val, is beside it"
        ]

    def _unused_evaluation_folders(self, used: Sequence[str]) -> collections.Counter[str]:
        """Counts the images for training in folders that are named like an evaluation split, by folder."""
        counts = collections.Counter(map(_folder, used))
        training = {
            (folder[:depth], _role(name)[1])
            for folder in counts
            for depth, name in enumerate(folder)
            if _role(name)[0] == TRAIN
        }
        result = collections.Counter[str]()
        for folder, count in counts.items():
            if self._split_of.get(folder) == EVALUATION:
                continue
            for depth, name in enumerate(folder[self._end :], self._end):
                role, rest = _role(name)
                if role == EVALUATION and (not rest or (folder[:depth], rest) in training):
                    result["/".join(folder[: depth + 1])] += count
                    break
        return result


def _folder(name: str) -> Folder:
    return tuple(name.split("/")[:-1])


def _num_shared(folders: Iterable[Folder]) -> int:
    """Returns the number of folders that are on the paths of all these folders."""
    first, last = min(folders), max(folders)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))))


def _splits(folders: Iterable[Folder], depth: int) -> dict[Folder, dict[str, str]]:
    """Returns the split of each folder at a depth, as `_split` does; {} if there is one without a split."""
    names: dict[Folder, set[str]] = {folder[:depth]: set() for folder in folders if len(folder) >= depth}
    for folder in folders:
        if len(folder) > depth:
            names[folder[:depth]].add(folder[depth])
    result = {parent: _split(children) for parent, children in names.items()}
    return result if all(result.values()) else {}


def _split(names: Iterable[str]) -> dict[str, str]:
    """Returns the split (`train` or `eval`) of each name of a training or evaluation folder; {} if one is missing."""
    by_rest: dict[Folder, dict[str, str]] = {}
    for name in names:
        split, rest = _role(name)
        if split:
            by_rest.setdefault(rest, {})[name] = split
    usual = by_rest.pop((), {})
    plain = {name: split for name, split in usual.items() if name.lower() in PLAIN_NAMES}
    complete = [names for names in (plain, usual) if len(set(names.values())) == len(cache.SPLITS)]
    others = [names for names in by_rest.values() if len(set(names.values())) == len(cache.SPLITS)]
    return complete[0] if complete else others[0] if len(others) == 1 else {}


@functools.lru_cache(4_096)
def _role(name: str) -> tuple[str | None, Folder]:
    """Returns the split that a folder's name stands for, if any, and the other words of the name.

    For example, `Test Images` is (eval, ()), `seg_train` is (train, (seg,)), and `trainA` is (train, (a,)).
    """
    words = [word.lower() for word in re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name) if word]
    for split, pattern in _NAMES.items():
        if pattern.fullmatch("".join(words)):
            return split, ()
    roles = [next((split for split, pattern in _NAMES.items() if pattern.fullmatch(word)), None) for word in words]
    is_split = len(set(roles) - {None}) == 1
    rest = tuple(word for word, role in zip(words, roles, strict=True) if role is None)
    return next(filter(None, roles)) if is_split else None, rest


def _label_depth(splits: Sequence[Iterable[Folder]]) -> int:
    """Returns the depth of the labels in folders of images: below the folders that all images share.

    If splits have no label below them in common, they are the labels. If all images are in one folder, it is the label.
    """
    shared = _num_shared([folder for folders in splits for folder in folders])
    names = [{folder[shared] for folder in folders if len(folder) > shared} for folders in splits]
    if set.intersection(*names):
        return shared
    return max(shared - 1, 0) if not any(names) else 0
