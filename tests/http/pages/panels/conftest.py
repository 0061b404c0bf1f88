"""As for the tracks: the web on its stores, and a fake gateway."""

from tests.http.pages.timeline.conftest import site as site
from tests.http.pages.timeline.conftest import visit as visit
