"""The asyncio thread that some of these tests share."""

from tests.stores.conftest import thread as thread
