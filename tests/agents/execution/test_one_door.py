"""Nothing but the desk hands orders or protection to a venue, and every order of the desk passes the gate."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOORS = {"submit": "sending.py", "protect": "closing.py", "cancel": "closing.py"}


@functools.cache
def calls() -> list[tuple[str, str, str]]:
    """Return every call of something named like a door: the file, the name, and whose it is."""
    found = []
    for path in (each for room in ("agents", "tools", "engine", "copilot") for each in (ROOT / room).rglob("*.py")):
        text = path.read_text()
        if path.is_relative_to(ROOT / "agents" / "execution" / "binance") or not any(
            f".{name}(" in text for name in DOORS
        ):
            continue  # the venue itself, or nothing to see
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DOORS:
                found.append((path.relative_to(ROOT).as_posix(), node.func.attr, ast.unparse(node.func.value).lower()))
    return found


@pytest.mark.parametrize("name", sorted(DOORS))
def test_one_module_alone_calls_a_venue(name: str) -> None:
    found = {path for path, called, whose in calls() if called == name and "venue" in whose}
    assert found == {f"agents/execution/{DOORS[name]}"}


def test_nothing_else_is_ever_submitted() -> None:
    known = ("venue", "executor", "pool", "sender")
    assert [each for each in calls() if each[1] == "submit" and not any(word in each[2] for word in known)] == []


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
