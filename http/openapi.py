"""The OpenAPI document, made by quart-schema from the routes themselves and served at `/api/openapi.json` (SPEC 3).

`answers` says on each route what it takes and everything it can answer; the tests hold the document to it. It is built
once, at the first request. No page that draws it is served: those load scripts from other people's servers.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

import msgspec
from pydantic import BaseModel
from quart import Blueprint, Quart, Response, current_app
from quart_schema import QuartSchema, document_querystring, document_request, document_response
from quart_schema.openapi import Info, OpenAPIProvider
from quart_schema.validation import DataSource

from omnisonic import __version__
from omnisonic.http.answers import JSON_TYPE, ApiDocument, Problem

ALWAYS: Final = (400, 421, 500)
"""What any request can be answered: misframed, for another host, and our own failure."""

DESCRIPTIONS: Final[Mapping[int, str]] = {
    400: "The request is malformed: its framing, its JSON, or a value, which the code names.",
    401: "Rooms here are entered with a ticket (`ticket_required`).",
    403: "A page from that origin may not do this (`foreign_origin`).",
    408: "The body did not arrive in time (`request_timeout`).",
    413: "The body is too large (`payload_too_large`).",
    415: "The body is not `application/json` (`unsupported_media_type`).",
    421: "This server does not answer to that `Host` (`wrong_host`).",
    500: "Our own failure (`internal`).",
    503: "Something that this server needs does not answer now (`unavailable`).",
}
REQUEST_ID_HEADER: Final = {
    "X-Request-Id": {
        "description": "The id of this request, which is also its trace id.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
}
RETRY_HEADER: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}

_CONTROLS: Final = "\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
_SPACES: Final = "\\u0020\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000"

_Route = TypeVar("_Route", bound=Callable[..., Any])


def name_schema(longest: int) -> dict[str, Any]:
    """The JSON Schema of what `omnisonic.models.checked_name` lets through."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "pattern": f"^[^{_CONTROLS}]*[^{_CONTROLS}{_SPACES}][^{_CONTROLS}]*$",
        "description": "Not blank; no control characters, bidirectional controls or lone surrogates.",
    }


def answers(
    success: type[msgspec.Struct],
    *statuses: int,
    problems: Mapping[int, type[msgspec.Struct]] | None = None,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
) -> Callable[[_Route], _Route]:
    """Say what a route takes, what it answers with 200, and the statuses it can answer besides those of any route.

    `problems` names the shape of those that are not plain `Problem`s.
    """

    def decorate(route: _Route) -> _Route:
        shapes: dict[int, type[msgspec.Struct]] = {200: success}
        shapes |= dict.fromkeys(sorted({*ALWAYS, *statuses}), Problem)
        shapes |= problems or {}
        for status, shape in sorted(shapes.items()):
            route = document_response(cast("Any", shape), status)(route)
        if query is not None:
            route = document_querystring(cast("Any", query))(route)
        if body is not None:
            route = document_request(cast("Any", body), source=DataSource.JSON)(route)
        return route

    return decorate


class Document(OpenAPIProvider):
    """quart-schema's provider, made to tell the whole truth.

    Bodies and parameters are required, answers are msgspec structs whose every property is always there, and each
    answer names its headers.
    """

    def build_paths(self, rule: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        paths, components = super().build_paths(rule)
        for operations in paths.values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    response["headers"] = REQUEST_ID_HEADER | (RETRY_HEADER if status in (429, 503) else {})
                    response["description"] = DESCRIPTIONS.get(status, response["description"])
        return paths, components

    def build_querystring_parameters(self, model: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        parameters, components = super().build_querystring_parameters(model)
        required = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
        return [parameter | {"required": parameter["name"] in required} for parameter in parameters], components

    def build_request_body(self, model: Any, source: DataSource) -> tuple[dict[str, Any], dict[str, Any]]:
        body, components = super().build_request_body(model, source)
        return body | {"required": True}, components

    def build_response_object(
        self,
        model: Any,
        headers_model: Any,  # noqa: ARG002 - the signature is quart-schema's
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        (schema,), components = msgspec.json.schema_components([model], ref_template="#/components/schemas/{name}")
        for component in components.values():
            component["required"] = list(component.get("properties", ()))
            for described in component.get("properties", {}).values():
                described.pop("default", None)
        description = components[model.__name__].get("description", "")
        return {"content": {JSON_TYPE: {"schema": schema}}, "description": description}, components


def document(app: Quart) -> None:
    """Serve the document of `app`. Call it when the routes are there."""
    schema = QuartSchema(
        app,
        openapi_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        swagger_ui_path=None,
        info=Info("Omnisonic Studio", __version__, description="Realtime rooms for musicians."),
        conversion_preference="pydantic",
        openapi_provider_class=Document,
    )
    built: list[bytes] = []

    routes = Blueprint("openapi", __name__)

    @routes.get("/api/openapi.json")
    @answers(ApiDocument)
    async def openapi() -> Response:
        """Describe this API."""
        if not built:
            built.append(current_app.json.dumps(schema.openapi_provider.schema()).encode())
        return Response(built[0], content_type=JSON_TYPE)

    app.register_blueprint(routes)
