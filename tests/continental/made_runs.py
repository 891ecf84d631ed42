"""Runs as result files tell them, made by arithmetic that knows nothing of the simulation."""

from __future__ import annotations

from typing import Any


def run_file(
    name: str = "users-archive-bands-region-u1-p4-w1",
    *,
    group: str = "users",
    side: str = "archive",
    kind: str = "bands",
    profile: str = "region",
    latency: float = 0.0,
    connection: float = 1e6,
    total: float = 1e6,
    connections: int = 0,
    workers: int = 1,
    users: int = 1,
    parts: int = 4,
    products: int = 1,
    seconds: float = 2.0,
    cpu: float | None = None,
    wall: float | None = None,
    requests: float = 0,
    sent: float = 0,
    digests: dict[str, str] | None = None,
    more: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Return a run in which each cube takes `seconds`, one after the other on each worker; nothing else does."""
    cubes = users * parts
    rounds = -(-cubes // workers)
    told = wall if wall is not None else rounds * seconds
    spans = [
        {
            "worker": f"w{number % workers}",
            "start": number // workers * seconds,
            "end": (number // workers + 1) * seconds,
        }
        for number in range(cubes)
    ]
    busy = cubes * (seconds if cpu is None else cpu)
    use = {f"worker {number}": {"cpu": busy / workers, "peak": 200.0} for number in range(workers)}
    used = {"store": 0.0, "network": 0.0, "scheduler": 0.0, "service": 0.0, **(more or {})}
    use |= {key: {"cpu": value, "peak": 100.0} for key, value in used.items()}
    if side == "safe":
        use = {"store": use["store"], "network": use["network"], "client": {"cpu": busy, "peak": 900.0}}
        spans = [{**one, "task": "cube"} for one in spans]
        spans += [{"task": "download", "start": 0.0, "end": 0.5} for _ in range(cubes * products)]
    return {
        "name": name, "group": group, "side": side, "kind": kind, "profile": profile,
        "latency": latency, "connection": connection, "total": total, "connections": connections,
        "workers": workers, "cores": 2, "wall": told,
        "users": [
            {
                "parts": parts, "products": parts * products, "searched": 0.0, "accepted": 0.0, "done": told,
                "status": "successful", "history": [[0.0, 0], [told / 2, parts // 2], [told, parts]],
            }
            for _ in range(users)
        ],
        "network": {"connections": 1, "requests": requests, "sent": sent, "received": 0},
        "use": use, "metrics": {}, "parts": spans,
        "pixels": cubes * products * 2 * 10_980**2, "digests": digests or {},
        "machine": {"cpu": "a processor", "cores": 2, "memory": 24},
    }  # fmt: skip
