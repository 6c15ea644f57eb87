"""README, CONTRIBUTING and docs/: links, generated pages, and the commands that a new user types."""

import contextlib
import pathlib
import re
import shlex

import numpy as np
import pytest
from checkout import ROOT
from PIL import Image

import docs

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^\s*(?:scripts/train|python launch\.py)\b(.*)$", re.MULTILINE)
NEEDS = {
    "--dataset=mnist": "a download",
    "--preset=hinton_2006": "a download",
    "--tensorboard": "Ctrl-C",
}
STEPS = 200  # The commands of the pages train this many times fewer steps here.


def anchors(page: pathlib.Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page):
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short_and_links_to_every_page():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    linked = set(LINK.findall(text))
    assert {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"} <= linked


def test_the_page_of_flags_is_up_to_date():
    assert docs.PAGE.read_text() == docs.flags_page(), "run .venv/bin/python scripts/docs.py"


def commands(name: str) -> list[list[str]]:
    """Returns the arguments of every training command of a page that needs no network and ends by itself."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    every = [shlex.split(rest, comments=True) for rest in COMMAND.findall(text)]
    return [arguments for arguments in every if not NEEDS.keys() & set(arguments) and "[flags]" not in arguments]


def write_user_data(folder: pathlib.Path) -> None:
    """Writes the photos and the table of the pages."""
    rng = np.random.default_rng(0)
    for name in ("photos/cat.jpg", *(f"photos/{kind}/{n:03}.jpg" for kind in ("cats", "dogs") for n in range(1, 46))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(path)
    rows = [f"{a:.2f},{b:.2f},{'low' if a < 0.5 else 'high'}" for a, b in rng.random((200, 2))]
    (folder / "measurements.csv").write_text("\n".join(["length,width,kind", *rows]) + "\n")


def shortened(arguments: list[str]) -> list[str]:
    """Returns the arguments of a command that trains 200 times fewer steps; placeholders are filled in."""
    filled = [argument.replace("--run_dir=RUN", "--run_dir=runs/digits-dense-32") for argument in arguments]
    given = [int(argument.removeprefix("--steps=")) for argument in filled if argument.startswith("--steps=")]
    if any(argument.startswith(("--mode=", "--help", "--version")) for argument in filled):
        return filled
    return [*filled, f"--steps={(given or [10_000])[-1] // STEPS}"]


@pytest.mark.whole
@pytest.mark.parametrize("name", ["README.md", "docs/getting-started.md"])
def test_the_commands_of_the_first_pages_run(name, launch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_user_data(tmp_path)
    tried = commands(name)
    assert len(tried) > 5
    for arguments in tried:
        with contextlib.suppress(ValueError):
            arguments[arguments.index("--code=5,5")] = f"--code={','.join(['5'] * 32)}"
        code, _, error = launch(*shortened(arguments))
        assert code == 0, (arguments, error)
