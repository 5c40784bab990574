"""A broker that delivers more often than it should."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.support.stack import Stack


async def deliver_again(stack: Stack, more: int = 1) -> None:
    """Send every execution request once more, or so many times, until cancelled."""
    servers = stack.env["KAFKA_BOOTSTRAP_SERVERS"]
    topic = f"{stack.env['KAFKA_TOPIC_PREFIX']}execution-requests"
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, fetch_max_wait_ms=10)
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await consumer.start()
    await producer.start()
    seen: set[bytes] = set()
    try:
        async for message in consumer:
            if message.value and message.value not in seen:
                seen.add(message.value)
                for _ in range(more):
                    await producer.send_and_wait(topic, message.value)
    finally:
        await consumer.stop()
        await producer.stop()
