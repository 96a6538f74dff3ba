"""The folders of a ledger: what stands in the place of one, or of a file in it, is moved aside; no link is used."""

from __future__ import annotations

from pathlib import Path

from causalrec.data.removal import make_way, make_way_for_folder, require_unlinked

FOLDERS = ("claims", "done", "failed", "groups", "launches", "started")
DAMAGED_FOLDER = "damaged"  # what stood in the place of a file or folder of the ledger


def require_unlinked_ledger(root: Path) -> None:
    """Raise DataError where the ledger or a folder of it is a symbolic link: it would be kept somewhere else."""
    for name in (*FOLDERS, DAMAGED_FOLDER):
        require_unlinked(root / name, root.parent)


def prepare_ledger(root: Path) -> None:
    """Move aside what stands in place of a ledger or a folder of it; raise DataError where that is a symbolic link."""
    require_unlinked_ledger(root)
    make_way_for_folder(root / DAMAGED_FOLDER, root.parent)
    for name in FOLDERS:
        make_way_for_folder(root / name, root.parent, root / DAMAGED_FOLDER)


def make_way_in_ledger(path: Path) -> None:
    """Let a file be written as `.ledger/FOLDER/NAME`; a folder there that holds something is moved aside."""
    make_way(path, path.parents[1] / DAMAGED_FOLDER)


def is_linked(folder: Path) -> bool:
    """Whether a folder of a ledger, or the ledger itself, is a symbolic link: what lies behind it is not ours."""
    return folder.is_symlink() or folder.parent.is_symlink()
