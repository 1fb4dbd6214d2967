"""What was learnt from texts, as a file keeps it, and what all that expects qualities from texts has in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from struct import error as StructError
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, ClassVar
from zipfile import BadZipFile
from zlib import error as ZlibError

from langchain_agentcost.errors import RoutingError
from langchain_agentcost.routing.text_features import libraries, require_encoder

if TYPE_CHECKING:
    from typing import Self

    from langchain_core.embeddings import Embeddings

_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, SyntaxError, MemoryError),
    *(OverflowError, StructError, BadZipFile, TokenError, ZlibError),
)
"""What zipfile, zlib, numpy and json raise for bytes that are not theirs: each byte of a file was flipped to see."""


class LearnedText:
    """Expects qualities from texts by what was learnt.

    Args:
        learned: That.
        embeddings: What texts are embedded with, that of the fit.

    Attributes:
        KIND: What a file of it is called.
        VERSION: The version of such files.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int]

    def __init__(self, learned: Learned, *, embeddings: Embeddings | None) -> None:
        self._learned = learned
        self._embeddings = embeddings

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers' names, as they were given."""
        return tuple(self._learned.header["tiers"])

    @property
    def digest(self) -> str:
        """The hash of all that was learnt, which names this fit in a calibration."""
        return self._learned.digest

    def save(self, path: Path | str) -> None:
        """Write what was learnt to a file, from which `load` reads it: numbers and labels, no text."""
        self._learned.save(path)

    @classmethod
    def load(cls, path: Path | str, *, embeddings: Embeddings | None) -> Self:
        """Read what `save` wrote.

        Args:
            path: The file.
            embeddings: Those of the fit.

        Raises:
            RoutingError: If the file is damaged, newer, or no such file, or was fitted with other embeddings.
            MissingExtra: If a library that it takes is not installed.
        """
        learned = Learned.load(path, kind=cls.KIND, version=cls.VERSION)
        require_encoder(learned.header["encoder"], embeddings)
        return cls(learned, embeddings=embeddings)

    def _by_tier(self, expected: Any) -> dict[str, list[float]]:
        columns = expected.clip(0, 1).astype("f8").T.tolist()
        return dict(zip(self.tiers, columns, strict=True))


@dataclass(frozen=True, slots=True)
class Given:
    """What was given to a fit, checked."""

    texts: Sequence[str]
    tiers: list[str]
    outcomes: Any
    """A row a text, a column a tier; nan where a tier was not tried."""
    names: list[str]
    places: Any
    """Of each text the place of its label in `names`, -1 without one."""

    @classmethod
    def of(
        cls, texts: Sequence[str], quality: Mapping[str, Sequence[float]], labels: Sequence[str | None] | None
    ) -> Self:
        """Check it.

        Raises:
            RoutingError: If a number or a count is not as `TextGain.fit` says.
        """
        numpy, _ = libraries()
        labels = labels if labels is not None else [None] * len(texts)
        if len(texts) < 2 or not quality or {len(texts)} != {len(labels), *map(len, quality.values())}:
            raise RoutingError(
                "A fit takes two texts or more, and of each a quality for every tier and a label or None."
            )
        outcomes = numpy.array(list(quality.values()), "f8").T
        for tier, column in zip(quality, outcomes.T, strict=True):
            tried = column[~numpy.isnan(column)]
            if not len(tried) or tried.min() < 0 or tried.max() > 1:
                raise RoutingError(
                    f"The qualities of {tier!r} are from 0 to 1, nan where it was not tried, and not all nan."
                )
        names = sorted({label for label in labels if label is not None})
        place = {name: number for number, name in enumerate(names)}
        places = numpy.array([-1 if label is None else place[label] for label in labels])
        return cls(texts, list(quality), outcomes, names, places)


@dataclass(frozen=True, slots=True)
class Learned:
    """Parameters of a scorer, with what they are for, as a file keeps them: numbers and JSON, nothing that runs.

    Args:
        header: Kind, version, tiers, labels and encoder.
        arrays: Numbers, by name; float32.
        digest: The hash of both.
    """

    header: Mapping[str, Any]
    arrays: Mapping[str, Any]
    digest: str

    @classmethod
    def of(cls, kind: str, version: int, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        """Take parameters as they are now."""
        numpy, _ = libraries()
        header = {"format": f"langchain-agentcost {kind}", "version": version, **header}
        arrays = {name: numpy.ascontiguousarray(arrays[name], "<f4") for name in sorted(arrays)}
        return cls(header, arrays, _digest(header, arrays))

    def places(self, texts: Sequence[str], labels: Sequence[str | None] | None) -> list[int]:
        """Give the place of each text's label in the header, -1 where there is none or it is not known.

        Raises:
            RoutingError: If there is not a label a text.
        """
        if labels is not None and len(labels) != len(texts):
            raise RoutingError(f"There are {len(texts)} texts and {len(labels)} labels: give each text one, or None.")
        known = {label: place for place, label in enumerate(self.header["labels"])}
        return [-1 if label is None else known.get(label, -1) for label in labels or [None] * len(texts)]

    def save(self, path: Path | str) -> None:
        """Write a file, whole or not at all."""
        numpy, _ = libraries()
        target = Path(path)
        part = target.with_name(f"{target.name}.part")
        text = json.dumps({**self.header, "digest": self.digest}).encode()
        with part.open("wb") as file:
            numpy.savez_compressed(file, header=numpy.frombuffer(text, "u1"), **self.arrays)
        part.replace(target)

    @classmethod
    def load(cls, path: Path | str, *, kind: str, version: int) -> Self:
        """Read a file.

        Raises:
            RoutingError: If it is of another kind or a newer version, or is not as it was written.
        """
        numpy, _ = libraries()
        try:
            with numpy.load(BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in sorted(file.files)}
            header = json.loads(arrays.pop("header").tobytes())
            found, written, digest = header["format"], header["version"], header.pop("digest")
        except _UNREADABLE as error:
            raise RoutingError(f"{path} cannot be read as a {kind}: {error}") from error
        if found != f"langchain-agentcost {kind}":
            raise RoutingError(f"{path} is not a {kind} but {found!r}.")
        if written != version:
            raise RoutingError(f"{path} is of version {written!r}, and this package reads {version}: fit it anew.")
        if digest != _digest(header, arrays):
            raise RoutingError(f"{path} is damaged: it does not hold what its digest says. Fit it anew.")
        return cls(header, arrays, digest)


def _digest(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    found = blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        found.update(f"{name}{arrays[name].shape}{arrays[name].dtype.str}".encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()
