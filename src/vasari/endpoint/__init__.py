"""Requests to an OpenAI-compatible server, with retries, rate limits, a budget and a store.

Requests are plain records, and their answers are kept under a hash of what was asked:

* a judge asks for one answer to each undecided verdict: `ask_all(settings, store, requests)`;
* an evaluation asks for N answers a prompt: `ask_all(..., num_responses=N)`; another run finds
  them in the store;
* grading asks until a pass rate is known well enough: `ask_all(..., num_responses=N, decided=...)`;
* code with an event loop of its own uses `Client`, with `ask` for one request and `stream` for
  many.

`forecast` estimates the cost and time of a run; `write_batch` and `read_batch` use providers' batch
files instead. Needs `pip install 'vasari[curate]'`.
"""

from vasari.core.errors import MissingExtraError

try:  # named here once, so that every way into the package says the same
    import aiohttp as _aiohttp  # noqa: F401
    import orjson as _orjson  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        f"asking an endpoint needs {error.name}: pip install 'vasari[curate]'"
    ) from error

from vasari.endpoint.batch import BatchFiles, BatchResults, read_batch, write_batch
from vasari.endpoint.client import Answers, Asked, Client, Decided, RunReport, ask_all
from vasari.endpoint.cost import Price, Usage
from vasari.endpoint.forecast import Forecast, forecast
from vasari.endpoint.images import image_part
from vasari.endpoint.limits import RateLimits
from vasari.endpoint.request import Image, Message, Request, Sampling, user_message
from vasari.endpoint.response import FAILURE_REASONS, RETRIABLE, TRANSIENT, Failure, Response
from vasari.endpoint.settings import EndpointSettings
from vasari.endpoint.store import ResponseStore, StoreHealth, write_dead_letters

__all__ = [
    "Answers",
    "Asked",
    "BatchFiles",
    "BatchResults",
    "Client",
    "Decided",
    "EndpointSettings",
    "FAILURE_REASONS",
    "Failure",
    "Forecast",
    "Image",
    "Message",
    "Price",
    "RETRIABLE",
    "RateLimits",
    "Request",
    "Response",
    "ResponseStore",
    "RunReport",
    "Sampling",
    "StoreHealth",
    "TRANSIENT",
    "Usage",
    "ask_all",
    "forecast",
    "image_part",
    "read_batch",
    "user_message",
    "write_batch",
    "write_dead_letters",
]
