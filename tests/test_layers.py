"""The table of modules in docs/architecture.md is true: all of them, and who imports whom."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {path.stem for path in (ROOT / "speechrec").glob("*.py")} - {"__init__", "__main__"}


def table() -> list[tuple[int, list[str]]]:
    """Level and modules of each row."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (`.*?) \|", text, flags=re.MULTILINE)
    return [(int(level), re.findall(r"`(\w+)`", names)) for level, names in rows]


def imported(module: str) -> set[str]:
    """The modules of the package that a module imports anywhere, but for types alone."""
    tree = ast.parse((ROOT / "speechrec" / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            first, _, rest = node.module.partition(".")
            if first == "speechrec":
                names |= {rest} if rest else {alias.name for alias in node.names}
    return names & MODULES


def test_every_module_is_in_the_table_once() -> None:
    """A module has one row."""
    listed = [name for _, names in table() for name in names]
    assert sorted(listed) == sorted(MODULES)


def test_modules_import_from_lower_levels_only() -> None:
    """Those of one row may know each other."""
    level = {name: number for number, names in table() for name in names}
    row = {name: names for _, names in table() for name in names}
    wrong = {
        f"{module} imports {other}"
        for module in MODULES
        for other in imported(module)
        if level[other] >= level[module] and other not in row[module]
    }
    assert wrong == set()
