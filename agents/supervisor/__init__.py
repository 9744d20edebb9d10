"""The supervisor: workers that are restarted, and one leader among the processes that share a database."""

from agents.execution.claims import NotLeading
from agents.supervisor.lease import LeaseStore, has_fence
from agents.supervisor.repeat import Repeat
from agents.supervisor.supervisor import Supervisor, term_fence
from agents.supervisor.values import (
    Job,
    ProcessStatus,
    Pulse,
    SupervisorSettings,
    Worker,
    WorkerState,
    WorkerStatus,
)

__all__ = [
    "Job",
    "LeaseStore",
    "NotLeading",
    "ProcessStatus",
    "Pulse",
    "Repeat",
    "Supervisor",
    "SupervisorSettings",
    "Worker",
    "WorkerState",
    "WorkerStatus",
    "has_fence",
    "term_fence",
]
