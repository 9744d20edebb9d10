"""The prompt that a model sees: rendered by a template and cut to the context as Ollama does it, without a word.

Three templates are enough, because they differ in what matters to a client: `llama3` keeps every message in its place
and knows no tools; `llama3.1` moves every system message to the top and writes the tools into the last user message;
ChatML keeps every message in its place and writes the tools before them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.servers.asked import CHARACTERS_A_TOKEN, JsonObject, content, count_tokens

Render = Callable[[Sequence[JsonObject], Sequence[JsonObject]], str]

LLAMA3_TEMPLATE = """{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>
{{- end }}<|start_header_id|>assistant<|end_header_id|>

"""
_TOOL_SYSTEM = """

Cutting Knowledge Date: December 2023

When you receive a tool call response, use the output to format an answer to the orginal user question.

You are a helpful assistant with tool calling capabilities."""
_TOOL_USER = """

Given the following functions, please respond with a JSON for a function call with its proper arguments that best \
answers the given prompt.

Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. Do not use \
variables.

"""
LLAMA31_TEMPLATE = (
    """{{- if or .System .Tools }}<|start_header_id|>system<|end_header_id|>
{{- if .System }}

{{ .System }}
{{- end }}
{{- if .Tools }}"""
    + _TOOL_SYSTEM
    + """
{{- end }}<|eot_id|>
{{- end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<|start_header_id|>user<|end_header_id|>
{{- if and $.Tools $last }}"""
    + _TOOL_USER
    + """{{ range $.Tools }}
{{- . }}
{{ end }}
Question: {{ .Content }}<|eot_id|>
{{- else }}

{{ .Content }}<|eot_id|>
{{- end }}{{ if $last }}<|start_header_id|>assistant<|end_header_id|>

{{ end }}
{{- else if eq .Role "assistant" }}<|start_header_id|>assistant<|end_header_id|>
{{- if .ToolCalls }}
{{ range .ToolCalls }}
{"name": "{{ .Function.Name }}", "parameters": {{ .Function.Arguments }}}{{ end }}
{{- else }}

{{ .Content }}
{{- end }}{{ if not $last }}<|eot_id|>{{ end }}
{{- else if eq .Role "tool" }}<|start_header_id|>ipython<|end_header_id|>

{{ .Content }}<|eot_id|>{{ if $last }}<|start_header_id|>assistant<|end_header_id|>

{{ end }}
{{- end }}
{{- end }}"""
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt and what was lost on the way to it."""

    text: str
    tokens: int
    dropped: int = 0
    cut_tokens: int = 0


def render_llama3(messages: Sequence[JsonObject], _tools: Sequence[JsonObject] = ()) -> str:
    """Write the messages in their order; no tools."""
    return "".join(_block(str(m.get("role")), "\n\n" + _said(m) + "<|eot_id|>") for m in messages) + _block("assistant")


def render_llama31(messages: Sequence[JsonObject], tools: Sequence[JsonObject] = ()) -> str:
    """Write every system message at the top, and the tools into the last message if it is the person's."""
    system = "\n\n".join(content(m) for m in messages if m.get("role") == "system")
    rest = [m for m in messages if m.get("role") != "system"]
    parts = []
    if system or tools:
        said = ("\n\n" + system if system else "") + (_TOOL_SYSTEM if tools else "")
        parts.append(_block("system", said + "<|eot_id|>"))
    for message in rest[:-1]:
        parts.append(_turn(message, ()))
    if rest:
        parts.append(_turn(rest[-1], tools))
    return "".join(parts) + _block("assistant")


def render_chatml(messages: Sequence[JsonObject], tools: Sequence[JsonObject] = ()) -> str:
    """Write the messages in their order and the tools into a block before them, as most newer models do."""
    offered = "".join(json.dumps(tool, ensure_ascii=False) + "\n" for tool in tools)
    head = f"<|im_start|>system\n# Tools\n<tools>\n{offered}</tools><|im_end|>\n" if tools else ""
    turns = "".join(f"<|im_start|>{m.get('role')}\n{_said(m)}<|im_end|>\n" for m in messages)
    return head + turns + "<|im_start|>assistant\n"


def fit(
    messages: Sequence[JsonObject],
    tools: Sequence[JsonObject],
    render: Render,
    *,
    num_ctx: int,
    num_keep: int,
) -> Prompt:
    """Render what fits into the context: the system messages, the last message, and as many before it as possible.

    Messages are dropped whole, oldest first. Where even the smallest prompt is too long, its middle is cut out: the
    first `num_keep` tokens stay, and as many of the last as there is room for.
    """
    starts = range(len(messages))
    start = next((n for n in starts if count_tokens(render(_from(messages, n), tools)) <= num_ctx), len(messages) - 1)
    kept = _from(messages, start)
    text = render(kept, tools)
    short = cut_middle(text, num_ctx, num_keep)
    return Prompt(short, count_tokens(short), len(messages) - len(kept), count_tokens(text) - count_tokens(short))


def cut_middle(text: str, num_ctx: int, num_keep: int) -> str:
    """Cut a text to the context, keeping its first `num_keep` tokens and its end."""
    room = num_ctx * CHARACTERS_A_TOKEN
    if len(text) <= room:
        return text
    head = num_keep * CHARACTERS_A_TOKEN
    return text[:head] + text[len(text) - (room - head) :]


def _from(messages: Sequence[JsonObject], start: int) -> list[JsonObject]:
    return [m for m in messages[:start] if m.get("role") == "system"] + list(messages[start:])


def _turn(message: JsonObject, tools: Sequence[JsonObject]) -> str:
    role = str(message.get("role"))
    if role == "user" and tools:
        offered = "".join(json.dumps(tool, ensure_ascii=False) + "\n" for tool in tools)
        return _block("user", f"{_TOOL_USER}{offered}\nQuestion: {content(message)}<|eot_id|>")
    return _block("ipython" if role == "tool" else role, "\n\n" + _said(message) + "<|eot_id|>")


def _said(message: JsonObject) -> str:
    calls = message.get("tool_calls")
    if not calls:
        return content(message)
    functions = [call["function"] for call in calls]
    return "".join(
        f'{{"name": "{f["name"]}", "parameters": {json.dumps(f["arguments"], ensure_ascii=False)}}}' for f in functions
    )


def _block(role: str, rest: str = "\n\n") -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>{rest}"
