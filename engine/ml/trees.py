"""Boosted trees as flat arrays, walked by compiled code: one row costs some microseconds.

XGBoost's own prediction is made for many rows; for one it spends a hundred microseconds before the first tree. A live
signal asks for one row of several models, so its trees are laid out side by side once and walked here. Comparisons are
those of XGBoost (32-bit, below goes left, NaN goes the way that training found), and so are the sums but for the order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import xgboost as xgb

from engine.domain.market import FloatArray

_Ints = npt.NDArray[np.int32]
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FlatTrees:
    """The trees of one booster, node after node.

    Attributes:
        root: Shape (t,), first node of each tree.
        output: Shape (t,), which of the outputs a tree adds to.
        left: Shape (n,), the node below the threshold; the one above follows it in `right`; -1 at a leaf.
        right: Shape (n,).
        feature: Shape (n,), column compared.
        threshold: Shape (n,), float32; the leaf's value at a leaf.
        is_left_default: Shape (n,), where NaN goes.
        base: Shape (k,), where each output begins, as a margin.
    """

    root: _Ints
    output: _Ints
    left: _Ints
    right: _Ints
    feature: _Ints
    threshold: _Floats
    is_left_default: npt.NDArray[np.uint8]
    base: FloatArray

    def margins(self, row: FloatArray) -> FloatArray:
        """Return the margins of one row, before any link; shape (k,)."""
        return np.asarray(
            _walk(
                row, self.root, self.output, self.left, self.right, self.feature, self.threshold,
                self.is_left_default, self.base,
            )
        )  # fmt: skip


def flatten_trees(booster: xgb.Booster) -> FlatTrees:
    """Return the trees of a fitted booster with numeric splits and one value a leaf."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    model = learner["gradient_booster"]["model"]
    trees = model["trees"]
    sizes = [len(tree["left_children"]) for tree in trees]
    root = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32) if trees else np.empty(0, np.int32)

    def children(name: str) -> _Ints:
        parts = [np.asarray(tree[name], dtype=np.int32) for tree in trees]
        moved = [np.where(part >= 0, part + first, -1) for part, first in zip(parts, root, strict=True)]
        return np.concatenate(moved or [np.empty(0)]).astype(np.int32)

    def column(name: str, kind: type) -> npt.NDArray[np.generic]:
        return np.concatenate([np.asarray(tree[name], dtype=kind) for tree in trees] or [np.empty(0, kind)])

    return FlatTrees(
        root=root,
        output=np.asarray(model["tree_info"], dtype=np.int32),
        left=children("left_children"),
        right=children("right_children"),
        feature=np.asarray(column("split_indices", np.int32)),
        threshold=np.asarray(column("split_conditions", np.float32)),
        is_left_default=np.asarray(column("default_left", np.uint8)),
        base=_base_margins(booster, learner),
    )


def _base_margins(booster: xgb.Booster, learner: dict[str, dict[str, str]]) -> FloatArray:
    """Return what the booster says before its first tree: written as a score, needed as a margin."""
    text = learner["learner_model_param"]["base_score"]
    scores = np.atleast_1d(np.asarray(json.loads(text), dtype=np.float64))
    if json.loads(booster.save_config())["learner"]["objective"]["name"] == "binary:logistic":
        return np.asarray(np.log(scores / (1 - scores)))
    return scores


@numba.njit(cache=True)
def _walk(
    row: FloatArray,
    root: _Ints,
    output: _Ints,
    left: _Ints,
    right: _Ints,
    feature: _Ints,
    threshold: _Floats,
    is_left_default: npt.NDArray[np.uint8],
    base: FloatArray,
) -> FloatArray:
    out = base.copy()
    for tree in range(len(root)):
        node = root[tree]
        while left[node] >= 0:
            value = np.float32(row[feature[node]])
            if np.isnan(value):
                node = left[node] if is_left_default[node] else right[node]
            elif value < threshold[node]:
                node = left[node]
            else:
                node = right[node]
        out[output[tree]] += threshold[node]
    return out
