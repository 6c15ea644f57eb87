"""Rules for the source tree. import-linter checks the order of the layers."""

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
# Only some modules of these packages import TensorFlow, so their __init__ must not import anything.
MIXED = ("checkpoints", "compute", "evaluation", "models", "runs", "summaries", "training")
SLOW = ("tensorflow", "keras", "tensorboard", "numpy", "absl")


def tree_of(name):
    return ast.parse(MODULES[name].read_text())


def imports_of(name):
    """Returns the modules of the trainer that a module imports anywhere, including imports for type checkers."""
    imported, todo = set(), [tree_of(name)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        todo += ast.iter_child_nodes(node)
    return imported & set(MODULES) - {name}


def test_no_two_files_import_each_other():
    imports = {name: imports_of(name) for name in MODULES}
    pairs = {tuple(sorted((name, other))) for name in imports for other in imports[name] if name in imports[other]}
    # An __init__ that re-exports names of its modules is allowed.
    assert {pair for pair in pairs if not pair[1].startswith(f"{pair[0]}.")} == set()


@pytest.mark.parametrize("name", MIXED)
def test_the_init_of_a_mixed_package_imports_nothing(name):
    tree = tree_of(f"trainer.{name}")
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_docstring_describes_its_contents_and_imports(name):
    text = ast.get_docstring(tree_of(name)) or ""
    if name != "trainer":
        first, rest = text.split("\n\n")
        assert first.endswith(".")
        assert "import" in rest


def printed_words(code):
    """Runs Python code in a new process and returns the words that it prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent).stdout.split()


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[-1] == "options"])
def test_options_modules_import_no_slow_packages(name):
    slow = set(SLOW) - ({"absl"} if name.startswith("trainer.config") else set())  # trainer.config parses flags.
    code = f"import sys, {name}; print(*({slow!r} & set(sys.modules)))"
    assert printed_words(code) == []


@pytest.mark.parametrize("name", MODULES)
def test_all_attributes_are_defined_in_init(name):
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.ClassDef):
            assert late_attributes(node) == set(), node.name


def late_attributes(node):
    """Returns the attributes that are first assigned outside the class body, `__init__` and Keras's `build`."""
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    defined = {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
    defined |= {name.id for part in node.body if isinstance(part, ast.Assign) for name in part.targets}
    for method in methods:
        if method.name in ("__init__", "build"):
            defined |= assigned(method)
    late = [method for method in methods if method.name not in ("__init__", "build")]
    return set().union(*map(assigned, late)) - defined


def assigned(method):
    targets = [
        target
        for part in ast.walk(method)
        for target in (part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)])
        if isinstance(part, ast.Assign | ast.AnnAssign | ast.AugAssign)
    ]
    attributes = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Attribute)]
    return {part.attr for part in attributes if isinstance(part.value, ast.Name) and part.value.id == "self"}


def test_late_attributes_are_detected():
    late = ast.parse("class A:\n def __init__(self):\n  self.a = 1\n def f(self):\n  self.a = 2\n  self.b, c = 3, 4")
    assert late_attributes(late.body[0]) == {"b"}


def test_imports_inside_functions_are_detected():
    assert "trainer.runs.run" in imports_of("trainer.runs.lifecycle")


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg")
    assert set(config["options"]["packages"].split()) == {*PACKAGES, "trainer.presets"}


def test_checking_flags_and_data_imports_no_tensorflow():
    code = "import sys, launch, trainer.commands; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    assert printed_words(code) == ["False", "False"]
