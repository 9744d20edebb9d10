"""Nothing but the desk hands orders or protection to a venue, and every order of the desk passes the gate."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOORS = {"submit": "sending.py", "protect": "closing.py", "cancel": "closing.py"}


def calls(room: str, name: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((ROOT / room).rglob("*.py")):
        if path.is_relative_to(ROOT / "agents" / "execution" / "binance"):
            continue  # the venue itself
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield path, node


@pytest.mark.parametrize("name", sorted(DOORS))
def test_one_module_alone_calls_a_venue(name: str) -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("agents", "tools", "engine", "copilot")
        for path, call in calls(room, name)
        if isinstance(call.func, ast.Attribute) and "venue" in ast.unparse(call.func.value).lower()
    }
    assert found == {f"agents/execution/{DOORS[name]}"}


def test_what_is_submitted_comes_from_a_claim_that_the_gate_allowed() -> None:
    tree = ast.parse((ROOT / "agents/execution/sending.py").read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    submits = [name for name, node in functions.items() if "venue.submit(" in ast.unparse(node)]
    assert submits == ["_send"]
    assert "self._parts.venue.submit(outgoing)" in ast.unparse(functions["_send"])
    assert "outgoing = await self._claim(" in ast.unparse(functions["_send"])
    returned = [ast.unparse(each.value) for each in ast.walk(functions["_claim"])
                if isinstance(each, ast.Return) and each.value is not None]  # fmt: skip
    assert sorted(set(returned)) == ["None", "judgement.outgoing"]
    assert "self._judge.judge(" in ast.unparse(functions["_claim"])
    judging = (ROOT / "agents/execution/judging.py").read_text()
    assert judging.count("assess_scopes(") == 1
