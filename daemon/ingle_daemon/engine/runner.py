"""The only module that imports llama_cpp: one model, one context, batches in, logits and samples out.

It owns the native memory and frees it. It knows slots and positions, not requests, priorities or text.
"""

from __future__ import annotations

import ctypes
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from ingle_daemon.engine import devices
from ingle_daemon.engine.batch import BatchItem, BatchWriter
from ingle_daemon.engine.frames import Hello, KvType
from ingle_daemon.engine.kv import Clear, Copy, Edit, Truncate
from ingle_daemon.engine.spin import Spin
from ingle_daemon.engine.tiles import without_tiles
from ingle_daemon.errors import NoMemory, NoModel, UsageError
from ingle_daemon.fim.templates import FimIds
from ingle_daemon.protocol import Sampling

__all__ = [
    "Interrupted",
    "OutOfCells",
    "Runner",
    "RunnerOptions",
    "Sampler",
    "Vocabulary",
    "build_flags",
    "hello",
    "llama_version",
]

_NO_ROOM, _ABORTED, _ALLOCATION_FAILED = 1, 2, -2  # what llama_decode returns
_WARNING = 3  # ggml's level, and 4 is an error
_OF_MEMORY = ("out of memory", "allocat", "outofdevicememory", "outofhostmemory", "bad_alloc")
_complaints: deque[str] = deque(maxlen=40)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _listen(level: int, text: bytes, _data: object) -> None:
    """llama.cpp writes to stderr otherwise, and that is the daemon's log. Why a load failed it says nowhere else."""
    if level >= _WARNING:
        _complaints.append(text.decode("utf-8", "replace").lower())


llama.llama_log_set(_listen, None)


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How to load a model. `context` in tokens, cut down to what the model was trained for."""

    path: str
    context: int
    threads: int
    gpu_layers: int
    kv_type: KvType
    batch: int
    slots: int
    repack: bool = True
    """Let llama.cpp rearrange the weights for faster multiplication, where it knows how."""


class OutOfCells(Exception):
    """The KV cache has no room for the batch; nothing of it was evaluated."""


class Interrupted(Exception):
    """`abort` ended the batch; nothing of it was evaluated."""


class Vocabulary:
    """Text to tokens and back. Thread-safe: it only reads the model."""

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self.size: int = llama.llama_vocab_n_tokens(vocab)
        self.adds_bos: bool = llama.llama_vocab_get_add_bos(vocab)
        self.bos: int = llama.llama_vocab_bos(vocab)
        self.eos: int = llama.llama_vocab_eos(vocab)
        self.fim = FimIds(
            llama.llama_vocab_fim_pre(vocab),
            llama.llama_vocab_fim_suf(vocab),
            llama.llama_vocab_fim_mid(vocab),
            llama.llama_vocab_fim_rep(vocab),
            llama.llama_vocab_fim_sep(vocab),
        )
        self._pieces: dict[int, bytes] = {}
        self._ends = frozenset(t for t in range(self.size) if llama.llama_vocab_is_eog(vocab, t))
        self.longest = max((len(self.piece(t)) for t in range(self.size)), default=1)

    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        """Tokens of `text`. `special` reads names of special tokens in it; `add_special` adds BOS where due."""
        raw = text.encode("utf-8", errors="replace")
        room = len(raw) + 8
        out = (llama.llama_token * room)()
        n = llama.llama_tokenize(self._vocab, raw, len(raw), out, room, add_special, special)
        assert n >= 0, "a token spans at least one byte"
        return list(out[:n])

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; a special token stands for none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token, special=False)
        return known

    def is_end(self, token: int) -> bool:
        """An end-of-generation token."""
        return token in self._ends

    def end_at(self, tokens: Iterable[int]) -> None:
        """Take these for end-of-generation tokens too."""
        self._ends |= frozenset(tokens)

    def special(self, spelling: str) -> int:
        """The special token that is written so; -1 where there is none."""
        tokens = self.tokenize(spelling, special=True)
        return tokens[0] if len(tokens) == 1 and not self.piece(tokens[0]) else -1

    def spelling(self, token: int) -> str:
        """How a token is written, special ones too."""
        return self._read_piece(token, special=True).decode("utf-8", errors="replace") if token >= 0 else ""

    def spelled_out(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, special ones as they are written."""
        raw = b"".join(self._read_piece(token, special=True) for token in tokens)
        return raw.decode("utf-8", errors="replace")

    def spelling_of(self, text: bytes) -> list[int]:
        """The tokens that `text` can be continued or begun with: those whose bytes begin with it, or it with theirs."""
        pieces, ids = self._in_order
        after = bisect_left(pieces, text + b"\xff" * 8)  # no UTF-8 holds that byte
        found = ids[bisect_left(pieces, text) : after]
        for length in range(1, len(text)):
            at = bisect_left(pieces, text[:length])
            if at < len(pieces) and pieces[at] == text[:length]:
                found.append(ids[at])
        return found

    @cached_property
    def _in_order(self) -> tuple[list[bytes], list[int]]:
        """All tokens that stand for something, in the order of their bytes."""
        ordered = sorted((self.piece(token), token) for token in range(self.size) if self.piece(token))
        return [piece for piece, _ in ordered], [token for _, token in ordered]

    def new_grammar(self, grammar: str) -> Any:
        """A sampler that lets through what `grammar` (GBNF) allows; whoever takes it frees it. Raises UsageError."""
        sampler = llama.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
        if not sampler:
            raise UsageError("llama.cpp does not read the grammar", hint="Simplify the schema that it was made from.")
        return sampler

    def check_grammar(self, grammar: str) -> None:
        """Raises UsageError when `grammar` cannot be used."""
        llama.llama_sampler_free(self.new_grammar(grammar))

    def special_spellings(self) -> list[str]:
        """The spellings of all control tokens."""
        return [
            self.spelling(token)
            for token in range(self.size)
            if llama.llama_vocab_is_control(self._vocab, token) or token in self._ends
        ]

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        n = llama.llama_token_to_piece(self._vocab, token, buffer, 64, 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = llama.llama_token_to_piece(self._vocab, token, buffer, -n, 0, special)
        return buffer.raw[:n]


class Sampler:
    """Draws one sequence's tokens, with a `grammar` (GBNF) only those that it allows.

    Greedy without penalties or grammar needs no chain and takes none.
    """

    def __init__(self, sampling: Sampling, vocab: Vocabulary, grammar: str = "") -> None:
        self.greedy = sampling.temperature <= 0 and sampling.repeat_penalty == 1.0 and not grammar
        self._chain: Any = None
        self._grammar = vocab.new_grammar(grammar) if grammar else None
        if self.greedy:
            return
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for link in _links(sampling, vocab.size):
            llama.llama_sampler_chain_add(self._chain, link)

    def accept(self, tokens: Iterable[int]) -> None:
        """Count `tokens` for the penalties, as if drawn here."""
        if self._chain is not None:
            for token in tokens:
                llama.llama_sampler_accept(self._chain, token)

    def draw(self, context: Any, output: int) -> int:
        """The next token after the batch's output number `output`."""
        token: int = llama.llama_sampler_sample(self._chain, context, output)
        return token

    @property
    def bound(self) -> bool:
        """A grammar has a say in what is drawn."""
        return self._grammar is not None

    def draw_allowed(self, logits: npt.NDArray[np.float32]) -> int:
        """The next token, one that the grammar allows.

        Asking it about the one token drawn freely is a thousand times cheaper than about the whole vocabulary, and
        mostly it agrees.
        """
        token = _drawn(self._chain, logits)
        if not self._allows(token):
            token = _drawn(self._chain, logits, self._grammar)
        for sampler in (self._chain, self._grammar):
            llama.llama_sampler_accept(sampler, token)
        return token

    def _allows(self, token: int) -> bool:
        candidates = np.array([(token, 0.0, 0.0)], dtype=_CANDIDATE)
        llama.llama_sampler_apply(self._grammar, ctypes.byref(_as_array(candidates)))
        return bool(np.isfinite(candidates["logit"][0]))

    def close(self) -> None:
        for sampler in filter(None, (self._chain, self._grammar)):
            llama.llama_sampler_free(sampler)
        self._chain = self._grammar = None


_ASKED_TO_ABORT = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
"""llama.cpp calls it between any two operations, some hundred times a token, so that it may not need Python's lock:
C's own strlen says 0, which is no, of an empty text, and 1 of one character."""
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def _as_array(candidates: npt.NDArray[np.void]) -> Any:
    data = candidates.ctypes.data_as(llama.llama_token_data_p)
    return llama.llama_token_data_array(data=data, size=len(candidates), selected=-1, sorted=False)


def _drawn(chain: Any, logits: npt.NDArray[np.float32], grammar: Any = None) -> int:
    """What `chain` draws, after `grammar` has taken out what it does not allow."""
    candidates = np.empty(len(logits), dtype=_CANDIDATE)
    candidates["id"], candidates["logit"], candidates["p"] = np.arange(len(logits)), logits, 0.0
    array = _as_array(candidates)
    for sampler in (grammar, chain) if grammar is not None else (chain,):
        llama.llama_sampler_apply(sampler, ctypes.byref(array))
    return int(array.data[array.selected].id)


def _links(sampling: Sampling, vocab_size: int) -> list[Any]:
    """llama-server's default order."""
    links = []
    if sampling.repeat_penalty != 1.0:
        links.append(
            llama.llama_sampler_init_penalties(vocab_size, sampling.repeat_last_n, sampling.repeat_penalty, 0.0, 0.0)
        )
    if sampling.temperature <= 0:
        return [*links, llama.llama_sampler_init_greedy()]
    seed = llama.LLAMA_DEFAULT_SEED if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    return [
        *links,
        llama.llama_sampler_init_top_k(sampling.top_k),
        llama.llama_sampler_init_top_p(sampling.top_p, 1),
        llama.llama_sampler_init_min_p(sampling.min_p, 1),
        llama.llama_sampler_init_temp(sampling.temperature),
        llama.llama_sampler_init_dist(seed),
    ]


class Runner:
    """A loaded model and its context. Not thread-safe: one thread decodes.

    Raises NoModel when llama.cpp cannot load the file.
    """

    def __init__(self, options: RunnerOptions) -> None:
        begin = time.perf_counter()
        llama.llama_backend_init()
        self._model = _load_model(options)
        self.vocab = Vocabulary(llama.llama_model_get_vocab(self._model))
        self.n_ctx_train: int = llama.llama_model_n_ctx_train(self._model)
        self.n_ctx = min(options.context, self.n_ctx_train)
        self.batch = min(options.batch, self.n_ctx)
        self.rewinds = not (llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model))
        """What was evaluated last can be taken back: there is a cell for every token, not one state for all of them."""
        self.exact = _kv_type(options) == llama.GGML_TYPE_Q8_0 and _on_cpu(options) and self.rewinds
        """What a sequence computes depends on nothing but itself, provided that its cells stand in order, and that the
        weights are multiplied in one way whatever the batch (`opening.py` finds out)."""
        self.interruptible = _on_cpu(options) and self.rewinds
        """`abort` ends a batch at once, and nothing of it stays."""
        self.passes_over = self.interruptible
        """Attention takes longer for every cell in the cache, whosever it is. Elsewhere, too, but there less, and to
        take states out of a GPU's memory and put them back takes longer."""
        self._goes_on = not _on_cpu(options)
        """A GPU does when `llama_decode` returns, and nobody would know how long a step takes."""
        self._ballast = options.slots
        self._threads = options.threads
        self.spin = _spin()
        self._context = _make_context(self._model, options, self.n_ctx, self.batch)
        self._abort = ctypes.create_string_buffer(2)
        llama.llama_set_abort_callback(self._context, _ASKED_TO_ABORT, self._abort)
        self._memory = llama.llama_get_memory(self._context)
        self.splices: bool = llama.llama_memory_can_shift(self._memory) and self.rewinds
        """Cells can be lent from one sequence to another; not so in recurrent and hybrid models."""
        self._batch = llama.llama_batch_init(self.batch, 0, 1)
        self._writer = BatchWriter(self._batch, self.batch)
        self._row_type = ctypes.c_float * self.vocab.size
        self._views: dict[int, npt.NDArray[np.float32]] = {}
        """Of rows of logits, by their addresses, which are few. To make one takes as long as to look through it."""
        self._scratch = np.empty(self.vocab.size, np.float32)
        self.n_params: int = llama.llama_model_n_params(self._model)
        self.size_bytes: int = llama.llama_model_size(self._model)
        self.load_ms = (time.perf_counter() - begin) * 1000

    @property
    def description(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self._model, buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace")

    @property
    def model_name(self) -> str:
        """What the GGUF calls the model, or empty."""
        buffer = ctypes.create_string_buffer(256)
        length = llama.llama_model_meta_val_str(self._model, b"general.name", buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace") if length >= 0 else ""

    @property
    def chat_template(self) -> str:
        """The GGUF's Jinja source, or empty."""
        source: bytes | None = llama.llama_model_chat_template(self._model, None)
        return source.decode("utf-8", errors="replace") if source else ""

    def apply(self, edits: Iterable[Edit]) -> None:
        """Bring the KV cache to the state that `KvTable` planned."""
        for edit in edits:
            if isinstance(edit, Copy):
                llama.llama_memory_seq_cp(self._memory, edit.source, edit.target, edit.start, edit.stop)
            elif isinstance(edit, Truncate):
                self._forget(edit.slot, edit.length)
            else:
                assert isinstance(edit, Clear)
                self._forget(edit.slot, 0)

    def _forget(self, slot: int, start: int) -> None:
        if self.exact:  # llama.cpp fills a freed cell first: as ballast it stays taken until `clear`
            llama.llama_memory_seq_cp(self._memory, slot, self._ballast, start, -1)
        llama.llama_memory_seq_rm(self._memory, slot, start, -1)

    def use_threads(self, threads: int) -> None:
        """Compute with so many from the next batch on, one at least."""
        self._threads = max(threads, 1)
        llama.llama_set_n_threads(self._context, self._threads, self._threads)

    def clear(self) -> None:
        """Empty the whole cache."""
        llama.llama_memory_clear(self._memory, False)

    def decode(self, items: Sequence[BatchItem]) -> None:
        """Evaluate one batch. Outputs are numbered in the order in which the items ask for them.

        Raises OutOfCells or Interrupted, after which nothing has changed, MemoryError, and RuntimeError when the
        backend fails.
        """
        self._batch.n_tokens = self._writer.fill(items)
        result = self._evaluate()
        if result == _NO_ROOM:
            raise OutOfCells
        if result == _ABORTED:
            raise Interrupted
        if result == _ALLOCATION_FAILED:
            raise MemoryError
        if result != 0:
            raise RuntimeError(f"llama_decode failed with {result}")
        if self._goes_on:
            llama.llama_synchronize(self._context)

    def _evaluate(self) -> int:
        if self.spin is None:
            return int(llama.llama_decode(self._context, self._batch))
        begin = time.monotonic()
        result: int = llama.llama_decode(self._context, self._batch)
        self.spin.computed(time.monotonic() - begin, self._threads)
        return result

    def abort(self, yes: bool) -> None:
        """From any thread: end the batch under way, and those that follow until this is taken back. On a CPU only."""
        self._abort[0] = b"!" if yes else b"\0"

    def logits(self, output: int) -> npt.NDArray[np.float32]:
        """A view of the logits of output `output` of the last batch; the next decode overwrites it."""
        address = _logits_at(self._context, self._writer.rows[output])
        view = self._views.get(address)
        if view is None:
            view = self._views[address] = np.frombuffer(memoryview(self._row_type.from_address(address)), np.float32)
        return view

    def sample(self, sampler: Sampler, output: int) -> int:
        """The next token after output `output` of the last batch."""
        if sampler.greedy:
            return int(self.logits(output).argmax())
        if sampler.bound:
            return sampler.draw_allowed(self.logits(output))
        return sampler.draw(self._context, self._writer.rows[output])

    def best_of(self, tokens: Sequence[int], output: int) -> int:
        """The most probable of `tokens` after output `output` of the last batch."""
        return tokens[int(self.logits(output)[tokens].argmax())]

    def logprob(self, output: int, token: int) -> float:
        """The natural logarithm of the model's own probability of `token` after output `output`."""
        logits = self.logits(output)
        top = logits.max()
        shares = np.subtract(logits, top, out=self._scratch)
        return float(logits[token] - top - np.log(np.exp(shares, out=shares).sum()))

    def save(self, slot: int) -> bytes:
        """Everything `slot` holds in the KV cache, to be loaded again by `load`."""
        size = llama.llama_state_seq_get_size(self._context, slot)
        buffer = (ctypes.c_uint8 * size)()
        written = llama.llama_state_seq_get_data(self._context, buffer, size, slot)
        return bytes(memoryview(buffer)[:written])

    def load(self, slot: int, state: bytes) -> bool:
        """Put back what `save` gave; False, and nothing in the slot, when llama.cpp does not take it."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        taken: int = llama.llama_state_seq_set_data(self._context, buffer, len(state), slot)
        if not taken:
            self.apply((Clear(slot),))
        return bool(taken)

    def close(self) -> None:
        if self.spin:
            self.spin.close()
        llama.llama_batch_free(self._batch)
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)


def llama_version() -> str:
    """The binding's version, which pins llama.cpp's."""
    return str(llama.__version__)


def build_flags() -> str:
    """What llama.cpp was built for, in its own words."""
    return str(llama.llama_print_system_info().decode(errors="replace").strip(" |"))


def hello() -> Hello:
    """What this llama.cpp is and what it can compute on."""
    return Hello(devices.devices(_bound), devices.backends(_bound), llama_version())


def _bound(name: str, arguments: list[Any], result: Any) -> Any:
    return llama.llama_cpp.ctypes_function(name, arguments, result)(_bound)


_logits_at = _bound("llama_get_logits_ith", [llama.llama_context_p_ctypes, ctypes.c_int32], ctypes.c_void_p)
"""The address of a batch row's logits. llama_cpp's own binding wraps it in a pointer, and that is slow to read."""


def _spin() -> Spin | None:
    """None where llama.cpp computes with other threads than libgomp's, as on macOS."""
    try:
        return Spin(_bound("GOMP_parallel", [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None))
    except AttributeError:
        return None


def _was_memory() -> bool:
    """Whether what llama.cpp complained of since `_complaints` was emptied is that memory did not suffice."""
    return any(sign in text for text in _complaints for sign in _OF_MEMORY)


def _load_model(options: RunnerOptions) -> Any:
    params = llama.llama_model_default_params()
    params.use_extra_bufts = options.repack
    params.n_gpu_layers = options.gpu_layers if options.gpu_layers >= 0 else 999
    _complaints.clear()
    with without_tiles():
        model = llama.llama_model_load_from_file(options.path.encode(), params)
    if not model and _was_memory():
        raise NoMemory(f"no memory for {options.path}", hint="Use a smaller model, or fewer [engine] gpu_layers.")
    if not model:
        raise NoModel(
            f"llama.cpp cannot load {options.path}",
            hint="The file may be damaged, or of a kind this llama.cpp does not know.",
        )
    return model


def _kv_type(options: RunnerOptions) -> int:
    """q8_0 on a CPU: llama.cpp then takes one attention path for every batch, whose sums run over a sequence's own
    cells in order, so that an answer does not depend on what else runs. Its f16 paths differ by batch and cache size;
    what they gain is speed at depth (docs/performance.md)."""
    if options.kv_type == "q8_0" or (options.kv_type == "auto" and _on_cpu(options)):
        return int(llama.GGML_TYPE_Q8_0)
    return int(llama.GGML_TYPE_F16)


def _attention(kv_type: int, options: RunnerOptions) -> int:
    """Fused, except for f16 on a CPU: there the plain product of matrices is up to twice as fast, and neither
    is exact. A quantized cache needs the fused one."""
    plain = kv_type == llama.GGML_TYPE_F16 and _on_cpu(options)
    return int(llama.LLAMA_FLASH_ATTN_TYPE_DISABLED if plain else llama.LLAMA_FLASH_ATTN_TYPE_ENABLED)


def _on_cpu(options: RunnerOptions) -> bool:
    return not options.gpu_layers or not llama.llama_supports_gpu_offload()


def _make_context(model: Any, options: RunnerOptions, n_ctx: int, batch: int) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = n_ctx
    params.n_batch = params.n_ubatch = batch
    params.n_seq_max = options.slots + 1  # the ballast
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = options.threads
    params.type_k = params.type_v = kv_type = _kv_type(options)
    params.flash_attn_type = _attention(kv_type, options)
    params.op_offload = bool(options.gpu_layers)  # no layers there means that nothing is computed there
    params.no_perf = True
    context = llama.llama_init_from_model(model, params)
    if not context:
        llama.llama_model_free(model)
        raise NoMemory(
            f"no memory for a context of {n_ctx} tokens with {options.path}",
            hint="Set a smaller [engine] context, or use a smaller model.",
        )
    return context
