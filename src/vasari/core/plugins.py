"""Loading of a user's own code that a recipe names as `package.module:attribute`."""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import importlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from vasari.core.errors import ConfigError, VasariError

Kind = Literal["sampler", "gate", "reward", "task", "protocol", "stage", "family", "policy"]
"""What users can replace with their own code; a recipe names ours by one word."""

KINDS: tuple[Kind, ...] = get_args(Kind)

VARIABLE = "VASARI_PLUGINS"
"""Environment variable with the packages, separated by commas, whose code a recipe may name."""

_UNTRUSTED: contextvars.ContextVar[bool] = contextvars.ContextVar("_UNTRUSTED", default=False)


def resolve(name: str, ours: Mapping[str, Any], *, kind: Kind) -> Any:
    """Return the object `name`: a built-in of `ours`, or imported as `package.module:attribute`.

    Raises:
        ConfigError: There is nothing of that name; the message lists what there is. Or the name
            came from a file (`names_from_a_file`) and its package was not allowed, or the attribute
            is code of another package.
    """
    if name in ours:
        return ours[name]
    is_untrusted = _UNTRUSTED.get()
    if is_untrusted:
        require_allowed(name, ours, kind=kind)
    module_name, attributes = _split(name, ours, kind)
    what = f"{kind} {name!r}"
    found = _imported(module_name, what)
    for attribute in attributes:
        if not hasattr(found, attribute):
            raise ConfigError(f"{what}: {module_name} has no attribute {'.'.join(attributes)!r}")
        found = getattr(found, attribute)
        if is_untrusted:
            _refuse_foreign(found, what)
    return found


def require_allowed(name: str, ours: Mapping[str, Any], *, kind: Kind) -> str:
    """Return `name` if built in (a key of `ours`) or of an allowed package; else raise ConfigError.

    A recipe may come from a stranger, so naming code in it is not enough to run it. Nothing is
    imported here.

    Raises:
        ConfigError: It is neither one of ours nor `package.module:attribute`, or its package was
            not allowed.
    """
    if name in ours:
        return name
    module_name, _ = _split(name, ours, kind)
    if not is_allowed(module_name):
        package = module_name.partition(".")[0]
        raise ConfigError(
            f"{kind} {name!r} is code of the package {package!r}, which a recipe may not run by"
            f" itself; if you trust it, allow it with --plugin {package}, or {VARIABLE}={package}"
        )
    return name


@contextlib.contextmanager
def names_from_a_file() -> Iterator[None]:
    """Context manager in which `resolve` refuses code of packages that the user did not allow."""
    token = _UNTRUSTED.set(True)
    try:
        yield
    finally:
        _UNTRUSTED.reset(token)


def build(
    make: Callable[..., Any], *, given: Mapping[str, Any], settings: Mapping[str, Any], what: str
) -> Any:
    """Build an object: call `make` with `settings` and with those values of `given` it accepts.

    Raises:
        ConfigError: `make` cannot be called, has no such setting, lacks a required one, or raises
            an error itself.
    """
    parameters = check_settings(make, given=given, settings=settings, what=what)
    try:
        return make(**{key: value for key, value in given.items() if key in parameters}, **settings)
    except VasariError:
        raise
    except Exception as error:
        raise ConfigError(f"{what} cannot be made: {_one_line(error)}") from error


def check_settings(
    make: Any, *, given: Iterable[str], settings: Mapping[str, Any], what: str
) -> Mapping[str, inspect.Parameter]:
    """Check that `make` accepts these settings, without calling `make`; return `make`'s parameters.

    Args:
        make: A function or class.
        given: Names of arguments that Vasari passes where the signature has them.
        settings: The user's settings by name.
        what: What `make` is, for the error message: "sampler 'vas'".

    Raises:
        ConfigError: `make` cannot be called, has no such setting, or lacks a required one.
    """
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what} is a {type(make).__name__}, which cannot be called with settings"
        ) from error
    given = set(given)
    variadic = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    own = {
        key: parameter
        for key, parameter in parameters.items()
        if key not in given and parameter.kind not in variadic
    }
    takes_all = any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    unknown = sorted(set(settings) & given if takes_all else set(settings) - set(own))
    if unknown:
        listed = ", ".join(sorted(own)) or "none"
        raise ConfigError(
            f"{what} has no setting {', '.join(map(repr, unknown))}; it has: {listed}"
        )
    missing = [
        key
        for key, parameter in own.items()
        if parameter.default is inspect.Parameter.empty and key not in settings
    ]
    if missing:
        raise ConfigError(f"{what} needs the setting {', '.join(map(repr, missing))}")
    return parameters


def allow_plugins(packages: Iterable[str]) -> None:
    """Allow recipes to name code of these packages, in this process and its child processes.

    Modules in the working folder can be named too; installed ones come first.

    Raises:
        ConfigError: A name is no package or module.
    """
    wanted = [*allowed_plugins(), *packages]
    for package in wanted:
        if not _is_dotted(package):
            raise ConfigError(
                "a plugin is named like a package, e.g. my_package or my_package.rewards; got"
                f" {package!r}"
            )
    if wanted:
        os.environ[VARIABLE] = ",".join(dict.fromkeys(wanted))


def allowed_plugins() -> tuple[str, ...]:
    """Return the names of the packages whose code a recipe may run."""
    return tuple(part.strip() for part in os.environ.get(VARIABLE, "").split(",") if part.strip())


def is_allowed(name: str) -> bool:
    """Whether the user allowed recipes to run code of the package that `name` is in."""
    module_name = name.partition(":")[0]
    return any(
        module_name == package or module_name.startswith(package + ".")
        for package in allowed_plugins()
    )


@dataclass(frozen=True, slots=True)
class Offered:
    """Plug-in that an installed package offers by an entry point; the package is not imported."""

    kind: Kind
    name: str
    """The entry point's name, for a person to read."""
    value: str
    """What a recipe writes: `package.module:attribute`."""
    package: str
    """The distribution that offers it."""

    @property
    def can_be_named(self) -> bool:
        """Whether the entry point has the form `package.module:attribute` that a recipe needs."""
        return _parts(self.value) is not None


def offered_plugins() -> list[Offered]:
    """List the plug-ins that installed packages offer by entry points, e.g. `vasari.sampler`."""
    entries = importlib.metadata.entry_points()
    found = [
        # An entry point may have spaces around its colon, and extras in brackets at its end.
        Offered(
            kind,
            entry.name,
            "".join(entry.value.partition("[")[0].split()),
            entry.dist.name if entry.dist else "",
        )
        for kind in KINDS
        for entry in entries.select(group=f"vasari.{kind}")
    ]
    return sorted(found, key=lambda offer: (KINDS.index(offer.kind), offer.name))


def _split(name: str, ours: Mapping[str, Any], kind: Kind) -> tuple[str, list[str]]:
    """Module and attributes of `package.module:attribute`."""
    found = _parts(name)
    if found is None:
        raise ConfigError(
            f"{kind} must be one of {', '.join(ours)}, or your own as package.module:attribute; got"
            f" {name!r}"
        )
    private = [attribute for attribute in found[1] if attribute.startswith("_")]
    if private:
        raise ConfigError(
            f"{kind} {name!r}: {private[0]} is private, its name begins with an underscore; give it"
            " a public name"
        )
    return found


def _parts(name: str) -> tuple[str, list[str]] | None:
    """Module and attributes; None where the name has another form."""
    module_name, colon, path = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not colon or not _is_dotted(module_name) or not _is_dotted(path):
        return None
    return module_name, path.split(".")


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _refuse_foreign(found: Any, what: str) -> None:
    """Refuse a module, class or function of a package that was not allowed.

    An allowed module also has what it imports as attributes: `my_package.rewards:os.system`.
    Objects that the module made itself are allowed.
    """
    if inspect.ismodule(found):
        home: Any = found.__name__
    elif inspect.isclass(found) or inspect.isroutine(found):
        home = getattr(found, "__module__", None)
    else:
        return
    package = str(home or "builtins").partition(".")[0]
    if package not in {allowed.partition(".")[0] for allowed in allowed_plugins()}:
        raise ConfigError(
            f"{what} leads to code of the package {package!r}, which was not allowed; name it where"
            f" it is defined, and allow that with --plugin {package} if you trust it"
        )


def _imported(module_name: str, what: str) -> Any:
    # `python -m vasari` has the working folder in sys.path, the `vasari` command has not.
    if is_allowed(module_name) and "" not in sys.path and os.getcwd() not in sys.path:  # noqa: PTH109  (sys.path holds strings)
        sys.path.append(os.getcwd())  # noqa: PTH109
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{what}: {module_name} cannot be imported: {_one_line(error)}"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def code_digest(name: str, found: Any) -> str:
    """Return a hex digest of the source files that define `package.module:attribute`.

    Covers the named module and the module that defines the attribute, not what these import. Empty
    if neither has a file.
    """
    definer = inspect.getmodule(found) or inspect.getmodule(type(found))
    modules = {
        name.partition(":")[0]: sys.modules.get(name.partition(":")[0]),
        getattr(definer, "__name__", ""): definer,
    }
    digest = hashlib.blake2b(digest_size=16)
    read = False
    for _, module in sorted(modules.items()):
        with contextlib.suppress(OSError):
            digest.update(Path(str(getattr(module, "__file__", ""))).read_bytes())
            read = True
    return digest.hexdigest() if read else ""
