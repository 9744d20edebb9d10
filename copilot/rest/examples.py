"""Examples for the OpenAPI document: one moment of the simulated market; a test holds them to the schemas."""

from __future__ import annotations

from pydantic import JsonValue

Example = dict[str, JsonValue]

SECRET = "tc_" + "0" * 43
SAY: Example = {"message": "buy 0.1 BTC", "conversation": "main"}
DECIDE: Example = {"nonce": "kQ0mZs6m1zq0Vw3o3sYB3g"}
EDIT: Example = {"nonce": "kQ0mZs6m1zq0Vw3o3sYB3g", "changes": {"quantity": "0.05"}}
PRICE_ALERT: Example = {"symbol": "BTC/USDT", "condition": "price_above", "value": "70000"}
ALERT_CHANGES: Example = {"repeats": True, "rest_s": 3600}
NEW_BACKTEST: Example = {"target": "trend_following", "symbol": "BTC/USDT", "timeframe": "1h", "days": 180}
NEW_TOKEN: Example = {"name": "dashboard", "scopes": ["read"], "expires_in_days": 90}
SEEN: Example = {"ids": [41]}
TERMS: Example = {
    "symbol": "BTC/USDT",
    "side": "buy",
    "is_close": False,
    "order_type": "market",
    "quantity": "0.1",
    "price": None,
    "expected_price": "67350.5",
    "notional": "6735.05",
    "fee": "6.73505",
    "currency": "USD",
    "stop_loss": "66930.0",
    "take_profit": "68191.5",
    "cash_before": "100000",
    "cash_after": "93258.21495",
    "exposure_before": "0",
    "exposure_after": "6735.05",
    "position_before": "0",
    "position_after": "0.1",
    "limits": [],
    "sizing": None,
    "venue": "paper",
    "is_simulated": True,
    "quote_at": "2026-03-02T14:00:00Z",
    "max_drift_bps": 30,
}
TICKET: Example = {
    "kind": "ticket",
    "ticket_id": 7,
    "version": 1,
    "nonce": "kQ0mZs6m1zq0Vw3o3sYB3g",
    "owner": "ana",
    "conversation_id": "rest-5f0c2b9e8a41d3775f0c2b9e8a41d377",
    "language": "en",
    "state": "pending",
    "terms": TERMS,
    "terms_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-03-02T14:00:00Z",
    "expires_at": "2026-03-02T14:02:00Z",
    "repriced_from": None,
    "fill": None,
    "reasons": [],
}
TURN: Example = {
    "turn_id": "4b1d6a2f90c3e8571a2b3c4d",
    "conversation": "main",
    "answer": "Here is the ticket; nothing is sent before you approve it.",
    "language": "en",
    "brain": "offline",
    "trouble": None,
    "tools": [],
    "opened": [TICKET],
    "closed": [],
}
_FILLED: Example = {
    "order_id": "12",
    "status": "filled",
    "filled_quantity": "0.1",
    "average_price": "67350.5",
    "fee": "6.73505",
}
DECISION: Example = {
    "ticket": {**TICKET, "state": "executed", "fill": _FILLED},
    "answer": "Bought 0.1 BTC/USDT at 67,350.5.",
    "opened": [],
}
ORDER: Example = {
    "order_id": "12",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "limit",
    "role": "entry",
    "quantity": "0.1",
    "filled_quantity": "0",
    "price": "65000",
    "status": "open",
    "created_at": "2026-03-02T14:00:00Z",
}
FILL: Example = {
    "trade_id": "3",
    "symbol": "BTC/USDT",
    "side": "buy",
    "quantity": "0.1",
    "price": "67350.5",
    "fee": "6.73505",
    "realised": "0",
    "at": "2026-03-02T14:00:00Z",
}
ALERT: Example = {
    "alert_id": "5",
    "symbol": "BTC/USDT",
    "condition": "price_above",
    "value": "70000",
    "timeframe": None,
    "created_at": "2026-03-02T14:00:00Z",
    "repeats": False,
    "rest_s": 0,
    "expires_at": None,
    "told_at": None,
}
STOPPED: Example = {"answer": "All trading is stopped."}
LIFTED: Example = {"answer": "Trading may go on."}
NOTICE: Example = {
    "id": 41,
    "kind": "alert_price_above",
    "params": {"symbol": "BTC/USDT", "value": "70000"},
    "text": "BTC/USDT is above 70,000.",
    "created_at": "2026-03-02T14:00:00Z",
}
JOB: Example = {
    "job_id": "5f0c2b9e8a41d3775f0c2b9e8a41d377",
    "state": "running",
    "target": "trend_following",
    "symbol": "BTC/USDT",
    "timeframe": "1h",
    "days": 180,
    "created_at": "2026-03-02T14:00:00Z",
    "started_at": "2026-03-02T14:00:01Z",
    "ended_at": None,
    "ahead": 0,
    "done_ratio": 0.4,
    "code": None,
    "params": {},
    "detail": None,
    "result": None,
}
TOKEN: Example = {
    "id": "8a41d3775f0c2b9e",
    "name": "dashboard",
    "scopes": ["read"],
    "created_at": "2026-03-02T14:00:00Z",
    "expires_at": "2026-05-31T14:00:00Z",
    "revoked_at": None,
    "used_at": None,
}
HEALTH: Example = {
    "status": "ok",
    "parts": [
        {"name": "database", "trouble": "", "is_vital": True},
        {"name": "market", "trouble": "", "is_vital": False},
    ],
}
