"""The command line: absl's flags, derived from the declared options; and the help that lists them."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags as absl_flags

from trainer.config import flagfile
from trainer.config.config import DECLARED, OPTIONS, Config
from trainer.errors import UsageError, as_flag, options_shown_as, shown
from trainer.system.options import Option

USAGE = "hourglass [--preset=NAME] [--flagfile=FILE] [--name=value ...]     (in a checkout: python launch.py ...)"
INDENT, WIDTH = 24, 110
MAX_SHOWN_BOUND = 1e5  # Larger bounds only reject nonsense.


def parse(arguments: Sequence[str]) -> tuple[Config, frozenset[str]]:
    """Command-line arguments (without the program's name) -> the config and the names of the flags given.

    Raises:
      UsageError: an unknown flag, a value out of bounds, a positional argument, flags that contradict each other.
    """
    flag_values = absl_flags.FlagValues()
    define(flag_values)
    try:
        positional = flag_values(["launch.py", *flagfile.with_presets(arguments)])[1:]
    except UnicodeDecodeError as error:
        raise UsageError("the flagfile is not a text file", found=str(error), remedy="give a UTF-8 file") from error
    except (absl_flags.Error, ValueError) as error:  # ValueError: absl's of --nodebug=3.
        raise UsageError(str(error), remedy="python launch.py --help lists every flag") from error
    if positional:
        # `--tensorboard false` would silently mean true.
        raise UsageError(f"unexpected argument {positional[0]!r}", remedy="write flags as --name=value")
    given = {name: flag_values[name].value for name in OPTIONS if flag_values[name].present}
    return Config.of(given), frozenset(given)


def from_flagfile(text: str) -> Config:
    """The inverse of `flagfile.to_flagfile`. Options that it does not name have their defaults."""
    lines = (line.strip() for line in text.splitlines())
    return parse([line for line in lines if line and not line.startswith("#")])[0]


def define(flag_values: absl_flags.FlagValues) -> None:
    """Defines every option as a flag of absl's in `flag_values`."""
    for declared in OPTIONS.values():
        _define(declared, flag_values)


def _define(declared: Option, flag_values: absl_flags.FlagValues) -> None:
    name, meaning = declared.name, declared.meaning
    default: Any = declared.default
    where: Any = {"flag_values": flag_values}
    bounds: Any = {"lower_bound": declared.low, "upper_bound": declared.high}
    if declared.choices:
        absl_flags.DEFINE_enum(name, default, [*declared.choices, *declared.synonyms], meaning, **where)
    elif declared.type is bool:
        absl_flags.DEFINE_bool(name, default, meaning, **where)
    elif declared.type is int:
        absl_flags.DEFINE_integer(name, default, meaning, **bounds, **where)
    elif declared.type is float:
        absl_flags.DEFINE_float(name, default, meaning, **bounds, **where)
    elif declared.type is tuple and declared.separator == ",":
        absl_flags.DEFINE_list(name, [str(element) for element in default], meaning, **where)
    else:
        absl_flags.DEFINE_string(name, declared.as_text(default) or None, meaning, **where)
    if declared.alias:
        absl_flags.DEFINE_alias(declared.alias, name, **where)


def help_text(*, short: bool = False) -> str:
    """The flags by theme, each with its meaning, values and default; `short`: the common ones only."""
    kept = [declared for declared in DECLARED if declared.is_common or not short]
    lines = [USAGE, ""]
    if short:
        lines += [*_described(kept), "", "--help lists all flags. --version prints the version."]
        return "\n".join(lines) + "\n"
    common = [declared for declared in kept if declared.is_common]
    for theme, some in [("Common flags", common), *_by_theme(kept)]:
        lines += [f"{theme}:", *_described(some), ""]
    extra = f"--preset=NAME uses the flags of a preset: {', '.join(flagfile.presets())}"
    lines += [*textwrap.wrap(extra, WIDTH), "--flagfile=FILE reads flags from a file, one per line."]
    lines += ["--helpshort lists only the common flags. --version prints the version."]
    return "\n".join(lines) + "\n"


def _by_theme(options: Sequence[Option]) -> list[tuple[str, list[Option]]]:
    themes = dict.fromkeys(declared.theme for declared in options)
    return [
        (theme, [declared for declared in options if declared.theme == theme and not declared.is_common])
        for theme in themes
        if any(declared.theme == theme and not declared.is_common for declared in options)
    ]


def _described(options: Sequence[Option]) -> Iterator[str]:
    """Yields the lines of help for each option."""
    for declared in options:
        name = f"  --[no]{declared.name}" if declared.type is bool else f"  --{declared.name}"
        wrapped = textwrap.wrap(described(declared), WIDTH - INDENT)
        yield f"{name:{INDENT}}{wrapped[0]}" if len(name) < INDENT else f"{name}\n{'':{INDENT}}{wrapped[0]}"
        yield from (f"{'':{INDENT}}{line}" for line in wrapped[1:])


def described(declared: Option) -> str:
    """Returns the meaning of an option with its choices or bounds, its default and its other spelling."""
    with options_shown_as(as_flag):
        sentences = [shown(declared.meaning)]
    if declared.choices:
        sentences.append(f"One of: {', '.join(declared.choices)}")
    elif declared.high is not None and declared.high < MAX_SHOWN_BOUND:
        sentences.append(f"From {declared.low:g} to {declared.high:g}")
    if declared.type is not bool and declared.default not in (None, ()):
        sentences.append(f"Default: {declared.as_text(declared.default)}")
    if declared.alias:
        sentences.append(f"Also: --{declared.alias}")
    return ". ".join(sentences)
