"""Examples for the OpenAPI document: one moment of the simulated market; a test holds them to the schemas."""

from __future__ import annotations

from pydantic import JsonValue

Example = dict[str, JsonValue]

BAR: Example = {
    "opened_at": "2026-03-02T13:00:00Z",
    "closed_at": "2026-03-02T14:00:00Z",
    "open": 67120.5,
    "high": 67480.0,
    "low": 66990.0,
    "close": 67350.5,
    "volume": 812.4,
}
BARS: Example = {"symbol": "BTC/USDT", "timeframe": "1h", "is_simulated": True, "bars": [BAR]}
SIGNAL: Example = {
    "symbol": "BTC/USDT",
    "timeframe": "1h",
    "direction": "none",
    "reason": "no_edge",
    "close": 67350.5,
    "entry": 67350.5,
    "stop": 66930.0,
    "target": 68191.5,
    "reward_risk": 2.0,
    "probability": 0.341,
    "breakeven_probability": 0.352,
    "expected_value_ratio": -0.033,
    "phase": {
        "phase": "accumulation",
        "score": 0.62,
        "range_high": 67600.0,
        "range_low": 66850.0,
        "swept_level": None,
        "displacement_atr": None,
    },
    "expected_range": {
        "up": {"q10": 67420.0, "q50": 67830.0, "q90": 68760.0},
        "down": {"q10": 67290.0, "q50": 66890.0, "q90": 65970.0},
    },
    "horizon_bars": 24,
    "drivers": [{"feature": "volatility_24", "value": 0.0061, "contribution": -0.08}],
    "model_version": "20260301T000000-1h-pooled",
    "bar_at": "2026-03-02T13:00:00Z",
    "price_at": "2026-03-02T14:00:00Z",
    "valid_until": "2026-03-02T15:00:00Z",
    "is_simulated": True,
}
NO_SIGNAL: Example = {
    "symbol": "EURUSD",
    "timeframe": "1h",
    "code": "model_missing",
    "detail": "EURUSD has too few 1h bars to learn from",
}
SIGNALS: Example = {"timeframe": "1h", "signals": [SIGNAL], "without": [NO_SIGNAL]}
MODEL: Example = {
    "id": "20260301T000000-1h-pooled",
    "created_at": "2026-03-01T00:00:00Z",
    "timeframe": "1h",
    "symbols": ["BTC/USDT", "XAUUSD"],
    "is_held": False,
    "rows": 48210,
    "horizon_bars": 24,
    "features": ["return_1", "volatility_24"],
    "feature_version": 2,
    "parameters": {"eta": 0.05, "max_depth": 4.0},
    "data_hash": "9f2c6d0e",
    "digest": "b01a77c4",
}
MODELS: Example = {"models": [MODEL]}
REPORT: Example = {
    "model_id": "20260301T000000-1h-pooled",
    "created_at": "2026-03-01T00:00:00Z",
    "timeframe": "1h",
    "symbols": ["BTC/USDT", "XAUUSD"],
    "protocol": "purged walk-forward",
    "rows": 48210,
    "horizon_bars": 24,
    "targets": [
        {
            "target": "long_2",
            "auc": 0.541,
            "auc_by_fold": [0.536, 0.546],
            "brier_skill": 0.006,
            "calibration_error": 0.011,
            "acted_share": 0.021,
            "acted_payoff": 0.03,
            "acted_z": 0.9,
        }
    ],
    "ranges": [{"side": "up", "coverage": 0.803, "pinball": 0.312, "pinball_gain": 0.054}],
    "figures": {"auc_long_2": 0.541, "coverage_up": 0.803},
}
HEALTH: Example = {
    "status": "ok",
    "market": "simulated",
    "is_simulated": True,
    "market_at": "2026-03-02T14:00:07Z",
    "stream": {"stream": "5f0c2b9e8a41d377", "sequence": 1204, "clients": 2, "dropped_slow": 0},
}
