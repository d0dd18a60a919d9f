"""Checks of prompts that need no model: licence, question, reference, images."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vasari.core.errors import ImageError
from vasari.core.records import ImageRef, Outcome, Prompt
from vasari.curate.choose.marks import marks_reason
from vasari.curate.match.image_hash import hash_thumbnails, thumbnail
from vasari.curate.recipe import CheckSettings
from vasari.curate.run.rows import ImageFacts
from vasari.curate.stage import Reason, StageResult, sort_out
from vasari.data.images import open_image, read_image_bytes
from vasari.verify import verify

_REMEMBERED = 100_000
"""Number of images whose checks a process remembers between shards, 300 bytes each."""


@dataclass
class Checker:
    """Checks prompts by rules, without a model, and remembers which images it has checked."""

    settings: CheckSettings
    facts: dict[str, ImageFacts] = field(default_factory=dict)
    """Digest and hash of each image of the last shard that was checked, by path."""
    _looks: OrderedDict[str, ImageFacts | Reason] = field(default_factory=OrderedDict)

    def check(self, prompts: Sequence[Prompt]) -> StageResult:
        """Keep the prompts that pass all checks; drop others, with the first check each fails."""
        self.facts = {}
        return sort_out(
            prompts,
            lambda _, prompt: (
                self._licence(prompt)
                or self._question(prompt)
                or self._reference(prompt)
                or self._images(prompt)
                or prompt
            ),
        )

    def _licence(self, prompt: Prompt) -> Reason | None:
        licence = str(prompt.metadata.get("licence", "none stated"))
        wanted, unwanted = self.settings.licences, self.settings.not_licences
        if wanted and not any(_matches(licence, pattern) for pattern in wanted):
            return "licence_not_wanted", f"{licence!r} matches none of {wanted}"
        hit = next((pattern for pattern in unwanted if _matches(licence, pattern)), None)
        return None if hit is None else ("licence_not_wanted", f"{licence!r} matches {hit!r}")

    def _question(self, prompt: Prompt) -> Reason | None:
        if len(prompt.question) > self.settings.max_question_chars:
            return (
                "question_too_long",
                f"{len(prompt.question):,} characters of {self.settings.max_question_chars:,}",
            )
        return marks_reason(prompt)

    def _reference(self, prompt: Prompt) -> Reason | None:
        if not self.settings.self_verifying:
            return None
        verdict = verify(f"\\boxed{{{prompt.answer}}}", prompt)
        if verdict.outcome is Outcome.CORRECT:
            return None
        why = (
            verdict.reason
            or f"read as {verdict.extraction!r} and judged {verdict.outcome.value}"
            f" by {verdict.decided_by!r}"
        )
        return "reference_not_verifiable", f"{prompt.answer[:80]!r}: {why}"

    def _images(self, prompt: Prompt) -> Reason | None:
        if len(prompt.images) > self.settings.max_images:
            return "too_many_images", f"{len(prompt.images)} of at most {self.settings.max_images}"
        for place, ref in enumerate(prompt.images, start=1):
            found = self._look(ref, f"image {place}")
            if not isinstance(found, ImageFacts):
                return found
            self.facts[str(ref.path)] = found
        return None

    def _look(self, ref: ImageRef, where: str) -> ImageFacts | Reason:
        """Digest and hash of an image, or why it is refused; equal bytes are decoded once."""
        try:
            data = read_image_bytes(ref, where=where, max_bytes=self.settings.max_image_bytes)
        except ImageError as error:
            return "image_unreadable", str(error)
        digest = hashlib.sha256(data).hexdigest()
        known = self._looks.get(digest)
        if known is None:
            known = self._looks[digest] = self._first_look(data, digest, where)
            if len(self._looks) > _REMEMBERED:
                self._looks.popitem(last=False)
        return known

    def _first_look(self, data: bytes, digest: str, where: str) -> ImageFacts | Reason:
        try:
            image = open_image(
                ImageRef(data=data), where=where, max_pixels=self.settings.max_pixels
            )
        except ImageError as error:
            return "image_unreadable", str(error)
        if min(image.size) < self.settings.min_side:
            return "image_too_small", f"{where}: {image.size[0]} x {image.size[1]} pixels"
        code = hash_thumbnails([thumbnail(image)])[0]
        return ImageFacts(digest=digest, hash=np.ascontiguousarray(code).tobytes())


def _matches(licence: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(licence.casefold(), pattern.casefold())
