"""Service models out of botocore, made into shapes: only of the operations asked for, and only once. The rest is let go.

botocore is imported here and nowhere else, at the first request to a service: a server nobody asks in
AWS's language never loads it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from portway.api.aws.wire.shapes import (
    LIST_ITEM,
    MAP_KEY,
    MAP_VALUE,
    ErrorModel,
    Kind,
    OperationModel,
    ServiceModel,
    Shape,
)

_KINDS = {"double": Kind.FLOAT, "character": Kind.STRING, "short": Kind.INTEGER, "byte": Kind.INTEGER}  # fmt: skip


@cache
def load_model(service: str, operations: frozenset[str]) -> ServiceModel:
    """The model of a service by botocore's name, with the named operations. Takes up to half a second, once."""
    model = _botocore_model(service)
    metadata: Mapping[str, Any] = model.metadata
    maker = _ShapeMaker()
    unknown = operations - set(model.operation_names)
    assert not unknown, f"{service} has no {sorted(unknown)}"
    return ServiceModel(
        name=service,
        operations={
            name: _operation(model.operation_model(name), maker) for name in sorted(operations)
        },
        known=frozenset(model.operation_names),
        errors=_errors(model.error_shapes),
        api_version=str(metadata.get("apiVersion", "")),
        xml_namespace=str(metadata.get("xmlNamespace", "")),
        json_version=str(metadata.get("jsonVersion", "1.1")),
        target_prefix=str(metadata.get("targetPrefix", "")),
        signing_name=str(metadata.get("signingName") or metadata.get("endpointPrefix", "")),
    )


def _botocore_model(service: str) -> Any:
    import botocore
    from botocore.loaders import Loader
    from botocore.model import ServiceModel as BotocoreModel

    # Without the default paths: what a user keeps in ~/.aws/models is not what AWS answers with.
    data = Path(botocore.__file__).parent / "data"
    loader = Loader(extra_search_paths=[str(data)], include_default_search_paths=False)
    return BotocoreModel(loader.load_service_model(service, "service-2"), service)


def _operation(model: Any, maker: _ShapeMaker) -> OperationModel:
    return OperationModel(
        name=model.name,
        input=maker.shape(model.input_shape) if model.input_shape else None,
        output=maker.shape(model.output_shape) if model.output_shape else None,
    )


def _errors(shapes: Iterable[Any]) -> Mapping[str, ErrorModel]:
    errors: dict[str, ErrorModel] = {}
    for shape in shapes:
        told: Mapping[str, Any] = shape.metadata.get("error", {})
        code = str(told.get("code") or shape.name)
        fault = bool(shape.metadata.get("fault"))
        status = int(told.get("httpStatusCode", 500 if fault else 400))
        found = ErrorModel(shape=shape.name, code=code, status=status, sender_fault=status < 500)
        errors.setdefault(code, found)
        errors[shape.name] = found
    return errors


class _ShapeMaker:
    """Each type once, so that a model is a graph and a type that holds itself ends."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Shape] = {}

    def shape(self, model: Any) -> Shape:
        """A botocore shape as ours."""
        traits: Mapping[str, Any] = model.serialization
        key = (model.name, *sorted((name, str(value)) for name, value in traits.items()))
        if key in self._made:
            return self._made[key]
        made = self._made[key] = _bare(model, traits)
        for name, member in _members(model, made.kind).items():
            made.members[name] = self.shape(member)
        return made


def _bare(model: Any, traits: Mapping[str, Any]) -> Shape:
    said: Mapping[str, Any] = model.metadata
    kind = _KINDS.get(model.type_name) or Kind(model.type_name)
    return Shape(
        name=model.name,
        kind=kind,
        required=tuple(getattr(model, "required_members", ())),
        least=said.get("min"),
        most=said.get("max"),
        pattern=_pattern(said.get("pattern")),
        enum=tuple(getattr(model, "enum", ())),
        wire_name=str(traits.get("name", "")),
        query_name=str(traits.get("queryName", "")),
        flattened=bool(traits.get("flattened")),
        timestamp_format=str(traits.get("timestampFormat", "")).lower(),
        result_wrapper=str(traits.get("resultWrapper", "")),
        sensitive=bool(said.get("sensitive")),
    )


def _members(model: Any, kind: Kind) -> Mapping[str, Any]:
    if kind is Kind.STRUCTURE:
        return model.members
    if kind is Kind.LIST:
        return {LIST_ITEM: model.member}
    if kind is Kind.MAP:
        return {MAP_KEY: model.key, MAP_VALUE: model.value}
    return {}


def _pattern(text: str | None) -> re.Pattern[str] | None:
    """AWS writes Java's patterns; the few that Python does not read are left to the operation."""
    if not text:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(text)
    except (re.error, Warning):
        return None
