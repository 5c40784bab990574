"""Sending many keyed messages at once, for a quarter of what sending each alone costs.

`AIOKafkaProducer.send` makes a future and picks a partition in Python for each message,
which for lifecycle events would be a tenth of a runner's work.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaProducer

from shared.adapters.kafka.errors import translated

Keyed = tuple[bytes, bytes]
"""Key and value of a message."""


async def send_keyed(producer: AIOKafkaProducer, topic: str, messages: Iterable[Keyed]) -> None:
    """Return when the broker has accepted all messages; raise Unavailable otherwise.

    Messages of one key go to one partition, in their order. The partition follows from
    the CRC of the key, as with librdkafka.
    """
    with translated():
        partitions = sorted(await producer.partitions_for(topic))
        shares: dict[int, list[Keyed]] = defaultdict(list)
        for message in messages:
            shares[partitions[zlib.crc32(message[0]) % len(partitions)]].append(message)
        await asyncio.gather(
            *(_send_share(producer, topic, number, share) for number, share in shares.items())
        )


async def _send_share(
    producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[Keyed]
) -> None:
    accepted = []
    batch = producer.create_batch()
    for key, value in messages:
        if batch.append(timestamp=None, key=key, value=value) is None:
            accepted.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)
    batch.close()
    accepted.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*accepted)
