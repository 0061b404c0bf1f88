"""The OpenAPI document, built by quart-schema from the routes and served at `/api/openapi.json` (SPEC 3).

`describe_route` declares on each route what it takes and all that it can respond with; tests compare the document with
real responses. It is built once, at the first request. No page that renders it is served: such pages load scripts from
other servers.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

import msgspec
import msgspec.structs
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from quart import Blueprint, Quart, Response, current_app
from quart_schema import (
    QuartSchema,
    document_headers,
    document_querystring,
    document_request,
    document_response,
    security_scheme,
)
from quart_schema.openapi import APIKeySecurityScheme, HttpSecurityScheme, Info, OpenAPIProvider
from quart_schema.validation import DataSource

from omnisonic import __version__
from omnisonic.http.core import openapi_schemas
from omnisonic.http.core.responses import JSON_TYPE, ApiDocument, Problem

ALWAYS: Final = (400, 421, 429, 500)
"""Statuses of any route: malformed, for another host, too many requests, our own failure."""

DESCRIPTIONS: Final[Mapping[int, str]] = {
    400: "The request is malformed: its framing, its JSON, or a value, which the code names.",
    401: "Nobody is signed in (`sign_in_required`), or what was shown instead is wrong.",
    403: "A page from that origin may not do this (`foreign_origin`), or only the owner may (`owner_only`).",
    404: "There is nothing there, or nothing that is shared with the caller.",
    408: "The body did not arrive in time (`request_timeout`).",
    409: "Not possible in the current state: the code says why.",
    410: "The link has expired, or was revoked (`share_over`).",
    412: "Another version of the protocol is wanted (`unsupported_tus_version`).",
    413: "The body is too large, or the storage quota is used up: the code says which.",
    415: "The body is of a type that is not taken here (`unsupported_media_type`).",
    421: "This server does not answer to that `Host` (`wrong_host`).",
    460: "What arrived is not what was sent (`checksum_mismatch`).",
    416: "The file has no such bytes (`range_not_satisfiable`).",
    429: "Too many requests, or too much at once: the code says which.",
    500: "Our own failure (`internal`).",
    507: "There is no room left (`storage_full`).",
    503: "Something that this server needs does not answer now (`unavailable`).",
}
REQUEST_ID_HEADER: Final = {
    "X-Request-Id": {
        "description": "The id of this request, which is also its trace id.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
}
RETRY_HEADER: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}

LOCATION_HEADER: Final = {"Location": {"description": "Where to go on.", "schema": {"type": "string"}}}

Security: TypeAlias = Sequence[Mapping[str, Sequence[str]]]

COOKIE: Final[Security] = [{"cookie": []}]
"""Signed in."""
COOKIE_IF_ANY: Final[Security] = [{}, {"cookie": []}]
"""Signed in, where rooms are entered with tickets."""
COOKIE_OR_BEARER: Final[Security] = [{"cookie": []}, {"operator": []}]
"""Signed in, or with a server key or the operator's token."""
COOKIE_OR_TICKET: Final[Security] = [{}, {"cookie": []}, {"ticket": []}]
"""Signed in, or with a ticket; neither, in an open room."""


_FORM: Final = "_omnisonic_form"
"""Attribute of a route: the shape of the form that it takes besides JSON."""
_MULTIPART: Final = "_omnisonic_multipart"
"""Attribute of a route: the schema of the form with files that it takes."""
_OCTETS: Final = "_omnisonic_octets"
"""Attribute of a route: the media type of the bytes that it takes."""
_OTHER_BODIES: Final = "_omnisonic_other_bodies"
"""Attribute of a route: the media types that it takes besides JSON."""
_FILES: Final = "_omnisonic_files"
"""Attribute of a route: the media types of the file, or the stream, that it responds with."""
_FILE_ANSWERS: Final[Mapping[int, str]] = {
    200: "The file, or the stream.",
    206: "The part of the file that was asked for.",
}
_FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_PLAIN_PATH: Final = re.compile("<(?:[^:<>]*:)?([^<>]+)>")

Shapes: TypeAlias = type[msgspec.Struct] | tuple[type[msgspec.Struct] | type[None], ...]
_Route = TypeVar("_Route", bound=Callable[..., Any])


def describe_route(
    success: Shapes | None,
    *statuses: int,
    status: int = 200,
    redirects: Sequence[int] = (),
    bare: Sequence[int] = (),
    problems: Mapping[int, type[msgspec.Struct]] | None = None,
    query: type[BaseModel] | None = None,
    headers: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    multipart: Mapping[str, Any] | None = None,
    octets: str | None = None,
    other_bodies: Sequence[str] = (),
    files: Sequence[str] = (),
    security: Security = (),
) -> Callable[[_Route], _Route]:
    """Declare what a route takes and responds with, for the OpenAPI document.

    Args:
        success: The shape of the response with `status`, or several shapes. None without a body.
        statuses: Further statuses, besides those of any route. Their shape is `Problem`.
        status: The status of success.
        redirects: Statuses of redirects.
        bare: Statuses of responses without JSON.
        problems: Shapes of the errors that are no plain `Problem`, by status.
        query: The shape of the query.
        headers: The shape of the request's headers.
        body: The shape of the JSON body.
        form: The shape of the same body as a form.
        multipart: The JSON Schema of a form with files.
        octets: The media type of a binary body.
        other_bodies: The media types of bodies that it takes besides the JSON body.
        files: The media types of the file, or the stream, that the route responds with. Its statuses are in `bare`.
        security: Who may call it: `COOKIE`, `COOKIE_IF_ANY`, `COOKIE_OR_BEARER`, `COOKIE_OR_TICKET`.
    """

    def decorate(route: _Route) -> _Route:
        shapes: dict[int, Shapes | None] = dict.fromkeys((*redirects, *bare))
        if success is not None:
            shapes[status] = success
        shapes |= dict.fromkeys(sorted({*ALWAYS, *statuses} - shapes.keys()), Problem)
        shapes |= problems or {}
        for each, shape in sorted(shapes.items()):
            route = document_response(cast("Any", shape), each)(route)
        if query is not None:
            route = document_querystring(cast("Any", query))(route)
        if headers is not None:
            route = document_headers(cast("Any", headers))(route)
        if body is not None:
            route = document_request(cast("Any", body), source=DataSource.JSON)(route)
        kept = {_FORM: form, _MULTIPART: multipart, _OCTETS: octets, _OTHER_BODIES: other_bodies, _FILES: files}
        for name, value in kept.items():
            if value:
                setattr(route, name, value)
        if security:
            route = security_scheme(cast("Any", security))(route)
        return route

    return decorate


class StudioOpenAPI(OpenAPIProvider):
    """quart-schema's provider, corrected where it is incomplete.

    A body is required when one of its properties is. Responses are msgspec structs, whose properties are always there
    unless they default to `UNSET`. Each response lists its headers. HEAD is listed where it is a route of its own.
    """

    def schema(self) -> dict[str, Any]:
        schema = super().schema()
        components = schema["components"]
        components["schemas"] = {name: openapi_schemas.plain(each) for name, each in components["schemas"].items()}
        for operations in schema["paths"].values():
            for operation in operations.values():
                _simplify_schemas(operation)
        return schema

    def generate_methods(self, rule: Any) -> Iterable[str]:
        yield from super().generate_methods(rule)
        if "GET" not in rule.methods and "HEAD" in rule.methods:
            yield "HEAD"

    def build_paths(self, rule: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        paths, components = super().build_paths(rule)
        path = _PLAIN_PATH.sub(lambda name: "{" + to_camel(name[1]) + "}", rule.rule)
        (operations,) = paths.values()
        view = self._app.view_functions[rule.endpoint]
        form, multipart = getattr(view, _FORM, None), getattr(view, _MULTIPART, None)
        octets, files = getattr(view, _OCTETS, None), getattr(view, _FILES, ())
        for method, operation in operations.items():
            operation["operationId"] = f"{method}_{rule.endpoint.replace('.', '_')}"
            if form is not None:
                body, _ = super().build_request_body(form, DataSource.FORM)
                operation.setdefault("requestBody", {"content": {}, "required": True})["content"] |= body["content"]
            if multipart is not None:
                operation["requestBody"] = {"content": {"multipart/form-data": {"schema": multipart}}, "required": True}
            if octets is not None:
                operation["requestBody"] = {"content": openapi_schemas.files([octets]), "required": True}
            if other_bodies := getattr(view, _OTHER_BODIES, ()):
                operation["requestBody"]["content"] |= openapi_schemas.files(other_bodies)
            for status in operation["responses"].keys() & _FILE_ANSWERS.keys() if files else ():
                entry = _FILE_ANSWERS[status]
                operation["responses"][status] = {"description": entry, "content": openapi_schemas.files(files)}
            for status, response in operation["responses"].items():
                response["headers"] = REQUEST_ID_HEADER | _response_headers(status)
                response["description"] = DESCRIPTIONS.get(status, response["description"])
        return {path: operations}, components

    def build_path_parameter(self, name: str, converter: Any) -> dict[str, Any]:
        parameter = super().build_path_parameter(to_camel(name), converter)
        return parameter | {"schema": openapi_schemas.PATH_SCHEMAS.get(name, parameter["schema"])}

    def build_querystring_parameters(self, model: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        parameters, components = super().build_querystring_parameters(model)
        required = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
        return [parameter | {"required": parameter["name"] in required} for parameter in parameters], components

    def build_headers_parameters(self, model: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        parameters, components = super().build_headers_parameters(model)
        required = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
        return [parameter | {"required": parameter["name"] in required} for parameter in parameters], components

    def build_request_body(self, model: Any, source: DataSource) -> tuple[dict[str, Any], dict[str, Any]]:
        body, components = super().build_request_body(model, source)
        required = any(field.is_required() for field in model.model_fields.values())
        return body | {"required": required}, components

    def build_response_object(
        self,
        model: Any,
        headers_model: Any,  # noqa: ARG002 - the signature is quart-schema's
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        if model is None:
            return {"description": "No body: all is in the headers."}, {}
        models = model if isinstance(model, tuple) else (model,)
        answers, components = msgspec.json.schema_components(models, ref_template="#/components/schemas/{name}")
        structs = [each for each in models if each is not type(None)]
        optional = openapi_schemas.optional_properties(models)
        for name, component in components.items():
            # A property with a default is always there.
            component["required"] = [each for each in component.get("properties", ()) if each not in optional[name]]
            for entry in component.get("properties", {}).values():
                entry.pop("default", None)
        description = " Or: ".join(components[each.__name__].get("description", "") for each in structs)
        schema = answers[0] if len(answers) == 1 else {"anyOf": list(answers)}
        return {"content": {JSON_TYPE: {"schema": schema}}, "description": description}, components


def _simplify_schemas(operation: dict[str, Any]) -> None:
    """Rewrite each schema of the operation for generators of clients."""
    for each in operation["parameters"]:
        each["schema"] = openapi_schemas.parameter(each["schema"])
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        simplify = openapi_schemas.form if media_type in _FORM_TYPES else openapi_schemas.plain
        content["schema"] = simplify(content["schema"])


def _response_headers(status: int) -> dict[str, Any]:
    if status in (429, 503):
        return RETRY_HEADER
    return LOCATION_HEADER if 300 <= status < 400 else {}


def serve_openapi(app: Quart, *, cookie_name: str) -> None:
    """Serve the document of `app`. Call it after all routes are registered. `cookie_name`: the login cookie."""
    make_response = app.make_response
    schema = QuartSchema(
        app,
        openapi_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        swagger_ui_path=None,
        info=Info("Omnisonic Studio", __version__, description="Realtime rooms for musicians."),
        conversion_preference="pydantic",
        openapi_provider_class=StudioOpenAPI,
        security_schemes={
            "cookie": APIKeySecurityScheme(in_="cookie", name=cookie_name),
            "operator": HttpSecurityScheme("bearer"),
            "ticket": HttpSecurityScheme("bearer"),
        },
    )
    # Routes here return complete responses: quart-schema has nothing to convert.
    app.make_response = make_response  # type: ignore[method-assign]
    built: list[bytes] = []

    routes = Blueprint("openapi", __name__)

    @routes.get("/api/openapi.json")
    @describe_route(ApiDocument)
    async def openapi() -> Response:
        """Get the description of this API, in OpenAPI 3.1."""
        if not built:
            built.append(current_app.json.dumps(schema.openapi_provider.schema()).encode())
        return Response(built[0], content_type=JSON_TYPE)

    app.register_blueprint(routes)
