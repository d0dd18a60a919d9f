"""A policy that asks an OpenAI-compatible server and stores every answer on disk.

No answer is bought twice, and a prompt's reference answer is never sent.
"""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from PIL import Image as Picture
from pydantic import AfterValidator, Field

from vasari.core.errors import DataError, ImageError, StateError
from vasari.core.progress import Tell, silent
from vasari.core.records import ImageRef, Prompt, Rollout
from vasari.data.images import check_header, open_image
from vasari.endpoint import (
    Answers,
    EndpointSettings,
    Failure,
    Forecast,
    Image,
    Message,
    RateLimits,
    Request,
    Response,
    ResponseStore,
    RunReport,
    Sampling,
    ask_all,
    forecast,
    image_part,
    user_message,
)
from vasari.endpoint.request import checked_extra, hashed_seed
from vasari.model.base import Decoding, Images
from vasari.model.chat import chat_messages
from vasari.model.scripted import scripted_rollout


class EndpointModel(EndpointSettings):
    """Settings of a model behind an OpenAI-compatible server, as written in a recipe."""

    model: Annotated[str, Field(min_length=1)]
    """Name of the model at the server."""
    send_seed: bool = True
    """Whether requests carry a seed; some servers refuse one."""
    send_sampling: bool = True
    """Whether requests carry temperature and top-p; reasoning models of some providers refuse
    them."""
    detail: Literal["low", "high", "auto"] | None = None
    """OpenAI's detail of images; None leaves it to the server."""
    extra: Annotated[Mapping[str, Any], AfterValidator(checked_extra)] = Field(default_factory=dict)
    """Further fields of every request, such as `top_k` or `chat_template_kwargs`."""
    retry_failed: tuple[str, ...] = ()
    """Reasons whose stored failures are asked again, such as `timeout`."""
    store: str | None = None
    """Folder of stored answers, to share it between runs; None: beside the results."""


Take = Callable[[Answers], None]
"""Function called with the answers to one prompt; `position` is the prompt's index."""


class EndpointPolicy:
    """Policy that draws rollouts from a model behind a server, within rate limits and a budget.

    A request holds the prompt's question, options and images; answer, solution and metadata are
    not sent.

    Args:
        settings: Model, server, limits, prices, budget.
        store: Where answers are kept and looked up; the caller closes it.
        system: System prompt; empty for none.
    """

    def __init__(self, settings: EndpointModel, store: ResponseStore, *, system: str = "") -> None:
        self.settings = settings
        self.store = store
        self.system = system
        self._limits = RateLimits.of(settings)

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, tell: Tell = silent
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each prompt, in the order of the prompts.

        Token ids are those of words, spaces and signs, since a server sends none: good for
        comparing rollouts, not for counting the model's tokens.

        Raises:
            StateError: Some rollouts have no answer; those that came are in the store, and are not
                asked again.
            StorageError: The disk refuses to keep answers.
        """
        groups: list[list[Rollout]] = [[] for _ in prompts]
        failures: list[Failure] = []
        done = 0

        def take(answers: Answers) -> None:
            nonlocal done
            done += 1
            groups[answers.position] = [as_rollout(response) for response in answers.responses]
            failures.extend(answers.failures)
            tell(done, len(prompts))

        report = self.generate_each(prompts, decoding, seed=seed, take=take)
        if failures:
            raise StateError(
                f"{len(failures)} of {len(prompts) * decoding.num_rollouts} rollouts have no answer"
                f" ({_why(failures, report)}); what came is kept, run the same again to ask for the"
                " rest"
            )
        return groups

    def generate_each(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, take: Take
    ) -> RunReport:
        """Call `take` with each prompt's answers as they arrive; return a report on requests.

        A prompt that cannot be sent (a damaged image) is answered by failures; the others go on.

        Raises:
            StorageError: The disk refuses to keep answers.
            ConfigError: The key's variable is not set, or there is a budget and no price for the
                model.
        """
        places: list[int] = []

        def requests() -> Iterator[Request]:
            for place, prompt in enumerate(prompts):
                try:
                    request = self.request(prompt, decoding, seed=seed)
                except DataError as error:
                    take(self._refused(place, prompt, decoding, error))
                    continue
                places.append(place)
                yield request

        return ask_all(
            self.settings,
            self.store,
            requests(),
            num_responses=decoding.num_rollouts,
            retry_failed=self.settings.retry_failed,
            limits=self._limits,
            takes_empty=True,  # an answer of the model that is measured, and a wrong one
            take=lambda answers: take(replace(answers, position=places[answers.position])),
        ).report

    def forecast(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> Forecast:
        """Estimate requests, cost and time of answering prompts; skips unsendable prompts."""

        def requests() -> Iterator[Request]:
            for prompt in prompts:
                try:
                    yield self.request(prompt, decoding, seed=seed)
                except DataError:
                    continue

        return forecast(
            self.settings,
            self.store,
            requests(),
            num_responses=decoding.num_rollouts,
            retry_failed=self.settings.retry_failed,
        )

    def request(self, prompt: Prompt, decoding: Decoding, *, seed: int) -> Request:
        """Return the request that asks the server for rollouts of a prompt.

        Raises:
            DataError: Its question marks another number of images than it has.
            ImageError: An image cannot be read.
        """
        messages = request_messages(
            prompt,
            system=self.system,
            with_images=decoding.images != "removed",
            image=lambda ref: self._image(ref, decoding.images, f"prompt {prompt.id!r}"),
        )
        sent = self.settings.send_sampling
        sampling = Sampling(
            # Both, always: without them a server may use the model's own defaults (vLLM does).
            temperature=decoding.temperature if sent else None,
            top_p=decoding.top_p if sent else None,
            max_tokens=decoding.max_tokens,
            extra=dict(self.settings.extra),
        )
        return Request(
            model=self.settings.model,
            messages=messages,
            sampling=sampling,
            seed=_seed_of(prompt, decoding, seed) if self.settings.send_seed else None,
            id=prompt.id,
        )

    def _image(self, ref: ImageRef, shown: Images, where: str) -> Image:
        detail = self.settings.detail
        if shown == "blank":
            ref = ImageRef(data=_white_page(*check_header(ref, where=where)))
        try:
            return image_part(ref, detail=detail, where=where)
        except ImageError:
            # BMP, for one, is a format that we read and servers do not take. A damaged image fails
            # here again.
            png = _png(open_image(ref, where=where))
            return image_part(ImageRef(data=png), detail=detail, where=where)

    def _refused(self, place: int, prompt: Prompt, decoding: Decoding, error: DataError) -> Answers:
        failures = tuple(
            Failure.of_error(error, request_id=prompt.id, index=index)
            for index in range(decoding.num_rollouts)
        )
        empty = Request(model=self.settings.model, messages=(user_message(""),), id=prompt.id)
        return Answers(request=empty, position=place, failures=failures)


def request_messages(
    prompt: Prompt, *, system: str, with_images: bool, image: Callable[[ImageRef], Image]
) -> tuple[Message, ...]:
    """Return a prompt's chat messages for a server; `image` converts each image to a message part.

    Raises:
        DataError: The question marks another number of images than the prompt has.
    """
    refs = iter(prompt.images)
    return tuple(
        Message(
            role=turn["role"],
            parts=tuple(
                part["text"] if part["type"] == "text" else image(next(refs))
                for part in turn["content"]
            ),
        )
        for turn in chat_messages(prompt, system=system, with_images=with_images)
    )


def as_rollout(response: Response) -> Rollout:
    """Convert a server's answer to a rollout, with a token id for each word, sign and space."""
    rollout = scripted_rollout(response.text, max_tokens=len(response.text) + 1)
    tokens = rollout.token_ids[:-1] if response.truncated else rollout.token_ids
    return replace(rollout, token_ids=tokens, truncated=response.truncated)


def _seed_of(prompt: Prompt, decoding: Decoding, seed: int) -> int:
    """A seed for this prompt, so that two prompts that ask the same get different rollouts.

    Greedy decoding gives them one answer, so they share one seed.
    """
    if decoding.temperature == 0:
        return seed
    return hashed_seed(f"{seed} {prompt.id}")


def _why(failures: Sequence[Failure], report: RunReport) -> str:
    counts = Counter(failure.reason for failure in failures)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    detail = next((failure.detail for failure in failures if failure.detail), "")
    return "; ".join(part for part in (report.stopped_by, reasons, detail[:200]) if part)


@functools.lru_cache(maxsize=64)
def _white_page(width: int, height: int) -> bytes:
    return _png(Picture.new("RGB", (width, height), "white"))


def _png(image: Picture.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
