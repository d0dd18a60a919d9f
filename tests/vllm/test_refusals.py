"""A vLLM server that TRL cannot use, or that gives other numbers, is told before anything is paid."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.heavy]


def test_a_server_without_what_the_training_needs_is_named(train_with_vllm, serve, taught_folder):
    needs = {
        "VLLM_SERVER_DEV_MODE=1": {"dev_mode": False},
        "--weight-transfer-config": {"weight_transfer": False},
        "--logprobs-mode raw_logprobs, which biases": {"logprobs_mode": "raw_logprobs"},
        "--enable-scale-out": {"scale_out": False},
    }
    servers = [serve(taught_folder, **options) for options in needs.values()]
    urls = [server.url for server in servers] + ["http://127.0.0.1:9"]
    runs = [
        {"grpo": {"vllm": "server", "trl": {"vllm_server_base_url": url, "vllm_server_timeout": 0}}}
        for url in urls
    ]
    told = train_with_vllm(*runs, server=servers[-1])
    for run, words in zip(told, [*needs, "can't be reached"], strict=True):
        assert run["error"].startswith("ConfigError: grpo.vllm: server: ")
        assert words in run["error"]
    assert not any(server.drawn for server in servers)


def test_raw_log_probabilities_do_where_nothing_is_corrected(train_with_vllm, serve, taught_folder):
    server = serve(taught_folder, logprobs_mode="raw_logprobs")
    trl = {"vllm_importance_sampling_correction": False}
    (told,) = train_with_vllm({"grpo": {"vllm": "server", "steps": 1, "trl": trl}}, server=server)
    assert told["error"] is None
