"""What the commands share: flags, and one clear line and an exit code in place of a traceback."""

import contextlib
import ctypes
import dataclasses
import difflib
import errno
import functools
import io
import logging
import os
import re
import select
import signal
import sys
import tempfile
import threading
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from gan_jax import zoo
from gan_jax.commands import PROGRAM, VERBS
from gan_jax.errors import Stopped, UserError, nearest, no_run

if TYPE_CHECKING:
    import jax

    from gan_jax.config import Experiment

T = TypeVar("T")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
FORBIDDEN = {
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
}


def run(main: Callable[[], None]) -> None:
    """Run a command and exit with its code.

    A user's mistake exits with 2, a stop by signal with its own code, Ctrl-C with 130, and output
    into a pipe whose reader is gone (`gan-jax train --help | head`) with 141, as SIGPIPE does.
    """
    try:
        try:
            _run(main)
        finally:
            sys.stdout.flush()  # a broken pipe must raise here, not while the interpreter exits
    except BrokenPipeError:
        broken = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
        if not broken:  # the pipe of another process
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in broken:  # what is still buffered is written at the exit
            os.dup2(nowhere, stream.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _has_no_reader(stream: TextIO) -> bool:
    """Whether a stream is a pipe that nothing reads any more."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):  # a stream that is closed, or no file
        return False


def _run(main: Callable[[], None]) -> None:
    """Run a command; turn errors that a user can correct into one line and an exit code."""
    sys.unraisablehook, threading.excepthook = _unheard, _in_thread
    logging.getLogger("absl").addFilter(_worth_saying)
    try:
        main()
    except UserError as error:
        _end(f"error: {error}", 2)
    except Stopped as stop:
        _end(str(stop), stop.code)
    except KeyboardInterrupt:
        _end("interrupted; the same command resumes from the last checkpoint", 130)
    except (OSError, ValueError) as error:
        number = _errno(error)
        if number not in FULL | FORBIDDEN:
            raise
        where = getattr(error, "filename", None) or "the workdir"
        line = f"error: cannot write {where}: {os.strerror(number)}"
        if number in FULL:  # what else is still open would complain of the same at the exit
            print(f"{line}; the same command resumes once there is room", file=sys.stderr)
            sys.stderr.flush()
            os._exit(2)
        _end(line, 2)


def _errno(error: BaseException) -> int:
    """The system's number of an error, also of those of orbax, which has it in its text; else 0."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return int(found[1]) if found else 0


def _in_thread(failed: threading.ExceptHookArgs) -> None:
    """Says nothing of a thread that cannot write: the main one is about to find the same."""
    if failed.exc_value is None or _errno(failed.exc_value) not in FULL:
        threading.__excepthook__(failed)


def _unheard(failed: "sys.UnraisableHookArgs") -> None:
    """Says nothing of writes that tensorstore reports to a loop which a failed one has ended."""
    if str(failed.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(failed)


def _worth_saying(record: logging.LogRecord) -> bool:
    """Not what orbax logs of a thread that cannot write, nor that what is read is not written."""
    failed = record.exc_info[1] if record.exc_info else None
    if failed is not None:
        return _errno(failed) not in FULL
    return not re.search("read.only", record.getMessage())


def title(*words: str) -> str:
    """The command as usage lines name it, "gan-jax train" or "train.py", and words after it."""
    return " ".join([Path(sys.argv[0]).name, *words])


def command(verb: str) -> str:
    """A command as the reader started this one: "gan-jax train", or its twin among the scripts."""
    if title().endswith(".py"):
        return f"python scripts/{verb.replace('-', '_')}.py"
    return f"{PROGRAM} {verb}"


def spell(text: str) -> str:
    """A text with every `gan-jax VERB` in it as the reader started this command."""
    verbs = "|".join(sorted(VERBS, key=len, reverse=True))
    return re.sub(rf"\b{PROGRAM} ({verbs})\b", lambda found: command(found[1]), text)


def parse(default: T, flags: list[str], *words: str) -> T:
    """Read flags by tyro; `words` stand before them on the command line.

    Raises:
        UserError: on one line, for what does not fit.
    """
    import tyro  # `gan-jax --help` does not wait for it

    prog, kind = title(*words), type(default)
    _refuse_unknown(flags, options(default), prog)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind,
                default=default,
                args=flags,
                prog=prog,
                config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise UserError(_plain(complaint.getvalue())) from None


OTHER_NAMES = {
    **dict.fromkeys(("learning-rate", "rate", "lrate"), "lr"),
    **dict.fromkeys(("beta1", "beta2", "beta"), "betas"),
    **dict.fromkeys(("batch", "bs", "minibatch"), "batch-size"),
    **dict.fromkeys(("epochs", "steps", "iterations", "iters", "rounds"), "run.kimg"),
    **dict.fromkeys(("gamma", "r1-gamma"), "game.r1"),
    **dict.fromkeys(("output", "outdir", "out-dir", "logdir", "run-dir"), "workdir"),
    **dict.fromkeys(("gpus", "num-devices"), "run.devices"),
    **dict.fromkeys(("dataroot", "dataset", "data-path"), "data.path"),
}
"""What other projects call the fields."""


def options(default: Any, prefix: str = "") -> list[str]:
    """The names of all options, as the command line has them: 'discriminator.network.width'."""
    found = []
    for one in dataclasses.fields(default):
        renamed = getattr(_hints(type(default))[one.name], "__metadata__", ())
        given = next((m.name for m in renamed if getattr(m, "name", None) is not None), one.name)
        name = ".".join(part for part in (prefix, given.replace("_", "-")) if part)
        value = getattr(default, one.name)
        inside = dataclasses.is_dataclass(value)
        found += options(value, name) if inside else [name]
    return found


@functools.cache
def _hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind, include_extras=True)


def _refuse_unknown(flags: list[str], known: list[str], prog: str) -> None:
    for flag in flags:
        name = flag.removeprefix("--").partition("=")[0].replace("_", "-")
        if flag.startswith("--") and name not in (*known, "help"):
            guess = closest(name, known)
            hint = f"; did you mean --{guess}?" if guess else f"; `{prog} --help` lists all"
            raise UserError(f"no option --{name}{hint}")


def closest(name: str, known: Sequence[str]) -> str:
    """The option that `name` probably means; "" where none is near.

    By what other projects call it, then by its last part (--discriminator.hidden is
    --discriminator.network.hidden), then by its letters.
    """
    head, dot, last = name.rpartition(".")
    last = OTHER_NAMES.get(last, last)
    for guess in (f"{head}{dot}{last}", last):
        if guess in known:
            return guess
    same = [one for one in known if one.rpartition(".")[2] == last]
    return next(iter(difflib.get_close_matches(name, same or known, 1, 0.0 if same else 0.5)), "")


def _plain(complaint: str) -> str:
    """What tyro says in a frame over several lines, on one: without its title and its help."""
    head, *parts = re.split(
        r".*[─-]{5}.*", complaint
    )  # the title is above the first border, or in it
    text = " ".join(" ".join(parts or [head]).replace("│", " ").split())
    text = re.split(r"\s(?:For full helptext|Argument helptext:)", text)[0].strip()
    wrong = re.match(r"invalid choice '(.*)' for argument '(.*)'. Expected one of \((.*)\)", text)
    if wrong:
        value, option, choices = wrong.groups()
        guess = nearest(value, re.findall(r"'(.*?)'", choices))
        return f"{option} {value}: did you mean {guess}?"
    union = re.match(
        r"Error parsing (\S+): no type matching (.*) could be instantiated from \['(.*?)'\]", text
    )
    if union:
        option, kinds, value = union.groups()
        return f"{option} {value}: {kinds.replace('{None}|', '')} is needed"
    return re.sub(r"^Unrecognized options: (.*)$", r"no option takes '\1'", text)


def writable(path: str | Path) -> Path:
    """The path of a file to be written, in a folder that need not be there yet.

    To be called before anything is loaded or drawn. Raises UserError where it cannot be written.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=next(at for at in path.absolute().parents if at.exists())):
            return path
    except OSError as error:
        raise UserError(f"cannot write {str(path)!r}: {error.strerror}") from error


def usage(what: str, doc: str | None) -> str:
    """The head of a command's help: the usage line and the module's docstring."""
    return f"usage: {title(what)} [--OPTION VALUE ...]\n\n{spell(doc or '')}"


def of_file(default: T, doc: str | None, what: str) -> tuple[str, T]:
    """Read the first word of the command line, a file or a name, and the options after it."""
    where, *flags = sys.argv[1:] or ["--help"]
    if where.startswith("-"):
        print(usage(what, doc))
        where, flags = what, ["--help"]
    return where, parse(default, flags, where)


def of_run(default: T, doc: str | None) -> tuple[Path, T]:
    """Read the directory of a run, first on the command line, and the options after it.

    A run may be `zoo:NAME`; `zoo:` alone lists the entries and ends the command.

    Raises:
        UserError: the directory holds no run; so said before anything large is imported.
    """
    where, options = of_file(default, doc, "RUN")
    if where == zoo.PREFIX:
        print(zoo.listing())
        sys.exit()
    if not (zoo.locate(Path(where)) / "config.json").is_file():
        raise no_run(Path(where))
    name = zoo.name_of(where)
    if name is not None and (card := zoo.card(name)).licence != "Apache-2.0":
        print(f"{where}, {card.licence}: {card.data['description']}", file=sys.stderr)
    return Path(where), options


def key(seed: int) -> "jax.Array":
    """The key of --seed. Raises UserError for what is none."""
    import jax

    from gan_jax.config import SEEDS

    if not 0 <= seed < SEEDS:
        raise UserError(f"--seed {seed}: a number from 0 to {SEEDS - 1} is needed")
    return jax.random.key(seed)


def tiny(experiment: "Experiment") -> "Experiment":
    """The smallest relative; prints which set stands in for data that is not at hand."""
    from gan_jax import config
    from gan_jax.data.available import is_available

    data = experiment.data
    prepared = is_available(data.name, path=data.path, data_dir=data.data_dir)
    small = config.tiny(experiment, prepared=prepared)
    if small.data.name != data.name:
        why = "--data.path is not said" if data.name in config.OWN else "that is not prepared"
        print(f"tiny: {small.data.name!r} stands in for {data.name!r}: {why}")
    return small


def require_data(experiment: "Experiment") -> None:
    """Check that an experiment's data is at hand, before jax and the rest are imported.

    Raises:
        UserError: it is not.
    """
    from gan_jax.data.available import require

    data = experiment.data
    require(data.name, path=data.path, data_dir=data.data_dir)


def join(hosts: str) -> None:
    """Joins the other processes of a run. Raises UserError for what says not where they are."""
    from gan_jax import parallel

    try:
        parallel.join(hosts)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"--hosts {hosts}: {error}") from error


def _end(message: str, code: int) -> None:
    print(spell(" ".join(message.split())), file=sys.stderr)
    sys.exit(code)


def keep_memory() -> None:
    """Makes steps on the CPU find their working memory again; to be called before jax's first.

    XLA's CPU client frees it after every step. Given back to the system, it must be mapped again
    page by page in the next: a sixth of a DCGAN's round. And a step that is dispatched ahead may
    claim its own before the last has freed its: twice the memory, and a tenth of a short round
    lost between threads, so that steps run in the calling thread. Memory that a compilation
    freed is given back to the system: a step's working memory is one block, which does not fit
    between what is left there (DCGAN's peak is 30 % lower). A machine with an accelerator keeps its
    defaults: dispatch ahead, and host threads with arenas of their own.
    """
    if any(next(Path("/dev").glob(device), None) for device in ("accel*", "nvidia*", "vfio/*")):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
            libc.mallopt(option, value)
    import jax

    if hasattr(libc, "malloc_trim"):
        _give_back_after_compilations()
    jax.config.update("jax_cpu_enable_async_dispatch", False)


@functools.cache
def _give_back_after_compilations() -> None:
    """Once in a process: JAX calls every listener that was ever registered."""
    import jax

    trim = ctypes.CDLL(None).malloc_trim

    def give_back(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILED and duration_secs > 1.0:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(give_back)


COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's name of the event
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # of <malloc.h>


def compilation_cache() -> None:
    """Keeps compiled programs from one process to the next, below the data cache."""
    import jax

    from gan_jax.data.source import cache_dir

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(Path(cache_dir()) / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
