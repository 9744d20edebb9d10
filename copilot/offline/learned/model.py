"""The learned model at work: a few numpy operations over stored weights.

Several small classifiers share one set of hashed features: what a message is about, and for some tools how one argument
reads. Each is a multinomial logistic regression with weights in eight bits, one scale per class, and probabilities
tempered on lines that its fit had not seen. The weights are plain arrays beside this file, read once and lazily;
nothing is ever unpickled. The model only names classes with probabilities; what may follow is decided in
`copilot.offline.combined`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from copilot.offline.learned.features import LETTER_WEIGHT, Features, features_of
from copilot.offline.tokens import Token
from copilot.offline.values import Turn

WEIGHTS = "weights.npz"
PLAIN, ASK, SEVERAL = "plain", "ask", "several"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one classifier makes of a message.

    Attributes:
        name: The likeliest class.
        probability: Its probability (0-1).
        shares: Probability of every class.
    """

    name: str
    probability: float
    shares: Mapping[str, float]

    def of(self, *names: str) -> float:
        """Return the summed probability of some classes; an unknown class has none."""
        return sum(self.shares.get(name, 0.0) for name in names)


@dataclass(frozen=True, slots=True)
class Head:
    """One classifier: which columns of the weights are its classes.

    Attributes:
        classes: Names in column order.
        start: Its first column.
        temperature: Divides the logits; above 1 where the fit was too sure of itself.
    """

    classes: tuple[str, ...]
    start: int
    temperature: float


@dataclass(frozen=True, slots=True)
class Model:
    """Fitted weights.

    Attributes:
        heads: The classifiers by name.
        weights: Shape (buckets, columns of all heads), eight bits.
        scale: Shape (columns,): what one step of a weight is worth.
        bias: Shape (columns,).
    """

    heads: Mapping[str, Head]
    weights: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, found: Features) -> NDArray[np.float64]:
        """Return the untempered logits of all columns for the features of one message."""
        words = self.weights[found.words].sum(axis=0, dtype=np.int32)
        letters = self.weights[found.letters].sum(axis=0, dtype=np.int32)
        summed = (words + LETTER_WEIGHT * letters) / found.norm
        return np.asarray(summed * self.scale + self.bias, dtype=np.float64)


class Judgement:
    """What the model makes of one message; each classifier is asked when it is needed."""

    def __init__(self, model: Model, logits: NDArray[np.float64]) -> None:
        self._model, self._logits = model, logits

    def of(self, head: str) -> Opinion:
        """Return the opinion of one classifier."""
        return self._opinion(head, self._logits)

    def of_part(self, head: str, found: Features) -> Opinion:
        """Return the opinion of one classifier on the features of a part of the message."""
        return self._opinion(head, self._model.logits(found))

    def _opinion(self, head: str, logits: NDArray[np.float64]) -> Opinion:
        chosen = self._model.heads[head]
        shares = softmax(logits[chosen.start : chosen.start + len(chosen.classes)] / chosen.temperature)
        best = int(shares.argmax())
        named = dict(zip(chosen.classes, shares.tolist(), strict=True))
        return Opinion(chosen.classes[best], float(shares[best]), named)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


@cache
def load_model() -> Model:
    """Return the model that the package carries; read on first use."""
    with as_file(files(__package__).joinpath(WEIGHTS)) as path, np.load(path, allow_pickle=False) as stored:
        names = [str(name).split(" ") for name in stored["columns"]]
        heads: dict[str, Head] = {}
        for head, temperature in zip(stored["heads"].tolist(), stored["temperatures"].tolist(), strict=True):
            columns = [index for index, (owner, _) in enumerate(names) if owner == head]
            heads[head] = Head(tuple(names[index][1] for index in columns), columns[0], temperature)
        return Model(heads, stored["weights"], stored["scale"], stored["bias"])


def judge_message(tokens: Sequence[Token], history: Sequence[Turn] = (), model: Model | None = None) -> Judgement:
    """Return what the model makes of a message.

    Args:
        tokens: The tagged words, quotations left out.
        history: Earlier turns, oldest first.
        model: Weights to use instead of the stored ones.
    """
    model = model or load_model()
    return Judgement(model, model.logits(features_of(tokens, history)))


__all__ = ["ASK", "PLAIN", "SEVERAL", "Head", "Judgement", "Model", "Opinion", "judge_message", "load_model", "softmax"]
