"""The OpenAPI document as a page to read: plain HTML without a script, so that nothing is loaded from anywhere."""

from __future__ import annotations

import json
from html import escape

from pydantic import JsonValue

from engine.api.document import Document

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
:root { color-scheme: light dark }
pre { overflow-x: auto; padding: .75rem; background: color-mix(in srgb, currentColor 8%, transparent) }
table { border-collapse: collapse } td, th { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
h2 { margin-top: 2.5rem } summary { cursor: pointer }
"""


def write_page(document: Document) -> str:
    """Return the page of a document."""
    info = _object(document["info"])
    paths, schemas = _object(document["paths"]), _object(_object(document["components"])["schemas"])
    parts = [
        f"<h1>{_text(info['title'])} {_text(info['version'])}</h1><pre>{_text(info['description'])}</pre>",
        "<p>For programs: <a href='openapi.json'>openapi.json</a></p>",
    ]
    for path, item in paths.items():
        parts += [_operation(method, path, _object(operation), schemas) for method, operation in _object(item).items()]
    parts.append("<h2>Schemas</h2>")
    parts += [
        f"<details id='{escape(name)}'><summary>{escape(name)}</summary>{_json(schema)}</details>"
        for name, schema in schemas.items()
    ]
    title = _text(info["title"])
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{title}</title>"
    return (
        f"<!doctype html><html lang='en'><head>{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _operation(method: str, path: str, operation: Document, schemas: Document) -> str:
    rows = []
    for each in _array(operation.get("parameters", [])):
        parameter = _object(each)
        about = _text(parameter.get("description", ""))
        rows.append(
            f"<tr><td><code>{_text(parameter['name'])}</code></td><td>{_text(parameter['in'])}</td>"
            f"<td>{about}</td><td><code>{escape(json.dumps(parameter['schema']))}</code></td></tr>"
        )
    parameters = (
        f"<table><tr><th>name</th><th>in</th><th></th><th>values</th></tr>{''.join(rows)}</table>" if rows else ""
    )
    answers = "".join(
        f"<h4>{escape(status)}</h4><p>{_text(_object(answer)['description'])}</p>{_examples(_object(answer), schemas)}"
        for status, answer in _object(operation["responses"]).items()
    )
    about = _text(operation.get("description", ""))
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2><pre>{about}</pre>"
        f"{parameters}<details><summary>Answers</summary>{answers}</details>"
    )


def _examples(answer: Document, schemas: Document) -> str:
    """Return the examples of an answer's schema, with a link to it."""
    shown = []
    for content in _object(answer.get("content", {})).values():
        name = str(_object(_object(content)["schema"]).get("$ref", "")).rpartition("/")[2]
        if name in schemas:
            shown.append(f"<p><a href='#{escape(name)}'>{escape(name)}</a></p>")
            shown += [_json(example) for example in _array(_object(schemas[name]).get("examples", []))]
    return "".join(shown)


def _json(value: JsonValue) -> str:
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"


def _text(value: JsonValue) -> str:
    return escape(str(value))


def _object(value: JsonValue) -> Document:
    assert isinstance(value, dict)
    return value


def _array(value: JsonValue) -> list[JsonValue]:
    assert isinstance(value, list)
    return value
