"""Client errors become the project's own, here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import ConsumerStoppedError, KafkaError

from shared.domain.errors import Unavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raise Unavailable for everything that keeps Kafka from answering."""
    try:
        yield
    except (KafkaError, ConsumerStoppedError, OSError, TimeoutError) as error:
        raise unavailable(error) from error


def unavailable(error: BaseException) -> Unavailable:
    """Return the project's error for one of the client's."""
    return Unavailable("Kafka", str(error) or type(error).__name__)
