"""The options of a run as a whole, and of commands. No NumPy, no TensorFlow."""

import dataclasses
import os
from typing import Any

from trainer.errors import option
from trainer.system.options import MATHEMATICS, PLACE, PRESENTATION, Options, declare

RUN, USING_A_RUN = "The run", "Checkpoints and trained networks"  # themes
LIST, USING = "checkpoints", ("reconstruct", "generate", "encode", "evaluate")  # modes; the last use a trained network


def absolute(path: Any) -> str:
    """A path that means the same wherever the same command is typed."""
    return os.path.abspath(os.path.expanduser(path))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Where a run is, with what it begins, and what is left of it."""

    run_dir: str | None = declare(
        None, PLACE, RUN, "the run's folder (default: runs/<dataset>-<model>-<hidden>)", is_common=True
    )
    restart: bool = declare(
        False, PLACE, RUN, "begin again at step 0; what was there is set aside, not deleted", is_common=True
    )
    init_from: str | None = declare(
        None,
        MATHEMATICS,
        RUN,
        "begin with the weights of this run's folder, or of this checkpoint (.../ckpt-N)",
        parse=absolute,
    )
    mirror_dir: str | None = declare(
        None,
        PLACE,
        RUN,
        "also copy checkpoints and event files to <mirror_dir>/<name of run_dir>, and take them from there when run_dir"
        " is empty or gone",
    )
    export: str = declare(
        "last",
        PRESENTATION,
        RUN,
        "which weights become a SavedModel at the end; best: of the checkpoint with the lowest evaluation error",
        choices=("last", "best", "none"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandOptions(Options):
    """What to do now."""

    mode: str = declare("train", PLACE, RUN, "what to do; an unknown name lists the known ones", is_common=True)
    debug: bool = declare(False, PLACE, RUN, "show tracebacks")
    verify: bool = declare(
        False, PLACE, USING_A_RUN, f"with {option('mode', LIST)}: read all of every checkpoint again"
    )
    rollback: int | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"with {option('mode', LIST)}: make the checkpoint of this step the newest",
        low=0,
    )
    at_step: int | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        "with the modes that use a trained network: the checkpoint of this step (default: the newest)",
        low=0,
    )
    input: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"with {option('mode', 'reconstruct')}: a picture, a folder of pictures, an .npy file, or numbers such as"
        " 8,4,6,2",
        is_common=True,
    )
    code: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        f"with {option('mode', 'generate')}: the numbers of a code, such as 5,5; several: 5,5;0,1",
    )
    output: str | None = declare(
        None,
        PLACE,
        USING_A_RUN,
        "with the modes that use a trained network: the folder to write to (default: <mode>/<step> in the run's)",
    )
