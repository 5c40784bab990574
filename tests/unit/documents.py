"""Definitions as their authors write them."""

from typing import Any

EXAMPLE: dict[str, Any] = {
    "workflowId": "recurrent-workflow",
    "trigger": {"type": "periodic", "interval": "10s"},
    "actions": [{"type": "http-request", "url": "https://example.com", "method": "GET"}],
}
LOG: dict[str, Any] = {"type": "log", "message": "hi"}
HTTP: dict[str, Any] = {"type": "http-request", "url": "https://example.com"}
RICH: dict[str, Any] = {
    "workflowId": "rich",
    "trigger": {"type": "periodic", "interval": "120s"},
    "actions": [
        {**LOG, "level": "error", "retry": {"retries": 0}},
        {
            **HTTP,
            "id": "call",
            "method": "post",
            "headers": {"Authorization": "Bearer ${secret:TOKEN}", "X-U": "ü"},
            "query": {"a": [1, True, "x", 2.5], "b": False},
            "body": {"a": None, "$ref": [None, {"": 1.5, "b.c": 2**62}]},
            "timeouts": {"total": "90s"},
            "followRedirects": 0,
        },
    ],
    "retry": {"retries": 50, "backoff": {"initial": "60s", "factor": 1, "jitter": 1}},
}
