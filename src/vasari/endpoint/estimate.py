"""How many tokens a request will have, before anybody has counted them."""

from __future__ import annotations

from vasari.endpoint.request import Request
from vasari.endpoint.response import Response

BYTES_A_TOKEN = 3.0
"""UTF-8 bytes; English has about 4, mathematics and other scripts fewer."""

TOKENS_A_MESSAGE = 8
"""Role and separators."""

MOST_TOKENS_A_MESSAGE = 32
"""What a chat template may add to a message."""

UNLIMITED_TOKENS = 32_768
"""What an answer without a limit is taken to have, at most; a budget then rests on it."""


def most_output_tokens(request: Request) -> int:
    """Output tokens at most."""
    return request.sampling.max_tokens or UNLIMITED_TOKENS


class TokenEstimate:
    """Tokens of a request to come, corrected by what the server said of those before."""

    def __init__(self, *, image_tokens: int) -> None:
        self._image_tokens = image_tokens
        self._guessed = self._counted = 0.0
        self._outputs = self._answers = 0
        self._seconds = 0.0

    def raw_input_tokens(self, request: Request) -> float:
        """Input tokens by rule of thumb: bytes, messages and images."""
        fixed = TOKENS_A_MESSAGE * len(request.messages) + self._image_tokens * len(request.images)
        return request.text_bytes / BYTES_A_TOKEN + fixed

    def most_input_tokens(self, request: Request) -> int:
        """Input tokens at most: no token is shorter than a byte. Holds as far as `image_tokens`
        does.
        """
        fixed = MOST_TOKENS_A_MESSAGE * len(request.messages) + self._image_tokens * len(
            request.images
        )
        return max(request.text_bytes + fixed, self.input_tokens(request))

    def learn(self, request: Request, response: Response, *, seconds: float) -> None:
        """Take the server's counts into account; a server that gives none leaves the rule of
        thumb.
        """
        if response.input_tokens:
            self._guessed += self.raw_input_tokens(request)
            self._counted += response.input_tokens
        if response.output_tokens:
            self._outputs += response.output_tokens
            self._answers += 1
            self._seconds += seconds

    @property
    def input_ratio(self) -> float:
        """Input tokens that the server counted, by those that the rule of thumb gives."""
        return self._counted / self._guessed if self._guessed else 1.0

    def input_tokens(self, request: Request) -> int:
        """Input tokens to expect."""
        return max(1, round(self.raw_input_tokens(request) * self.input_ratio))

    def output_tokens(self, request: Request) -> int:
        """Output tokens to expect."""
        return self.output_tokens_within(most_output_tokens(request))

    def output_tokens_within(self, limit: int) -> int:
        """Output tokens to expect under a limit: the mean so far; before any answer, the limit."""
        return min(limit, -(-self._outputs // self._answers)) if self._answers else limit

    @property
    def seconds(self) -> float | None:
        """Mean time of an answer; None before any."""
        return self._seconds / self._answers if self._answers else None
