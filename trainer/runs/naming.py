"""The default name of a run directory."""

import hashlib
import json
import pathlib
import re

from trainer import config as configs
from trainer.config import Config
from trainer.data.options import OWN_FILES
from trainer.system.options import MATHEMATICS


def _data_name(config: Config) -> str:
    """Returns the name of the data set; for custom data, also the name of its file or folder."""
    if config.data.dataset not in OWN_FILES or config.data.data_dir is None:
        return config.data.dataset.replace(":", "-").replace("/", "-")
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", pathlib.Path(config.data.data_dir).stem)
    return f"{config.data.dataset}-{stem}" if stem.strip("._-") else config.data.dataset


def checkpoint_name(config: Config) -> str:
    """Returns <dataset>-<model>-<hidden>, and 8 hex digits of a hash of other mathematical flags with other values."""
    default = configs.defaults()
    in_name = ("dataset", "model", "hidden")
    others = {
        name: config[name]
        for name in sorted(configs.option_names(MATHEMATICS))
        if name not in in_name and config[name] != default[name]
    }
    name = f"{_data_name(config)}-{config.model.model}-{'-'.join(map(str, config.model.hidden))}"
    if len(name) > 100:
        others["hidden"] = config.model.hidden
        name = name[:100]
    if not others:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:8]}"
