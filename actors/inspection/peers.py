"""Inspection among gateways: questions to others, and answers to theirs (SPEC 5.5).

    questions -> what operators here ask about rooms of other gateways      (`PeerQuestions`)
    answers   -> what operators of other gateways ask about rooms of this   (`PeerAnswers`)

Overload, crash and shutdown: see each of them.
"""

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.inspection.peer_answers import PeerAnswers, Serve
from omnisonic.actors.inspection.peer_questions import PeerQuestions
from omnisonic.actors.rooms.registry import Registry
from omnisonic.wire.peer_messages import Answer, Ask


class GatewayPeers:
    """The other gateways, for the inspection of this one. `serve` runs a session. `token` None: nobody inspects."""

    def __init__(self, cluster: Cluster, registry: Registry, serve: Serve, token: str | None) -> None:
        self.answers = PeerAnswers(cluster.links, serve, token)
        self.questions = None if token is None else PeerQuestions(cluster, registry, token)

    def on_ask(self, peer: str, ask: Ask) -> None:
        self.answers.on_ask(peer, ask)

    def on_answer(self, peer: str, answer: Answer) -> None:
        if self.questions is not None:
            self.questions.on_answer(peer, answer)

    def on_reset(self, peer: str) -> None:
        self.answers.on_reset(peer)
        if self.questions is not None:
            self.questions.on_reset(peer)
