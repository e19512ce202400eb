"""Which queue feeds which function, and what runs on a schedule, as template.yaml says it for the cloud."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QueueMapping:
    """An SQS event source. `variable` holds the queue's URL; it is the name of an output of infra/data.yaml."""

    variable: str
    function: str
    batch_size: int = 1
    timeout_seconds: float = 900


@dataclass(frozen=True)
class Schedule:
    """A function called every so often; `variable` overrides the seconds."""

    function: str
    variable: str
    seconds: float


QUEUES = (QueueMapping("STEPS_QUEUE_URL", "worker-steps"),)
SCHEDULES = (Schedule("worker-reaper", "PERSONA_REAPER_SECONDS", 5.0),)
