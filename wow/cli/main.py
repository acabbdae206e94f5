"""From the words after `wow` to a command and an exit code: 0 done, 2 a person can fix it, 130 interrupted.

The conventions of a command are in `options`, the table of commands in `verbs`.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import inspect
import json
import os
import sys
from collections.abc import Sequence

from wow.cli.extras import extra_of, install_command
from wow.cli.options import shortened
from wow.cli.output import plain
from wow.cli.processes import end_at_once, is_one_of_several
from wow.cli.verbs import VERBS
from wow.types import WowError

REMEDIES = {
    errno.ENOSPC: "make room, or write to another disk",
    errno.EDQUOT: "make room, or write to another disk",
    errno.EROFS: "name a folder that can be written to",
    errno.EACCES: "name one that you may read and write",
    errno.ENAMETOOLONG: "is it a path? name a shorter one",
}
"""What to do about what the system refuses."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line: this process's own, or the one that is given. Returns the exit code."""
    code = _guarded(list(sys.argv[1:] if arguments is None else arguments))
    if arguments is None and is_one_of_several():
        end_at_once(code)
    return code


def _guarded(words: list[str]) -> int:
    """The exit code of a command line, whatever goes wrong in it that a person can mend."""
    try:
        return _run(words)
    except WowError as error:
        print(f"wow: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        print(f"wow: this needs {error.name}: {install_command(extra)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:
        print(f"\nwow: interrupted; {interruption.args[0] if interruption.args else 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) is gone: close quietly, and keep Python from flushing once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        named = shortened(str(error.filename or "the disk that is written to"))
        print(f"wow: {error.strerror}: {named}; {REMEDIES[error.errno]}", file=sys.stderr)
        return 2


def _run(words: list[str]) -> int:
    if words[:1] in (["--version"], ["-V"]):
        from wow import __version__

        _tell(f"wow {__version__}")
        return 0
    verb = _leading_verb(words)
    if verb is None:
        _tell(_help(words))
        return 0
    options = VERBS[verb]().parse(words[len(verb.split()) :], verb)
    is_first_process = os.environ.get("RANK", "0") == "0"
    # Under torchrun every process runs this; the first alone makes the folder and speaks.
    made = options.prepare() if is_first_process else []
    try:
        summary = options.run()
    except WowError:
        for folder in made:
            with contextlib.suppress(OSError):  # it holds something
                folder.rmdir()
        raise
    if is_first_process:
        _tell(options.describe(summary))
        if options.json:
            _tell(json.dumps(plain(summary), allow_nan=False))
    return 0


def _leading_verb(words: list[str]) -> str | None:
    """The verb that a command line starts with; None where help is asked for. Raises WowError for an unknown one."""
    named = [word for word in words[:2] if not word.startswith("-") and word != "help"]
    for length in (2, 1):
        verb = " ".join(words[:length])
        if verb in VERBS:
            return verb
    groups = {verb.split()[0] for verb in VERBS}
    if not named or (named[0] in groups and len(named) == 1):
        unknown = [word for word in words if word not in ("-h", "--help", "help", *groups)]
        if unknown:
            raise WowError(f"unknown option {unknown[0]}; the command comes first, see wow --help")
        return None
    raise WowError(_unknown(named, groups))


def _unknown(named: list[str], groups: set[str]) -> str:
    in_group = named[0] in groups
    candidates = [verb for verb in VERBS if verb.startswith(f"{named[0]} ")] if in_group else list(VERBS)
    said = " ".join(named) if in_group else named[0]
    near = difflib.get_close_matches(" ".join(named), candidates, n=3, cutoff=0.5)
    near = near or difflib.get_close_matches(named[0], [*candidates, *groups], n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(f'wow {verb}' for verb in near)}?" if near else f"there are {', '.join(candidates)}"
    )
    return f"unknown command 'wow {said}': {hint}"


def _help(words: list[str]) -> str:
    """All commands, or those of one group (`wow data`)."""
    group = next((word for word in words if not word.startswith("-") and word != "help"), "")
    shown = {verb: find for verb, find in VERBS.items() if not group or verb.split()[0] == group}
    width = max(len(verb) for verb in shown)
    lines = [f"  wow {verb:<{width}}  {(inspect.getdoc(find) or '').splitlines()[0]}" for verb, find in shown.items()]
    title = "WoW: imagine what a robot will do." if not group else f"wow {group}:"
    return "\n".join([title, "", *lines, "", "wow COMMAND --help shows the options of a command."])


def _tell(text: str) -> None:
    if text:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
