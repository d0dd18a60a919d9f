"""The larger model of the study's second size begins where the base ends."""

import pytest

torch = pytest.importorskip("torch")

from transformers import Qwen2_5_VLForConditionalGeneration  # noqa: E402

from grow_base import grow, perturb  # noqa: E402
from vasari.model.path import resolve_model  # noqa: E402


@pytest.fixture(scope="module")
def base():
    path = resolve_model("vasari:tiny-base")
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()


def logits(model, base):
    config = base.config
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, config.text_config.vocab_size, (2, 24), generator=generator)
    ids[0, 2:18] = config.image_token_id
    types = (ids == config.image_token_id).long()
    pixels = torch.randn(64, 3 * 2 * 14 * 14, generator=generator)
    with torch.no_grad():
        return model(
            input_ids=ids,
            pixel_values=pixels,
            image_grid_thw=torch.tensor([[1, 8, 8]]),
            mm_token_type_ids=types,
        ).logits


@pytest.mark.parametrize(("width", "extra_layers"), [(1, 1), (2, 0), (2, 2), (3, 1)])
def test_a_grown_model_computes_what_its_base_does(base, width, extra_layers):
    grown = grow(base, width=width, extra_layers=extra_layers).eval()
    torch.testing.assert_close(logits(grown, base), logits(base, base), atol=1e-4, rtol=1e-4)


def test_it_has_more_parameters_and_noise_changes_it(base):
    grown = grow(base, width=2, extra_layers=2).eval()
    assert sum(w.numel() for w in grown.parameters()) > 5_000_000
    before = logits(grown, base)
    perturb(grown, noise=0.05, seed=0)
    change = (logits(grown, base) - before).std() / before.std()
    assert 0.001 < change < 0.5
