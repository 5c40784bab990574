"""The base of what the HTTP API returns."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class View(BaseModel):
    """Base of everything the API returns: camelCase, nothing that is null."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)
