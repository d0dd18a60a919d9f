"""`vasari export`: trained weights with their processor and a card, ready for a hub or vLLM."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from vasari.core.errors import StateError
from vasari.core.files import write_bytes, writing_folder
from vasari.core.plugins import names_from_a_file
from vasari.core.progress import stage
from vasari.model.families import use_family
from vasari.model.path import fingerprint, require_training
from vasari.report.inputs import dig, read_run
from vasari.report.model_card import CardFacts, make_model_card
from vasari.run.folder import open_existing
from vasari.run.trained_weights import Which, trained_arm, weights_folder


def export_run(
    root: Path,
    out: Path,
    *,
    arm: str | None,
    which: Which,
    dtype: str,
    base: str | None,
    licence: str | None,
) -> None:
    """Write the weights of a run's arm, their processor and a model card into a new folder.

    Raises:
        StateError: There is no run, it holds no such weights, or `out` holds something.
    """
    place = open_existing(root)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StateError(f"{out}: is there already; remove it, or choose another --out")
    run = read_run(root)
    chosen = trained_arm(place, arm, preferred=str(dig(run.recipe, "sampler", "name")))
    source = weights_folder(place, chosen, which)
    require_training()
    family = dig(run.recipe, "model", "family")
    if family is not None:
        with names_from_a_file():
            use_family(family)
    from vasari.train.export import export_weights  # noqa: PLC0415  (torch takes seconds)

    with stage("export"), writing_folder(out) as folder:
        weights = export_weights(str(source), folder, dtype=dtype)  # type: ignore[arg-type]
        facts = CardFacts(
            arm=chosen,
            which=which,
            dtype=dtype,
            fingerprint=fingerprint(source),
            base=base,
            licence=licence,
            **asdict(weights),
        )
        write_bytes(folder / "README.md", make_model_card(run, facts).encode("utf-8", "replace"))
    typer.echo(f"weights, processor and card: {out}")
    if licence is None:
        typer.echo(f"the licence is unknown: fill it in in {out / 'README.md'}")
