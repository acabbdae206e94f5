"""What a sentence means, as vectors: the BERT-style encoder of all-MiniLM-L6-v2, read by the world model and by search.

Architecture after Devlin et al. 2019 (BERT) in the size of Wang et al. 2020 (MiniLM); weights by Reimers and Gurevych
2019 (sentence-transformers), Apache-2.0, pretrained to put paraphrases close together. Frozen: nothing here is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from tokenizers import Tokenizer
from torch import Tensor, nn

from wow.types import WowError

MAX_TOKENS = 64
"""Tokens of an instruction that are read, the marks of its start and end among them."""
MARKS = 2


@dataclass(frozen=True)
class TextEncoderConfig:
    """Sizes of the encoder; the defaults are those of all-MiniLM-L6-v2."""

    vocabulary_size: int = 30522
    width: int = 384
    depth: int = 6
    num_heads: int = 12
    feedforward_width: int = 1536
    max_positions: int = 512
    num_token_types: int = 2
    norm_epsilon: float = 1e-12

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} does not divide into {self.num_heads} heads")


class SelfAttention(nn.Module):
    """Every word looks at every real word of its sentence."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        b, length, _ = x.shape
        q, k, v = (
            project(x).view(b, length, self.num_heads, -1).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        mixed: Tensor = self.out(attended.transpose(1, 2).reshape(b, length, -1))
        return mixed


class Block(nn.Module):
    """Attention, then a feed-forward network; each is added to its input and the sum is normalised (post-LN)."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_norm = nn.LayerNorm(config.width, config.norm_epsilon)
        self.expand = nn.Linear(config.width, config.feedforward_width)
        self.contract = nn.Linear(config.feedforward_width, config.width)
        self.feedforward_norm = nn.LayerNorm(config.width, config.norm_epsilon)

    def forward(self, x: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        x = self.attention_norm(x + self.attention(x, mask))
        x = self.feedforward_norm(x + self.contract(F.gelu(self.expand(x))))
        return x


class TextEncoder(nn.Module):
    """One vector for every word of every sentence. Frozen and in evaluation mode."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = _table(config.vocabulary_size, config.width)
        self.positions = _table(config.max_positions, config.width)
        self.token_types = _table(config.num_token_types, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_epsilon)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.eval().requires_grad_(False)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], config: TextEncoderConfig) -> TextEncoder:
        """The encoder with these weights, which it keeps without a copy. Raises WowError where they do not fit."""
        with torch.device("meta"):  # no time is spent on random weights that are replaced at once
            encoder = cls(config)
        try:
            encoder.load_state_dict(dict(tensors), assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise WowError(
                f"text encoder weights do not fit their configuration ({reason}); run `wow doctor`"
            ) from None
        return encoder.requires_grad_(False)

    def forward(self, token_ids: Int[Tensor, "b l"], mask: Bool[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        """The last hidden states. mask: True for real tokens; what stands at the others is meaningless.

        l is at most `config.max_positions`, and every row has at least one real token.
        """
        # Sentence pairs would use token type 1; a single sentence is all type 0.
        x: Tensor = self.words(token_ids) + self.positions.weight[: token_ids.shape[1]] + self.token_types.weight[0]
        x = self.norm(x)
        for block in self.blocks:
            x = block(x, mask)
        return x


def _table(num_rows: int, width: int) -> nn.Embedding:
    """Zeros until the weights come: normal noise on the meta device would load torch's compiler, for a second."""
    table: nn.Embedding = nn.Embedding.from_pretrained(torch.zeros(num_rows, width))  # type: ignore[no-untyped-call]
    return table


class TextConditioner:
    """Sentences in, vectors out: a tokenizer and an encoder that belong together."""

    def __init__(self, encoder: TextEncoder, tokenizer_json: str | bytes) -> None:
        """tokenizer_json: the contents of a `tokenizer.json`, as the tokenizers library writes it."""
        self.encoder = encoder
        text = tokenizer_json.decode() if isinstance(tokenizer_json, bytes) else tokenizer_json
        self.tokenizer: Tokenizer = Tokenizer.from_str(text)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def to(self, device: torch.device | str) -> TextConditioner:
        """Itself, with the encoder moved to `device`, where its results will be too."""
        self.encoder.to(device)
        return self

    def check(self, text: str, reader: str) -> None:
        """Raises WowError for an instruction that would lose its end when it is encoded. reader: who is told it."""
        count = len(self.tokenizer.encode(text).ids)
        if count > MAX_TOKENS:
            raise WowError(
                f"the instruction has {len(text.split())} words ({count - MARKS} tokens), and {reader} reads "
                f"{MAX_TOKENS - MARKS} tokens: say it shorter"
            )

    def beginning(self, text: str) -> str:
        """As much of a text as is encoded: all of it, or what the first tokens of a longer one are made of."""
        encoding = self.tokenizer.encode(text)
        if len(encoding.ids) <= MAX_TOKENS:
            return text
        return text[: encoding.offsets[MAX_TOKENS - MARKS][1]]

    def tokenize(
        self, texts: Sequence[str], max_tokens: int = MAX_TOKENS
    ) -> tuple[Int[Tensor, "b l"], Bool[Tensor, "b l"]]:
        """Token ids and the mask of real tokens, padded to the longest text; l counts the marks of start and end.

        A text of more than `max_tokens` tokens loses its end, but keeps the end mark. Raises ValueError where there is
        no text, or `max_tokens` is not in 3..`config.max_positions`.
        """
        if isinstance(texts, str) or len(texts) == 0:
            raise ValueError(f"texts are a sequence of one or more strings, not {texts!r}")
        if not 3 <= max_tokens <= self.encoder.config.max_positions:
            raise ValueError(f"max_tokens is in 3..{self.encoder.config.max_positions}, not {max_tokens}")
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        rows = [row if len(row) <= max_tokens else [*row[: max_tokens - 1], row[-1]] for row in rows]
        lengths = torch.tensor([len(row) for row in rows])
        token_ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        mask = torch.arange(token_ids.shape[1])[None] < lengths[:, None]
        device = self.encoder.words.weight.device
        return token_ids.to(device), mask.to(device)

    @torch.no_grad()  # and not inference_mode: training reads these vectors inside its own graph
    def encode(
        self, texts: Sequence[str], max_tokens: int = MAX_TOKENS
    ) -> tuple[Float[Tensor, "b l d"], Bool[Tensor, "b l"]]:
        """One vector for every token, zero at padding, and the mask of real tokens. See `tokenize` for l and errors."""
        token_ids, mask = self.tokenize(texts, max_tokens)
        return self.encoder(token_ids, mask) * mask[..., None], mask

    @torch.no_grad()
    def sentence_embedding(self, texts: Sequence[str], max_tokens: int = 256) -> Float[Tensor, "b d"]:
        """One vector of length 1 for every text, the mean over its tokens; their dot product is how alike texts are."""
        tokens, mask = self.encode(texts, max_tokens)
        return F.normalize(tokens.sum(1) / mask.sum(1, keepdim=True), dim=-1)
