import subprocess
import sys

import pytest

PROBE = """
import sys, {module}
outside = {{name.partition('.')[0] for name in sys.modules}}
allowed = set(sys.stdlib_module_names) | set(sys.builtin_module_names) | {{'numpy', 'vasari', '__main__', '__mp_main__'}}
# Path hooks of editable installs and of coverage are loaded by `site`, before the import.
print(sorted(name for name in outside - allowed - before if not name.startswith('_')))
"""


@pytest.mark.parametrize(
    "module", ["vasari", "vasari.records", "vasari.core.ledger", "vasari.score", "vasari.sample"]
)
def test_importing_the_method_needs_numpy_alone(module):
    code = "import sys\nbefore = {name.partition('.')[0] for name in sys.modules}\n" + PROBE.format(
        module=module
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
