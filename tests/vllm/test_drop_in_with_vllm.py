"""The trainer in the place of TRL's own, with vLLM's double."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow
CASES = {
    (mode, images, trainer): {"mode": mode, "images": images, "trainer": trainer}
    for mode in ("colocate", "server")
    for images in (False, True)
    for trainer in ("trl", "ours")
}


@pytest.fixture(scope="module")
def trained(run_script, serve, tiny_folder, image_prompts, tmp_path_factory):
    """What each training told, by mode, whether with images, and trainer."""
    from vasari.data.prompt_file import write_prompts

    folder = tmp_path_factory.mktemp("drop_in")
    write_prompts(folder / "pool.parquet", image_prompts)
    server = serve(tiny_folder)
    settings = []
    for place, case in enumerate(CASES.values()):
        (folder / str(place)).mkdir()
        settings.append(
            case
            | {
                "model": str(tiny_folder),
                "prompts": str(folder / "pool.parquet"),
                "told": str(folder / str(place) / "told.json"),
                "config": {
                    "use_vllm": True,
                    "vllm_mode": case["mode"],
                    "vllm_server_base_url": server.url,
                },
            }
        )
    told = run_script("drop_in_process.py", settings, server)
    return dict(zip(CASES, told, strict=True))


@pytest.mark.parametrize(
    ("mode", "images"), [("colocate", False), ("server", False), ("server", True)]
)
def test_numbers_and_weights_are_those_of_trl(trained, mode, images):
    trl, ours = (trained[mode, images, trainer] for trainer in ("trl", "ours"))
    assert trl["error"] is None
    assert ours["error"] is None
    for theirs, own in zip(trl["logged"], ours["logged"], strict=True):
        shared = {name: own[name] for name in theirs}
        assert shared == pytest.approx(theirs, rel=1e-4, abs=1e-6, nan_ok=True)
    assert ours["weights"] == pytest.approx(trl["weights"], rel=1e-4, abs=1e-4)


def test_trl_alone_lets_a_colocated_engine_write_the_tokens_of_images_twice(trained):
    """When this fails, TRL has mended it, and `VllmPrompts` may go."""
    assert "vLLM has written them once more" in trained["colocate", True, "trl"]["error"]


def test_prompts_with_images_train_beside_a_colocated_engine(trained):
    told = trained["colocate", True, "ours"]
    assert told["error"] is None
    for row in told["logged"][:2]:
        ratio = row["sampling/importance_sampling_ratio/mean"]
        # The untaught model would draw tokens of images, which nobody may.
        assert ratio == pytest.approx(1.0, abs=0.05)
