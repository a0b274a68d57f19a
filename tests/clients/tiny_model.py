"""`tiny_model.py FILE`: writes a real llama model that is tiny: two layers, 64 wide, a token per byte, half a megabyte.

Its weights are random but the same at every run. The surprise is the first dimension: no layer writes to it, and
through it the output matrix holds a bias that makes the model speak printable ASCII and close what it opens in JSON.
"""

import sys

import numpy as np
from gguf import GGUFWriter, TokenType

WIDTH = 64
HEADS = 4
LAYERS = 2
FEED_FORWARD = 128
CONTEXT = 4096
# A space is no byte to this kind of tokenizer but U+2581. The mark of a tool call is one token, as in many real models,
# so that a request can ask for it by `logit_bias`.
SPECIAL = {
    "<unk>": TokenType.UNKNOWN,
    "<s>": TokenType.CONTROL,
    "</s>": TokenType.CONTROL,
    "\u2581": TokenType.NORMAL,
    "<tool_call>": TokenType.USER_DEFINED,
}
EOS = 2
TOKENS = len(SPECIAL) + 256
# llama.cpp derives from this how tools are shown and how calls are written.
CHAT_TEMPLATE = (
    "{%- if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif -%}"
    "{%- for message in messages %}{{ message.role }}: {{ message.content or '' }}"
    "{%- if message.tool_calls %}<tool_call>[{% for call in message.tool_calls %}"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    "{%- if not loop.last %}, {% endif %}{% endfor %}]{% endif %}\n{% endfor -%}"
    "{%- if add_generation_prompt %}assistant: {% endif -%}"
)


def write_model(path: str) -> None:
    """Writes the model as GGUF."""
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(TOKENS)
    _add_vocabulary(writer)
    for name, weights in _weights(np.random.default_rng(7)).items():
        writer.add_tensor(name, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: GGUFWriter) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))])
    writer.add_token_scores([0.0] * TOKENS)
    writer.add_token_types([*SPECIAL.values(), *[TokenType.BYTE] * 256])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(EOS)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _weights(dice: np.random.Generator) -> dict[str, np.ndarray]:
    def matrix(rows: int, columns: int) -> np.ndarray:
        return dice.normal(0, columns**-0.5, (rows, columns))

    def back(columns: int) -> np.ndarray:
        """Writes into the stream of a token, all but its first dimension."""
        return np.vstack([np.zeros((1, columns)), matrix(WIDTH - 1, columns)])

    embedding = matrix(TOKENS, WIDTH) * 8
    embedding[:, 0] = 2
    weights = {"token_embd.weight": embedding, "output_norm.weight": np.ones(WIDTH), "output.weight": _output(dice)}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        weights |= {f"{block}.attn_{name}.weight": matrix(WIDTH, WIDTH) for name in "qkv"}
        weights |= {f"{block}.ffn_{name}.weight": matrix(FEED_FORWARD, WIDTH) for name in ("gate", "up")}
        weights |= {f"{block}.{name}_norm.weight": np.ones(WIDTH) for name in ("attn", "ffn")}
        weights |= {f"{block}.attn_output.weight": back(WIDTH), f"{block}.ffn_down.weight": back(FEED_FORWARD)}
    return weights


def _output(dice: np.random.Generator) -> np.ndarray:
    output = dice.normal(0, 0.25, (TOKENS, WIDTH))
    output[:, 0] = -20
    printable = slice(len(SPECIAL) + ord("!"), len(SPECIAL) + ord("~") + 1)
    output[printable, 0] = 0
    for close in '"}]':
        output[len(SPECIAL) + ord(close), 0] = 4
    output[EOS, 0] = 0
    return output


if __name__ == "__main__":
    write_model(sys.argv[1])
