"""The entry point `gan-jax`: finds the command and runs it."""

import importlib
import sys

from gan_jax import __version__
from gan_jax.commands import PROGRAM, VERBS, cli
from gan_jax.errors import UserError, nearest


def main() -> None:
    """Run the command that the first argument names, and exit with its code."""
    cli.run(dispatch)


def dispatch() -> None:
    """Run the command that the first argument names; list the commands without one."""
    verb, *words = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help"):
        print(usage())
    elif verb == "--version":
        print(f"{PROGRAM} {__version__}")
    elif verb in VERBS:
        sys.argv = [f"{PROGRAM} {verb}", *words]  # how messages and the run's record call it
        importlib.import_module(f"gan_jax.commands.{verb.replace('-', '_')}").main()
    else:
        raise UserError(f"no command {verb!r}; did you mean {nearest(verb, VERBS)}?")


def usage() -> str:
    """The commands, a line each."""
    width = max(map(len, VERBS))
    lines = [f"usage: {PROGRAM} COMMAND ...", "", "Commands:"]
    lines += [f"  {verb:{width}}  {about}" for verb, about in VERBS.items()]
    lines += ["", f"`{PROGRAM} COMMAND --help` says more; `{PROGRAM} --version` the version."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
