"""Where trees are grown: on a CUDA device where there is one that works, else on the processor.

The device is chosen once by whoever starts a training and stands in the model's manifest; forecasts are made on the
processor in every case, so that a model says the same wherever it is loaded. The two grow other trees, because they
draw other rows for each: out of sample, figures may differ by `AUC_TOLERANCE` and `LOSS_TOLERANCE`, single trees by
more.
Evaluations stay on the processor, whose numbers are the same on every machine.
"""

from __future__ import annotations

import ctypes
import json
import logging
import sys
from functools import cache
from typing import Literal

import numpy as np
import xgboost as xgb

from engine.domain.errors import ConfigError

Device = Literal["cpu", "cuda"]

AUC_TOLERANCE = 0.02
"""By how much a target's area under the curve may differ between the devices, out of sample."""
LOSS_TOLERANCE = 0.02
"""By which share a pinball loss may differ."""
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
log = logging.getLogger(__name__)


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device to train on and log it.

    Raises:
        ConfigError: CUDA is wanted and cannot be used; the message says why.
    """
    if wanted == "cuda":
        require_cuda()
    obstacle = cuda_obstacle() if wanted == "auto" else ""
    device: Device = "cpu" if wanted == "cpu" or obstacle else "cuda"
    log.info("models are trained on %s%s", device, f" ({obstacle})" if obstacle else "")
    return device


def require_cuda() -> None:
    """Check that CUDA can be used on this machine.

    Raises:
        ConfigError: It cannot; the message says why.
    """
    if obstacle := cuda_obstacle():
        raise ConfigError(f"COPILOT_DEVICE is 'cuda', but {obstacle}; set it to auto or cpu")


@cache
def cuda_obstacle() -> str:
    """Return why CUDA cannot be used here, found by growing a tree on it; empty when it can."""
    if not xgb.build_info().get("USE_CUDA"):
        return "this XGBoost was built without CUDA"
    if not _visible_gpus():
        return "no NVIDIA GPU is visible"
    try:
        return "" if _grows_on_cuda() else "XGBoost does not use the GPU"
    except xgb.core.XGBoostError as error:
        return f"XGBoost cannot use the GPU ({str(error).strip().splitlines()[0]})"


def _visible_gpus() -> int:
    """Ask the driver, which heeds CUDA_VISIBLE_DEVICES; XGBoost itself would only warn and take the processor."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    is_there = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if is_there else 0


def _grows_on_cuda() -> bool:
    X = np.arange(32.0).reshape(-1, 1)
    probe = xgb.train({"device": "cuda", "max_depth": 1, "nthread": 1}, xgb.QuantileDMatrix(X, X[:, 0], nthread=1), 1)
    return str(json.loads(probe.save_config())["learner"]["generic_param"]["device"]).startswith("cuda")
