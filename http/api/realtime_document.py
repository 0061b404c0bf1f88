"""`/api/asyncapi.json`: the realtime protocol, described for programs (SPEC 5; `omnisonic.wire.asyncapi`)."""

from typing import Final

from quart import Blueprint, Response, request

from omnisonic.http.api.rooms import GatewayAddress
from omnisonic.http.core.openapi import answers
from omnisonic.http.core.responses import RealtimeDocument, answer_encoded, encoded
from omnisonic.wire.asyncapi import asyncapi_document

ADDRESS: Final = "/api/asyncapi.json"


class RealtimeReference:
    """The route. `gateway` is where browsers find the gateway."""

    def __init__(self, gateway: GatewayAddress) -> None:
        self._gateway = gateway

    def blueprint(self) -> Blueprint:
        routes = Blueprint("realtime_document", __name__)
        routes.get(ADDRESS)(self.asyncapi)
        return routes

    @answers(RealtimeDocument)
    async def asyncapi(self) -> Response:
        """Describe what goes over the WebSocket."""
        return answer_encoded(encoded(asyncapi_document(self._gateway.address(request.host))))
