"""Rules for the whole source tree; import-linter checks the order of the layers."""

import ast
import configparser
import pathlib
import subprocess
import sys

import pytest

import trainer

PACKAGE = pathlib.Path(trainer.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]
# Packages of which some modules import TensorFlow and others must not: to import the package is to import nothing.
MIXED = ("checkpoints", "compute", "evaluation", "models", "runs", "summaries", "training")
SLOW = ("tensorflow", "keras", "tensorboard", "numpy", "absl")


def tree_of(name):
    return ast.parse(MODULES[name].read_text())


def imports_of(name):
    """The modules of ours that a module imports: at its top, later, or for type checkers only."""
    found, todo = set(), [tree_of(name)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        todo += ast.iter_child_nodes(node)
    return found & set(MODULES) - {name}


def test_no_two_files_import_each_other():
    imports = {name: imports_of(name) for name in MODULES}
    pairs = {tuple(sorted((one, other))) for one in imports for other in imports[one] if one in imports[other]}
    # A package's __init__ that offers its modules' names is no circle: they import none of those from it.
    assert {pair for pair in pairs if not pair[1].startswith(f"{pair[0]}.")} == set()


@pytest.mark.parametrize("name", MIXED)
def test_the_init_of_a_mixed_package_imports_nothing(name):
    tree = tree_of(f"trainer.{name}")
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_every_folder_says_in_two_sentences_what_lives_there_and_what_it_imports(name):
    text = ast.get_docstring(tree_of(name)) or ""
    if name != "trainer":
        first, rest = text.split("\n\n")
        assert first.endswith(".")
        assert "import" in rest


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[-1] == "options"])
def test_options_are_declared_without_anything_slow(name):
    slow = set(SLOW) - ({"absl"} if name.startswith("trainer.config") else set())  # The package parses flags.
    code = f"import sys, {name}; print(*({slow!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert found.stdout.split() == []


@pytest.mark.parametrize("name", MODULES)
def test_no_attribute_is_born_outside_init(name):
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.ClassDef):
            assert born_late(node) == set(), node.name


def born_late(node):
    """The attributes that a class's methods assign, and neither its body nor its `__init__` does.

    Keras's layers make their weights in `build`.
    """
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    born = {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
    born |= {name.id for part in node.body if isinstance(part, ast.Assign) for name in part.targets}
    for method in methods:
        if method.name in ("__init__", "build"):
            born |= assigned(method)
    late = [method for method in methods if method.name not in ("__init__", "build")]
    return set().union(*map(assigned, late)) - born


def assigned(method):
    targets = [
        target
        for part in ast.walk(method)
        for target in (part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)])
        if isinstance(part, ast.Assign | ast.AnnAssign | ast.AugAssign)
    ]
    attributes = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Attribute)]
    return {part.attr for part in attributes if isinstance(part.value, ast.Name) and part.value.id == "self"}


def test_the_finder_of_late_attributes_finds_one():
    late = ast.parse("class A:\n def __init__(self):\n  self.a = 1\n def f(self):\n  self.a = 2\n  self.b, c = 3, 4")
    assert born_late(late.body[0]) == {"b"}


def test_the_finder_of_imports_sees_those_inside_functions():
    assert "trainer.runs.run" in imports_of("trainer.runs.lifecycle")


def test_every_folder_is_in_the_package():
    config = configparser.ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg")
    assert set(config["options"]["packages"].split()) == {*PACKAGES, "trainer.presets"}


def test_checking_flags_and_data_imports_no_tensorflow():
    code = "import sys, launch, trainer.commands; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert found.stdout.split() == ["False", "False"]
