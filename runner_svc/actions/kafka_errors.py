"""What Kafka's errors mean for an action: whether to try again, and what to tell its author."""

from typing import Final

from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
    UnsupportedSaslMechanismError,
)

from shared.ports.actions import ActionError, PermanentError

_LONGEST: Final = 500
_PERMANENT: Final[tuple[tuple[tuple[type[KafkaError], ...], str], ...]] = (
    (
        (MessageSizeTooLargeError, RecordListTooLargeError),
        "the message is larger than the topic '{topic}' takes (max.message.bytes)",
    ),
    ((InvalidTopicError,), "the topic '{topic}' cannot be written to"),
    (
        (TopicAuthorizationFailedError, ClusterAuthorizationFailedError),
        "the runner is not allowed to write to the topic '{topic}'",
    ),
    (
        (
            AuthenticationFailedError,
            AuthenticationMethodNotSupported,
            SaslAuthenticationFailed,
            UnsupportedSaslMechanismError,
        ),
        "the runner may not log in",
    ),
    (
        (PolicyViolationError, UnsupportedForMessageFormatError),
        "the topic '{topic}' does not take such a message",
    ),
)


def failure(error: KafkaError, topic: str, cluster: str) -> ActionError:
    """Return the action's error for one of the client's."""
    where = f"Kafka cluster '{cluster}': "
    for kinds, sentence in _PERMANENT:
        if isinstance(error, kinds):
            return PermanentError(where + sentence.format(topic=topic))
    if isinstance(error, UnknownTopicOrPartitionError):
        # The client says so as well when no broker answered its question in time.
        return ActionError(f"{where}there is no topic '{topic}', or nobody answers")
    return ActionError(where + (str(error) or type(error).__name__)[:_LONGEST])
