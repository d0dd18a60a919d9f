"""Begins trainings with slime's rollout loop."""

from __future__ import annotations

import pytest
import slime_training as training


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param(
            "slime",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(
                    training.SOURCE is None, reason="VASARI_SLIME_SOURCE names none"
                ),
            ],
        ),
    ]
)
def start(request, tmp_path):
    """Begins a training in a folder of its own, with slime itself or with its stand-in."""
    folder = training.SOURCE if request.param == "slime" else training.STAND_IN
    with training.importable(folder), training.router() as port:

        def begun(name="uniform", *, at=0, visits=None, **changes):
            training.begin(visits)
            args = training.arguments(tmp_path, name, **{"sglang_router_port": port, **changes})
            training.connect(args)
            return training.Manager(args, start=at)

        yield begun
