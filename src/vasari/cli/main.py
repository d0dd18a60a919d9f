"""The `vasari` command."""

from __future__ import annotations

import logging
import os
import sys
import warnings

try:
    import typer
except ImportError:  # the core alone is installed: samplers and scores, no commands
    sys.exit("the vasari command needs a few packages more: pip install 'vasari[train]'")

import vasari
from vasari.cli import (
    ablation_job,
    advice_job,
    datasets,
    planning,
    scoring,
    shipped,
    training,
    verify_job,
)
from vasari.cli.options import Plugins
from vasari.core.errors import VasariError
from vasari.core.plugins import names_from_a_file
from vasari.core.secrets import blot

app = typer.Typer(
    help="Variance-aware post-training for multimodal reasoning models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def plugins(plugin: Plugins = None) -> None:
    """List the names a recipe can use, built in or from installed packages (none is imported).

    Example: vasari plugins --plugin my_package
    """
    from vasari.cli.plugins import print_plugins  # noqa: PLC0415

    print_plugins()


def version() -> None:
    """Print the version of Vasari."""
    typer.echo(vasari.__version__)


for command in (
    training.quickstart,
    shipped.recipe,
    planning.plan,
    training.sft,
    training.train,
    training.evaluate,
    ablation_job.ablate,
    training.export,
    scoring.compare,
    training.report,
    scoring.score,
    advice_job.advise,
    verify_job.verify,
    scoring.rescore,
    datasets.curate,
    datasets.curate_diff,
    datasets.contamination,
    datasets.gallery,
    plugins,
    version,
):
    app.command()(command)


def quiet_libraries() -> None:
    """Silence progress bars, advice and deprecation warnings of libraries not yet imported."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings(
        "ignore", category=UserWarning, module=r"(torch|transformers|trl|accelerate)\b"
    )
    for name in ("transformers", "trl", "accelerate", "datasets", "torch.distributed"):
        logging.getLogger(name).setLevel(logging.ERROR)


class WithoutKeys(logging.Formatter):
    """Formatter of log lines in which keys of servers are replaced."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the log line, with its traceback if it has one."""
        return blot(super().format(record))


def main() -> None:
    """Run the `vasari` command; errors that a user can act on print one line and exit with 1."""
    handler = logging.StreamHandler()
    handler.setFormatter(WithoutKeys("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    quiet_libraries()
    try:
        # Names on the command line are trusted no more than those in a recipe: both may come from
        # a stranger.
        with names_from_a_file():
            app()
    except VasariError as error:
        if os.environ.get("VASARI_TRACEBACK"):
            raise
        typer.secho(f"error: {blot(str(error))}", fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("stopped; run the same command with --resume to go on", fg="yellow", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
