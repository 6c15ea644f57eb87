"""The command line: absl flags that are derived from the declared options, and their help text."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags as absl_flags

from trainer.config import flagfile
from trainer.config.config import DECLARED, OPTIONS, Config, values_before
from trainer.errors import UsageError, as_flag, option_style, render, sanitize
from trainer.system.options import Option

USAGE = "hourglass [--preset=NAME] [--flagfile=FILE] [--name=value ...]     (in a checkout: python launch.py ...)"
INDENT, WIDTH = 24, 110
MAX_SHOWN_BOUND = 1e5  # Larger upper bounds only exclude typing errors, so the help omits them.


def parse(arguments: Sequence[str]) -> tuple[Config, frozenset[str]]:
    """Parses command-line arguments, without the program's name; returns the config and the names of passed flags.

    Raises:
      UsageError: an unknown flag, an invalid value, a positional argument, or flags that contradict each other.
    """
    flag_values = absl_flags.FlagValues()
    define(flag_values)
    help_remedy = "run with --help to list all flags"
    try:
        positional = flag_values(["launch.py", *flagfile.expand_presets(arguments)])[1:]
    except UnicodeDecodeError as error:
        raise UsageError("the flagfile is not a text file", found=str(error), remedy="save it as UTF-8") from error
    except absl_flags.UnrecognizedFlagError as error:
        _, has_suggestions, names = str(error).removesuffix(" ?").rpartition(". Did you mean: ")
        found = f"did you mean --{names.replace(', ', ' or --')}?" if has_suggestions else ""
        raise UsageError(f"unknown flag --{sanitize(error.flagname)}", found=found, remedy=help_remedy) from error
    except (absl_flags.Error, ValueError) as error:  # absl raises ValueError for --nodebug=3.
        raise UsageError(str(error).removeprefix("ERROR:: "), remedy=help_remedy) from error
    if positional:
        # absl would read `--tensorboard false` as true, followed by a positional argument.
        raise UsageError(f"unexpected argument {positional[0]!r}", remedy="write flags as --name=value")
    given = {name: flag_values[name].value for name in OPTIONS if flag_values[name].present}
    return Config.of(given), frozenset(given)


def from_flagfile(text: str) -> Config:
    """Parses the text of a run's flagfile.

    Options that are not in it have the values of runs that were started before these options existed, which are
    usually the defaults; see `config.values_before`.
    """
    lines = (line.strip() for line in text.splitlines())
    config, given = parse([line for line in lines if line and not line.startswith("#")])
    missing = {name: value for name, value in values_before(config.data.loader).items() if name not in given}
    return Config.of(config.values() | missing) if missing else config


def define(flag_values: absl_flags.FlagValues) -> None:
    """Defines every option as an absl flag in `flag_values`."""
    for declared in OPTIONS.values():
        _define(declared, flag_values)


def _define(declared: Option, flag_values: absl_flags.FlagValues) -> None:
    name, description = declared.name, declared.description
    default: Any = declared.default
    target: Any = {"flag_values": flag_values}
    bounds: Any = {"lower_bound": declared.low, "upper_bound": declared.high}
    if declared.choices:
        absl_flags.DEFINE_enum(name, default, [*declared.choices, *declared.synonyms], description, **target)
    elif declared.type is bool:
        absl_flags.DEFINE_bool(name, default, description, **target)
    elif declared.type is int:
        absl_flags.DEFINE_integer(name, default, description, **bounds, **target)
    elif declared.type is float:
        absl_flags.DEFINE_float(name, default, description, **bounds, **target)
    elif declared.type is tuple and declared.separator == ",":
        absl_flags.DEFINE_list(name, [str(element) for element in default], description, **target)
    else:
        absl_flags.DEFINE_string(name, declared.as_text(default) or None, description, **target)
    if declared.alias:
        absl_flags.DEFINE_alias(declared.alias, name, **target)


def help_text(*, short: bool = False) -> str:
    """Returns the help: all flags by theme, with description, values and default; `short`: only the common flags."""
    options = [declared for declared in DECLARED if declared.is_common or not short]
    lines = [USAGE, ""]
    if short:
        lines += [*_flag_lines(options), "", "--help lists all flags. --version prints the version."]
        return "\n".join(lines) + "\n"
    common = [declared for declared in options if declared.is_common]
    for theme, members in [("Common flags", common), *_by_theme(options)]:
        lines += [f"{theme}:", *_flag_lines(members), ""]
    presets = f"--preset=NAME uses the flags of a preset: {', '.join(flagfile.presets())}"
    lines += [*textwrap.wrap(presets, WIDTH), "--flagfile=FILE reads flags from a file, one per line."]
    lines += ["--helpshort lists only the common flags. --version prints the version."]
    return "\n".join(lines) + "\n"


def _by_theme(options: Sequence[Option]) -> list[tuple[str, list[Option]]]:
    """Returns the options by theme, without the common options, which have their own section."""
    themes: dict[str, list[Option]] = {declared.theme: [] for declared in options}
    for declared in options:
        if not declared.is_common:
            themes[declared.theme].append(declared)
    return [(theme, members) for theme, members in themes.items() if members]


def _flag_lines(options: Sequence[Option]) -> Iterator[str]:
    """Yields the help lines of each option."""
    for declared in options:
        name = f"  --[no]{declared.name}" if declared.type is bool else f"  --{declared.name}"
        wrapped = textwrap.wrap(describe(declared), WIDTH - INDENT)
        yield f"{name:{INDENT}}{wrapped[0]}" if len(name) < INDENT else f"{name}\n{'':{INDENT}}{wrapped[0]}"
        yield from (f"{'':{INDENT}}{line}" for line in wrapped[1:])


def describe(declared: Option) -> str:
    """Returns the description of an option, followed by its choices or bounds, its default and its alias."""
    with option_style(as_flag):
        sentences = [render(declared.description)]
    if declared.choices:
        sentences.append(f"One of: {', '.join(declared.choices)}")
    elif declared.high is not None and declared.high < MAX_SHOWN_BOUND:
        sentences.append(f"From {declared.low:g} to {declared.high:g}")
    if declared.type is not bool and declared.default not in (None, ()):
        sentences.append(f"Default: {declared.as_text(declared.default)}")
    if declared.alias:
        sentences.append(f"Also: --{declared.alias}")
    return ". ".join(sentences)
