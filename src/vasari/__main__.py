"""`python -m vasari`, for launchers such as torchrun."""

from vasari.cli.main import main

main()
