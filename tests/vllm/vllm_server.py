"""A double of `vllm serve` 0.31.0 on 127.0.0.1: what TRL 1.16's `VLLMClient` asks of it.

Paths, fields and refusals follow `entrypoints/openai/completion/protocol.py`,
`entrypoints/scale_out/` and `entrypoints/serve/dev/` of vLLM 0.31.0. NCCL is replaced by a folder in
which the trainer puts a file of tensors for each update.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

from PIL import Image
from safetensors.torch import load, load_file, save

_SECONDS = 60.0


class RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class VllmServer:
    """The server: `requests` has what it was asked, `engine` the model that answers.

    Args:
        vllm: The package of the double.
        model: Its folder.
        folder: Where updates of weights arrive.
        dev_mode: Of the environment, `VLLM_SERVER_DEV_MODE=1`.
        weight_transfer: `--weight-transfer-config '{"backend": "nccl"}'`.
        scale_out: `--enable-scale-out`.
        logprobs_mode: `--logprobs-mode`.
    """

    def __init__(
        self,
        vllm: ModuleType,
        model: Path,
        folder: Path,
        *,
        max_model_len: int | None = None,
        dev_mode: bool = True,
        weight_transfer: bool = True,
        scale_out: bool = True,
        logprobs_mode: str = "processed_logprobs",
    ) -> None:
        self.name = str(model)
        self.params = vllm.sampling_params
        self.engine = vllm.small_engine.SmallEngine(self.name, max_model_len=max_model_len)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.drawn: list[list[int]] = []
        self.folder = folder
        self._config = {
            "weight_transfer_config": {"backend": "nccl"} if weight_transfer else None,
            "model_config": {
                "logprobs_mode": logprobs_mode,
                "max_model_len": self.engine.max_model_len,
            },
        }
        self._dev, self._scale_out = dev_mode, scale_out
        self._joined = self._updating = False
        self._num_updates = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, path: str) -> list[dict[str, Any]]:
        """The bodies of all requests to a path."""
        return [body for own, body in self.requests if own == path]

    def _handler(double: VllmServer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def _say(self, answer: Callable[[], Any]) -> None:
                try:
                    status, said = 200, answer()
                except RefusedError as error:
                    status, said = error.status, {"error": {"message": str(error)}}
                except (ValueError, TypeError, KeyError) as error:
                    status, said = 400, {"error": {"message": f"{error}"}}
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self._say(lambda: double.get(urlparse(self.path).path))

            def do_POST(self) -> None:
                read = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(read) if read else {}
                self._say(lambda: double.post(urlparse(self.path).path, body))

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def get(self, path: str) -> Any:
        if path == "/health":
            return {}
        if path == "/v1/models":
            return {"data": [{"id": self.name, "max_model_len": self.engine.max_model_len}]}
        if path == "/server_info" and self._dev:
            return {"vllm_config": self._config}
        if path == "/get_world_size" and self._dev:
            return {"world_size": 1}
        raise RefusedError(404, f"no {path}")

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answers = {"/v1/completions": self._complete}
        if self._scale_out:
            answers |= {
                "/v1/chat/completions/render": self._render,
                "/inference/v1/generate": self._generate,
            }
        if self._dev:
            answers |= {
                "/init_weight_transfer_engine": self._join,
                "/start_weight_update": self._start,
                "/update_weights": self._update,
                "/finish_weight_update": self._finish,
                "/reset_prefix_cache": lambda _: {"success": True},
            }
        if path not in answers:
            raise RefusedError(404, f"no {path}")
        with self._lock:
            self.requests.append((path, body))
            if "model" in body and body["model"] != self.name:
                raise RefusedError(404, f"The model `{body['model']}` does not exist.")
            return answers[path](body)

    # Weights

    def _join(self, body: dict[str, Any]) -> Any:
        if body["init_info"]["world_size"] != 2 or not body["init_info"]["packed"]:
            raise RefusedError(500, "one trainer and one worker, in packed tensors")
        self._joined, self._updating, self._num_updates = True, False, 0
        self.engine.seed(0)  # for each trainer as if it was just started
        for old in self.folder.glob("update-*.safetensors"):
            old.unlink()
        return {"message": "Weight transfer initialized"}

    def _start(self, _: dict[str, Any]) -> Any:
        if not self._joined or self._updating:
            raise RefusedError(500, "not joined, or updating already")
        self._updating = True
        return {"message": "Weight update started"}

    def _update(self, body: dict[str, Any]) -> Any:
        if not self._updating:
            raise RefusedError(500, "no update was started")
        info = body["update_info"]
        path = self.folder / f"update-{self._num_updates}.safetensors"
        until = time.monotonic() + _SECONDS
        while not path.exists():
            if time.monotonic() > until:
                raise RefusedError(500, "the trainer sends nothing")
            time.sleep(0.01)
        self._num_updates += 1
        sent = load_file(path)
        for name, kind, shape in zip(
            info["names"], info["dtype_names"], info["shapes"], strict=True
        ):
            if str(sent[name].dtype) != f"torch.{kind}" or list(sent[name].shape) != shape:
                raise RefusedError(500, f"{name} is not as it was announced")
        self.engine.load_weights([(name, sent[name].float()) for name in info["names"]])
        return {"message": "Weights updated"}

    def _finish(self, _: dict[str, Any]) -> Any:
        self._updating = False
        return {"message": "Weight update finished"}

    # Generation

    def _complete(self, body: dict[str, Any]) -> Any:
        self._require_whole_weights()
        prompts = body["prompt"]
        if not isinstance(prompts, list) or not prompts:
            raise RefusedError(400, "expected a list of lists of token IDs")
        prompts = [prompts] if isinstance(prompts[0], int) else prompts
        for prompt in prompts:
            _require_ids(prompt)
        if not body.get("return_token_ids") or not body.get("return_tokens_as_token_ids"):
            raise RefusedError(400, "the double tells token IDs only")
        params = self._sampling(body)
        choices = []
        for prompt in prompts:
            if len(prompt) + params.max_tokens > self.engine.max_model_len:
                raise RefusedError(
                    400,
                    f"This model's maximum context length is {self.engine.max_model_len} tokens."
                    f" However, you requested {params.max_tokens} output tokens and your prompt"
                    f" contains {len(prompt)} input tokens",
                )
            answer = self.engine.answer(prompt, None, params)
            self.drawn += [output.token_ids for output in answer.outputs]
            for output in answer.outputs:
                choices.append(
                    {
                        "index": len(choices),
                        "text": "",
                        "finish_reason": output.finish_reason,
                        "token_ids": output.token_ids,
                        "prompt_token_ids": prompt,
                        "logprobs": _of_completion(output),
                    }
                )
        return {"model": self.name, "choices": choices}

    def _sampling(self, body: dict[str, Any]) -> Any:
        known = self.params.SamplingParams.__dataclass_fields__
        bias = body.get("logit_bias")
        if bias is not None and not all(isinstance(value, int | float) for value in bias.values()):
            raise RefusedError(400, "logit_bias: expected numbers")
        return self.params.SamplingParams.from_optional(
            **{name: value for name, value in body.items() if name in known}
        )

    def _render(self, body: dict[str, Any]) -> Any:
        (message,) = body["messages"]
        images = []
        for part in message["content"]:
            if part["type"] != "image_url":
                raise RefusedError(400, f"the double renders images only, got {part['type']}")
            data = part["image_url"]["url"].partition("base64,")[2]
            images.append(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        features = self.engine.features_of(images)
        counts, grids = self.engine.num_tokens(features), features["image_grid_thw"]
        pixels = features["pixel_values"].split([int(grid.prod()) for grid in grids])
        items = [
            save({"pixel_values": own.contiguous(), "image_grid_thw": grid[None].contiguous()})
            for own, grid in zip(pixels, grids, strict=True)
        ]
        starts = [sum(counts[:place]) + 2 * place + 1 for place in range(len(counts))]
        return {
            "token_ids": [0],
            "features": {
                "mm_hashes": {"image": [str(hash(item)) for item in items]},
                "mm_placeholders": {
                    "image": [
                        {"offset": start, "length": count}
                        for start, count in zip(starts, counts, strict=True)
                    ]
                },
                "kwargs_data": {"image": [base64.b64encode(item).decode() for item in items]},
            },
        }

    def _generate(self, body: dict[str, Any]) -> Any:
        self._require_whole_weights()
        tokens = _require_ids(body["token_ids"])
        params = self._sampling(body["sampling_params"])
        features = None
        if body.get("features") is not None:
            features = self._features(body["features"], tokens)
        outputs = self.engine.answer(tokens, features, params).outputs
        self.drawn += [output.token_ids for output in outputs]
        return {
            "request_id": body["request_id"],
            "choices": [
                {
                    "index": output.index,
                    "finish_reason": output.finish_reason,
                    "token_ids": output.token_ids,
                    "logprobs": _of_chat(output),
                }
                for output in outputs
            ],
        }

    def _features(self, told: dict[str, Any], tokens: list[int]) -> dict[str, Any]:
        places, items = told["mm_placeholders"]["image"], told["kwargs_data"]["image"]
        if not len(places) == len(items) == len(told["mm_hashes"]["image"]):
            raise RefusedError(400, "image mm_hashes and mm_placeholders must have the same length")
        end = 0
        for place in places:
            if place["offset"] < end or place["length"] <= 0:
                raise RefusedError(
                    400, "mm_placeholders must be globally non-overlapping and sorted"
                )
            end = place["offset"] + place["length"]
        if end > len(tokens):
            raise RefusedError(400, "mm_placeholders must remain within the token_ids sequence")
        read = [load(base64.b64decode(item)) for item in items]
        import torch

        features = {name: torch.cat([own[name] for own in read]) for name in read[0]}
        if [place["length"] for place in places] != self.engine.num_tokens(features):
            # In the real server the encoder's output would not fit, and the engine ends.
            raise RefusedError(500, "placeholders are not as long as their images have tokens")
        return features

    def _require_whole_weights(self) -> None:
        if self._updating:
            raise RefusedError(500, "asked to generate in the middle of an update of weights")


def _require_ids(prompt: Any) -> list[int]:
    if not isinstance(prompt, list) or not prompt:
        raise RefusedError(400, "expected token IDs")
    if not all(isinstance(token, int) and token >= 0 for token in prompt):
        raise RefusedError(400, "token_ids must not contain negative values")
    return prompt


def _of_completion(output: Any) -> dict[str, Any] | None:
    if output.logprobs is None:
        return None
    return {
        "tokens": [f"token_id:{token}" for token in output.token_ids],
        "token_logprobs": [
            own[token].logprob for token, own in zip(output.token_ids, output.logprobs, strict=True)
        ],
        "top_logprobs": [
            {f"token_id:{token}": told.logprob for token, told in own.items()}
            for own in output.logprobs
        ],
    }


def _of_chat(output: Any) -> dict[str, Any] | None:
    if output.logprobs is None:
        return None
    return {
        "content": [
            {"token": f"token_id:{token}", "logprob": own[token].logprob, "top_logprobs": []}
            for token, own in zip(output.token_ids, output.logprobs, strict=True)
        ]
    }
