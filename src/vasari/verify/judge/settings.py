"""Settings of an LLM judge: model, format of prompt and reply, how much text the judge is shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vasari.core.errors import ConfigError, DataError
from vasari.core.settings import Settings, parse_settings, read_yaml
from vasari.endpoint import EndpointSettings, Sampling

FormatName = Literal["vasari", "compass_verifier", "xverify"]

MAX_TEMPLATE_CHARS = 50_000

_NEEDED = ("{answer}", "{response}")


class JudgeSettings(Settings):
    """Settings of an LLM judge, a model that compares an answer with its reference."""

    endpoint: EndpointSettings
    """The server, its limits, prices and budget."""
    model: Annotated[str, Field(min_length=1)]
    """Name of the model at the server."""
    format: FormatName = "vasari"
    """Prompt and labels: `vasari` for any instructed model, `compass_verifier` and `xverify` for
    the models of these names."""
    template: str | None = None
    """A prompt in the place of the format's own, with `{question}`, `{answer}`, `{response}` (and
    `{code}` for `vasari`); the format still reads the reply."""
    temperature: Annotated[float, Field(ge=0)] | None = 0.0
    seed: int | None = 0
    max_tokens: Annotated[int, Field(ge=1)] = 1024
    """Tokens of a reply, at most; a judge that thinks first needs many. Raising it asks those again
    whose reply was cut."""
    extra: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of the request, e.g. `chat_template_kwargs`."""
    num_replies: Annotated[int, Field(ge=1, le=8)] = 2
    """Replies drawn at most until one can be read."""
    max_question_chars: Annotated[int, Field(ge=100)] = 4000
    """A longer question loses its middle."""
    max_reference_chars: Annotated[int, Field(ge=1)] = 4000
    """An output with a longer reference is not judged: half a reference is another one."""
    max_response_chars: Annotated[int, Field(ge=50)] = 2000
    """Characters that are shown of a response, from its end."""
    store: Path | None = None
    """Folder of stored replies, to share it between runs; None: beside the results."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            self.sampling()
        except DataError as error:
            raise ValueError(str(error)) from error
        if self.template is None:
            return self
        if len(self.template) > MAX_TEMPLATE_CHARS:
            raise ValueError(f"template has more than {MAX_TEMPLATE_CHARS} characters")
        needed = (*_NEEDED, "{code}") if self.format == "vasari" else _NEEDED
        missing = [name for name in needed if name not in self.template]
        if missing:
            raise ValueError(
                f"template lacks {', '.join(missing)}, which format {self.format} needs"
            )
        return self

    def sampling(self) -> Sampling:
        """Return the sampling parameters (temperature, token limit) for the LLM judge's replies."""
        return Sampling(
            temperature=self.temperature, max_tokens=self.max_tokens, extra=dict(self.extra)
        )

    def identity(self) -> dict[str, Any]:
        """Return the judge settings that can change a verdict, as a dict that JSON can hold."""
        return self.model_dump(mode="json", exclude={"endpoint", "store", "max_tokens"})


def load_judge(path: Path) -> JudgeSettings:
    """Return an LLM judge's settings, read from a YAML file and checked.

    `store` and `template_file` in it are relative to the file's folder.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is out of range;
            names each.
    """
    content = read_yaml(path, what="judge")
    if (name := content.pop("template_file", None)) is not None:
        if "template" in content or not isinstance(name, str):
            raise ConfigError(
                f"judge {path}: give template_file, the name of a file, or template, not both"
            )
        content["template"] = _read_template(path.parent / name, path)
    if isinstance(content.get("store"), str):
        content["store"] = path.parent / content["store"]
    return parse_settings(JudgeSettings, content, where=f"judge {path}", show_values=False)


def _read_template(file: Path, path: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"judge {path}: template_file {file}: {error}") from error
