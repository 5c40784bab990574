"""The parameters of the built-in actions. What they do is in `runner_svc/actions`."""

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared.domain.catalogue import ActionSpec, Effect
from shared.domain.data_actions import KafkaPublishAction, MongodbAction
from shared.domain.definition import ActionDefinition
from shared.domain.durations import Duration, Timeout, parse_duration
from shared.domain.outcomes import MAX_MESSAGE
from shared.domain.secrets import REDACTED, SECRET_REFERENCE, check_references

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8192}")
MAX_HEADERS: Final = 64


class LogAction(ActionDefinition):
    """Writes a line to the runner's log and into the execution's history."""

    type: Literal["log"]
    message: Annotated[str, Field(min_length=1, max_length=16_384, description="What to write.")]
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="The level of the line in the runner's log."),
    ] = "info"


def _check_url(url: str) -> str:
    check_references(url)
    plain = SECRET_REFERENCE.sub("secret", url)
    if url.startswith("${secret:"):
        return url
    try:
        parts = urlsplit(plain)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if parts.scheme.lower() not in {"http", "https"} or not host:
        raise ValueError("must be an http or https URL with a host, such as 'https://example.com/'")
    if re.search(r"[\x00-\x20\x7f]", plain):
        raise ValueError("must not contain spaces or control characters; percent-encode them")
    return url


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"has {len(headers)} headers; at most {MAX_HEADERS} are allowed")
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid header name")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name!r} has characters that no header may carry")
        if value == REDACTED:
            raise ValueError(
                f"the value of {name!r} is the mark of a redacted one; send the real value or, "
                "better, a reference such as ${secret:NAME}"
            )
        check_references(value)
    return headers


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


QueryValue = str | int | float | bool


def _check_query(query: object) -> object:
    if isinstance(query, dict):
        for name, value in query.items():
            items = value if isinstance(value, list) else [value]
            if not all(isinstance(item, QueryValue) for item in items):
                raise ValueError(f"'{name}' must be text, a number, true, false, or a list of them")
    return query


class HttpTimeouts(BaseModel):
    """How long an HTTP request may take: altogether, to connect, and between two reads."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    total: Annotated[Timeout, Field(description="The whole request, redirects included.")] = (
        parse_duration("30s")
    )
    connect: Annotated[Timeout, Field(description="Until a connection stands.")] = parse_duration(
        "5s"
    )
    read: Annotated[Timeout, Field(description="Between two pieces of the response.")] = (
        parse_duration("30s")
    )


class HttpRequestAction(ActionDefinition):
    """Sends an HTTP request. A status below 400 completes the action.

    `${secret:NAME}` in `url`, `headers` and `body` stands for the environment
    variable `SECRET_NAME` of the runner, read when the action runs.
    """

    type: Literal["http-request"]
    url: Annotated[
        str,
        AfterValidator(_check_url),
        Field(
            max_length=8_192,
            examples=["https://example.com/hook"],
            description="`http` or `https`, with a host.",
        ),
    ]
    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        BeforeValidator(_upper),
        Field(description="In capital letters or small ones."),
    ] = "GET"
    headers: Annotated[
        dict[str, str],
        AfterValidator(_check_headers),
        Field(
            default_factory=dict,
            description=f"At most {MAX_HEADERS}. `Idempotency-Key` is added.",
        ),
    ]
    query: Annotated[
        dict[str, QueryValue | list[QueryValue]],
        BeforeValidator(_check_query),
        Field(
            max_length=64,
            default_factory=dict,
            description="Added to the URL; a list gives the parameter several times.",
        ),
    ]
    body: Annotated[
        JsonValue, Field(description="A string is sent as it is; anything else as JSON.")
    ] = None
    timeouts: Annotated[
        HttpTimeouts,
        Field(description="Of the request; `timeout` bounds the attempt as a whole."),
    ] = HttpTimeouts()
    follow_redirects: Annotated[
        int, Field(ge=0, le=10, strict=True, description="How many redirects to follow at most.")
    ] = 5


class DelayAction(ActionDefinition):
    """Waits, for seconds or for months, without holding a runner.

    Its output is `{"until": instant}`.
    """

    type: Literal["delay"]
    duration: Annotated[Duration | None, Field(description="How long to wait.")] = None
    until: Annotated[AwareDatetime | None, Field(description="The instant to wait for.")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.duration is None) is (self.until is None):
            raise ValueError("must have either 'duration' or 'until'")
        return self


class TransformAction(ActionDefinition):
    """Computes a value from expressions; the value is its output."""

    type: Literal["transform"]
    value: Annotated[
        JsonValue,
        Field(
            examples=["${ actions.fetch.output.items.filter(i, i.price > 10) }"],
            description="The value, usually of expressions.",
        ),
    ]


class FailAction(ActionDefinition):
    """Fails, on purpose, with a message."""

    type: Literal["fail"]
    message: Annotated[
        str, Field(min_length=1, max_length=MAX_MESSAGE, description="What the error says.")
    ] = "failed on purpose"
    category: Annotated[
        Literal["transient", "recoverable", "permanent"],
        Field(description="Whether, and how, it is retried."),
    ] = "permanent"


LOG: Final = ActionSpec(LogAction, Effect.PURE)
HTTP_REQUEST: Final = ActionSpec(HttpRequestAction)
DELAY: Final = ActionSpec(DelayAction, Effect.PURE)
TRANSFORM: Final = ActionSpec(TransformAction, Effect.PURE)
FAIL: Final = ActionSpec(FailAction, Effect.PURE)
MONGODB: Final = ActionSpec(MongodbAction)
KAFKA_PUBLISH: Final = ActionSpec(KafkaPublishAction)
BUILT_IN_ACTIONS: Final = (
    LOG,
    HTTP_REQUEST,
    DELAY,
    TRANSFORM,
    FAIL,
    MONGODB,
    KAFKA_PUBLISH,
)
