"""A model that FSDP2 spreads over two processes generates as the whole one does."""

import pytest
import torch
import torch.multiprocessing
from torch.distributed.fsdp import FSDPModule, fully_shard

from vasari.train.whole_model import unsharded


class Plugin:
    reshard_after_forward = True


class Accelerator:
    class state:  # noqa: N801  (accelerate's name)
        fsdp_plugin = Plugin()


def tokens(model, num_tokens):
    prompt = torch.tensor([[5, 6, 7]])
    return model.generate(
        input_ids=prompt,
        max_new_tokens=num_tokens,
        do_sample=False,
        eos_token_id=None,
        synced_gpus=False,
    ).tolist()


def in_one_process(rank, store, folder, found):
    from transformers import AutoModelForCausalLM

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    expected = tokens(model, 8)
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert isinstance(model, FSDPModule)
    with unsharded(model, Accelerator()):
        # The second process generates more often, and more tokens.
        for _ in range(1 + rank):
            generated = tokens(model, 4 + 4 * rank)
    assert all(hasattr(weight, "full_tensor") for weight in model.parameters())
    assert generated == [expected[0][: 3 + 4 + 4 * rank]]
    # Both are still one model to train.
    model(input_ids=torch.tensor([[5, 6, 7]]), labels=torch.tensor([[5, 6, 7]])).loss.backward()
    found.put(rank)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.heavy
def test_each_process_generates_as_long_as_it_likes_and_then_trains_on(family_folder, tmp_path):
    queue = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(
        in_one_process,
        args=(tmp_path / "store", str(family_folder("qwen2_text")), queue),
        nprocs=2,
    )
    assert {queue.get(), queue.get()} == {0, 1}
