"""Read profiles from folders of YAML files; a file of a later folder replaces one of the same name.

A mistake stops the start and names the file, the line, what stands there and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from agents.profiles.schema import Profile
from engine.domain.errors import ConfigError

PACKAGED = Path(__file__).parent
"""The folder of Atlas, Orion and Nova."""
_SUFFIXES = (".yaml", ".yml")


def load_profiles(*folders: Path) -> dict[str, Profile]:
    """Return the profiles of some folders by name, in order of the names.

    Args:
        folders: Later ones go before earlier ones; one that does not exist is empty.

    Raises:
        ConfigError: A file cannot be read or says what no profile can; or two files of one folder name one agent.
    """
    found: dict[str, Profile] = {}
    for folder in folders:
        found |= _load_folder(folder)
    return dict(sorted(found.items()))


def read_profile(path: Path) -> Profile:
    """Return the profile that a file holds.

    Raises:
        ConfigError: It cannot be read, or says what no profile can.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the profile {path} cannot be read ({error}); make it a readable YAML file") from error
    return parse_profile(text, str(path))


def parse_profile(text: str, place: str) -> Profile:
    """Return the profile that a text holds.

    Args:
        text: YAML.
        place: Where it comes from, for messages.

    Raises:
        ConfigError: It says what no profile can.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{place} is not YAML: {error}; mend it there") from error
    if not isinstance(data, dict) or not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{place} holds no profile; it begins like `name: atlas`")
    _refuse_repeats(node, place)
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error, node, place)) from error


def apply_changes(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """Return a profile with some of its figures changed.

    Args:
        profile: As it is.
        changes: New values by path: `limits.max_positions`, `strategies.grid.weight`, `pairs`.

    Raises:
        ConfigError: There is no such figure, or the result is no profile.
    """
    data = profile.model_dump(mode="json")
    for path, value in changes.items():
        _set(data, path, value)
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error, None, f"the change of {profile.name}")) from error


def _load_folder(folder: Path) -> dict[str, Profile]:
    if not folder.is_dir():
        return {}
    found: dict[str, Profile] = {}
    for path in sorted(each for each in folder.iterdir() if each.suffix in _SUFFIXES):
        profile = read_profile(path)
        if profile.name in found:
            raise ConfigError(f"{path} names {profile.name!r} like another file of {folder}; keep one of them")
        found[profile.name] = profile
    return found


def _refuse_repeats(node: yaml.Node, place: str) -> None:
    """Refuse a key that stands twice: YAML itself would keep the last one in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ConfigError(f"{place}, line {key.start_mark.line + 1}: {key.value!r} stands twice; keep one")
            seen.add(key.value)
            _refuse_repeats(value, place)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _refuse_repeats(each, place)


def _explain(error: ValidationError, node: yaml.Node | None, place: str) -> str:
    """Return all mistakes in one text, a line for each."""
    lines = []
    for each in error.errors(include_url=False):
        path = [part for part in each["loc"] if not _is_branch(part)]
        line = _line_of(node, path)
        where = f"{place}, line {line}" if line else place
        name = ".".join(str(part) for part in path) or "the profile"
        lines.append(f"{where}: {name} is {_short(each['input'])}: {_advice(each['type'], each['msg'])}")
    return "; ".join(dict.fromkeys(lines))


def _is_branch(part: int | str) -> bool:
    """Tell a name that pydantic gives to one choice of several from a key of the file."""
    return isinstance(part, str) and (part.startswith(("literal[", "tuple[", "TopPairs")) or part.endswith("]"))


def _advice(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "no such key is known; correct it or take it out"
    if kind == "missing":
        return "it is missing; add it"
    return message.removeprefix("Value error, ")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _line_of(node: yaml.Node | None, path: Sequence[int | str]) -> int:
    """Return the line of the deepest part of a path that the file has; 0 without a file."""
    if node is None:
        return 0
    line = node.start_mark.line + 1
    for part in path:
        found = _step(node, part)
        if found is None:
            return line
        line, node = found
    return line


def _step(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        pairs: Iterable[tuple[yaml.Node, yaml.Node]] = node.value
        return next(((key.start_mark.line + 1, value) for key, value in pairs if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None


def _set(data: dict[str, Any], path: str, value: object) -> None:
    """Put a value at a dotted path; the strategies are reached by their names."""
    *way, last = path.split(".")
    place: Any = data
    for part in way:
        place = _enter(place, part)
    if not isinstance(place, dict) or (last not in place and way[-1:] != ["parameters"]):
        raise ConfigError(f"a profile has no {path!r}; it has {', '.join(sorted(data))} and what stands in them")
    place[last] = value


def _enter(place: Any, part: str) -> Any:
    if isinstance(place, dict):
        return place.get(part)
    if isinstance(place, list):
        return next((each for each in place if isinstance(each, dict) and each.get("name") == part), None)
    return None
