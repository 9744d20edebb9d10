"""Fit the learned model on a folder of labelled utterances and write its weights.

    python -m copilot.offline.learned.training FOLDER
    python -m copilot.offline.learned.training --check FOLDER

The second form only tells whether the stored weights were fitted on what the folder holds now.
Only tuning files are read (`dev_*`, `hostile_dev*`), never an unseen part. Every file was written by other people, so
leaving one out of the fit imitates people whom the model has not met: the figures in the manifest, and the temperatures
of the probabilities, come from such folds. Same files, same weights: there is no random step, and the manifest keeps
the hash of what was read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # scipy ships no types
from sklearn.linear_model import LogisticRegression

from copilot.offline.clauses import TRADE
from copilot.offline.corrections import apply_corrections
from copilot.offline.guard import screen
from copilot.offline.learned.features import BUCKETS, LETTER_WEIGHT, Features, features_of
from copilot.offline.learned.labels import HEADS, ROLE, TOOL, labels_of, role_labels
from copilot.offline.learned.model import WEIGHTS, Head, Model, softmax
from copilot.offline.learned.roles import number_places, role_features
from copilot.offline.shapes import shape
from copilot.offline.tokens import detect_language, tokenize
from copilot.offline.values import Turn

PATTERNS = ("*/dev_*.jsonl", "*/hostile_dev*.jsonl")
MANIFEST = "manifest.json"
_STRENGTH = 30.0
_ROUNDS = 300
_STEPS = 127
_LEAST_SEEN = 2
_LEAST_SHARE = 1e-12
_TEMPERATURES = np.round(np.geomspace(0.4, 4.0, 47), 3)
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled utterance, hashed.

    Attributes:
        writer: The file it comes from, without language and ending.
        language: Its language.
        features: Its hashed features.
        labels: Accepted labels by classifier, the expected one first.
    """

    writer: str
    language: str
    features: Features
    labels: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Guess:
    """What a classifier said of an example that its fit had not seen."""

    example: Example
    head: str
    classes: tuple[str, ...]
    logits: Matrix

    @property
    def is_right(self) -> bool:
        """Tell whether the likeliest class is an accepted one."""
        return self.classes[int(self.logits.argmax())] in self.example.labels[self.head]


def corpus_files(folder: Path) -> list[Path]:
    """Return the tuning files of a corpus folder, sorted."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})


def corpus_hash(folder: Path) -> str:
    """Return the SHA-256 of the tuning files of a corpus folder, in hex."""
    digest = hashlib.sha256()
    for path in corpus_files(folder):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_examples(folder: Path) -> list[Example]:
    """Return the labelled utterances of a corpus folder, in a fixed order."""
    return [one for path in corpus_files(folder) for record in _records(path) for one in _examples(path.stem, record)]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _examples(writer: str, record: Mapping[str, Any]) -> Iterator[Example]:
    """Yield the utterance, and each number of it where it orders one trade."""
    text = str(record["text"])
    screened = screen(text)
    language = detect_language(screened.text) or detect_language(text) or "en"
    history = [Turn(turn["role"], turn["text"]) for turn in record.get("history") or ()]
    spoken = tokenize(screened.text, language)
    answers = (record["expect"], *(record.get("also") or ()))
    yield Example(writer, str(record["lang"]), features_of(spoken, history), labels_of(answers))
    calls: Sequence[Mapping[str, Any]] = record["expect"].get("calls") or ()
    if len(calls) != 1 or calls[0]["tool"] != TRADE or history or screened.quoted:
        return
    args, tokens = calls[0]["args"], shape(apply_corrections(spoken), language)
    places = {place: role_labels(tokens[place], args) for place in number_places(tokens)}
    for place, roles in places.items():
        if len(roles) == 1:
            yield Example(writer, str(record["lang"]), role_features(tokens, place, args.get("symbol")), {ROLE: roles})


def fit(examples: Sequence[Example], temperatures: Mapping[str, float] | None = None) -> Model:
    """Return the weights fitted on examples.

    Args:
        examples: What to learn from.
        temperatures: Temperature by classifier; 1 where none is given.
    """
    heads: dict[str, Head] = {}
    blocks, biases = [], []
    start = 0
    for name in HEADS:
        classifier = _classifier([example for example in examples if name in example.labels], name)
        classes = tuple(str(one) for one in classifier.classes_)
        heads[name] = Head(classes, start, (temperatures or {}).get(name, 1.0))
        start += len(classes)
        blocks.append(classifier.coef_.T)
        biases.append(classifier.intercept_)
    weights = np.concatenate(blocks, axis=1)
    scale = np.abs(weights).max(axis=0) / _STEPS
    steps = np.round(weights / scale).astype(np.int8)
    return Model(heads, steps, scale.astype(np.float32), np.concatenate(biases).astype(np.float32))


def _classifier(examples: Sequence[Example], head: str) -> Any:
    """Fit on the features that at least two examples share; a feature of one alone gets no weight."""
    matrix = _matrix(examples).astype(np.float32)
    columns = np.flatnonzero(np.bincount(matrix.indices, minlength=BUCKETS) >= _LEAST_SEEN)
    classifier = LogisticRegression(C=_STRENGTH, max_iter=_ROUNDS, tol=1e-3)
    classifier.fit(matrix[:, columns], np.array([example.labels[head][0] for example in examples]))
    spread = np.zeros((len(classifier.classes_), BUCKETS))
    spread[:, columns] = classifier.coef_
    classifier.coef_ = spread
    return classifier


def _matrix(examples: Sequence[Example]) -> Any:
    rows = [example.features for example in examples]
    weights = [
        np.concatenate([np.ones(row.words.size), np.full(row.letters.size, LETTER_WEIGHT)]) / row.norm for row in rows
    ]
    columns = [np.concatenate([row.words, row.letters]) for row in rows]
    ends = np.cumsum([0, *(column.size for column in columns)])
    return csr_matrix((np.concatenate(weights), np.concatenate(columns), ends), shape=(len(rows), BUCKETS))


def cross_validate(examples: Sequence[Example], writers: Sequence[str] = ()) -> tuple[list[Guess], dict[str, Model]]:
    """Return what a fit without its writer says of every example, and these fits by writer.

    Args:
        examples: All examples.
        writers: Files to leave out, one after the other; all of them by default.
    """
    guesses: list[Guess] = []
    models: dict[str, Model] = {}
    for writer in writers or sorted({example.writer for example in examples}):
        model = models[writer] = fit([example for example in examples if example.writer != writer])
        for example in (one for one in examples if one.writer == writer):
            logits = model.logits(example.features)
            for name in example.labels:
                head = model.heads[name]
                own = logits[head.start : head.start + len(head.classes)]
                guesses.append(Guess(example, name, head.classes, own))
    return guesses, models


def temperatures_of(guesses: Sequence[Guess]) -> dict[str, float]:
    """Return the temperature by classifier under which unseen lines are the least surprising."""
    return {name: _temperature([guess for guess in guesses if guess.head == name]) for name in HEADS}


def _temperature(guesses: Sequence[Guess]) -> float:
    known = [guess for guess in guesses if guess.example.labels[guess.head][0] in guess.classes]

    def surprise(temperature: float) -> float:
        shares = [
            softmax(guess.logits / temperature)[guess.classes.index(guess.example.labels[guess.head][0])]
            for guess in known
        ]
        return float(-np.log(np.maximum(shares, _LEAST_SHARE)).mean())

    return min((float(one) for one in _TEMPERATURES), key=surprise) if known else 1.0


def train(folder: Path, target: Path) -> dict[str, Any]:
    """Fit, write the weights and the manifest, and return the manifest.

    Args:
        folder: Corpus with one folder per language.
        target: Folder that receives the weights and the manifest.
    """
    examples = read_examples(folder)
    guesses, _ = cross_validate(examples)
    model = fit(examples, temperatures_of(guesses))
    save(model, target / WEIGHTS)
    manifest = _manifest(folder, examples, guesses, model)
    (target / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest


def save(model: Model, path: Path) -> None:
    """Write a model as plain arrays."""
    np.savez_compressed(
        path,
        heads=np.array(list(model.heads)),
        temperatures=np.array([head.temperature for head in model.heads.values()]),
        columns=np.array([f"{name} {label}" for name, head in model.heads.items() for label in head.classes]),
        weights=model.weights,
        scale=model.scale,
        bias=model.bias,
    )


def _manifest(folder: Path, examples: Sequence[Example], guesses: Sequence[Guess], model: Model) -> dict[str, Any]:
    tools = [guess for guess in guesses if guess.head == TOOL]
    return {
        "data_sha256": corpus_hash(folder),
        "files": [path.relative_to(folder).as_posix() for path in corpus_files(folder)],
        "lines": sum(TOOL in example.labels for example in examples),
        "by_tool": dict(sorted(Counter(one.labels[TOOL][0] for one in examples if TOOL in one.labels).items())),
        "temperatures": {name: round(head.temperature, 3) for name, head in model.heads.items()},
        "left_out": {
            "by_classifier": _rates((guess.head, guess.is_right) for guess in guesses),
            "tool_by_language": _rates((guess.example.language, guess.is_right) for guess in tools),
            "tool_by_file": _rates((guess.example.writer, guess.is_right) for guess in tools),
        },
    }


def _rates(outcomes: Iterator[tuple[str, bool]]) -> dict[str, float]:
    rows = list(outcomes)
    keys = sorted({key for key, _ in rows})
    grouped = {key: [right for own, right in rows if own == key] for key in keys}
    return {key: round(sum(values) / len(values), 4) for key, values in grouped.items()}


def is_current(folder: Path, manifest: Path) -> bool:
    """Tell whether a manifest's weights were fitted on what a corpus folder holds now."""
    stored = json.loads(manifest.read_text("utf-8"))
    return bool(stored["data_sha256"] == corpus_hash(folder))


def main(arguments: Sequence[str] | None = None, target: Path = Path(__file__).parent) -> int:
    """Train from a folder into the package, or only check; return the exit status.

    Args:
        arguments: Those of the command line by default.
        target: Folder of the weights and the manifest.
    """
    parser = argparse.ArgumentParser(description="Fit the learned model of the offline copilot.")
    parser.add_argument("folder", type=Path, help="corpus with one folder per language")
    parser.add_argument("--check", action="store_true", help="only tell whether the weights fit the corpus")
    options = parser.parse_args(arguments)
    if options.check:
        current = is_current(options.folder, target / MANIFEST)
        sys.stdout.write("up to date\n" if current else "stale: the corpus changed since the fit\n")
        return 0 if current else 1
    manifest = train(options.folder, target)
    sys.stdout.write(json.dumps(manifest["left_out"], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
