"""How a provider departs from the chat dialect it speaks: small verbs, none of which needs another.

One rule: the names are the engine's (`rust/core/src/quirks.rs`), which also says what each does to the bytes. The
catalogue has those of the providers it knows; here a user says those of another, or corrects one.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Bounds = Annotated[list[float], Meta(min_length=2, max_length=2)]


class Quirks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """How a provider departs from the chat dialect. What is null is as the catalogue says, else as the dialect is."""

    rename: Annotated[
        dict[str, str] | None,
        Meta(description="Members under another name.", examples=[{"max_completion_tokens": "max_tokens"}]),
    ] = None
    drop: Annotated[list[str] | None, Meta(description="Members left out.", examples=[["logit_bias"]])] = None
    default: Annotated[
        dict[str, bool | int | float | str] | None,
        Meta(description="Members said where the client does not say them.", examples=[{"parallel_tool_calls": True}]),
    ] = None
    clamp: Annotated[
        dict[str, Bounds] | None,
        Meta(description="Numbers brought between two bounds.", examples=[{"temperature": [0, 1.5]}]),
    ] = None
    tool_choice: Annotated[
        dict[str, str] | None,
        Meta(
            description="Words of `tool_choice` for others; `named` is the object that names a function.",
            examples=[{"required": "any"}],
        ),
    ] = None
    system_role: Annotated[
        Literal["system", "developer", "none"] | None, Meta(description="The one role of instructions that it knows.")
    ] = None
    call_ids: Annotated[
        Literal["any", "nine", "word64", "word40"] | None,
        Meta(description="What ids of tool calls may be: anything, nine letters or digits, or a word of that length."),
    ] = None
    flatten_text: Annotated[bool | None, Meta(description="Content that is only text is a string, no list.")] = None
    documents: Annotated[
        Literal["file", "file_url", "document_url", "none"] | None,
        Meta(
            description="How documents are said: a `file` of PDF in bytes, a `file` of any type or an address, "
            "`document_url`, or not at all."
        ),
    ] = None
    sounds: Annotated[
        Literal["named", "bare"] | None, Meta(description="Whether `input_audio` is an object with a format or bytes.")
    ] = None
    user_first: Annotated[bool | None, Meta(description="The first turn must be the user's.")] = None
    alternates: Annotated[bool | None, Meta(description="User and assistant take turns.")] = None
    system_first: Annotated[bool | None, Meta(description="Instructions stand in front only.")] = None
    no_blank_text: Annotated[bool | None, Meta(description="An empty text is refused.")] = None
    no_name_on_messages: Annotated[bool | None, Meta(description="`name` stands on results of tools alone.")] = None
    no_null_members: Annotated[bool | None, Meta(description="Members of messages that are null are refused.")] = None
    history_reasoning: Annotated[
        Literal["keep", "strip", "require", "thinking_part", "reasoning"] | None,
        Meta(description="What becomes of the reasoning of earlier turns."),
    ] = None
    answer_after_results: Annotated[
        bool | None, Meta(description="Behind results of tools the assistant must speak before the user does.")
    ] = None
    arguments_are_objects: Annotated[
        bool | None, Meta(description="Arguments of earlier calls must be the text of an object.")
    ] = None
    prefill_mark: Annotated[
        Literal["prefix", "partial"] | None,
        Meta(description="The word that has a last turn continued."),
    ] = None
    strict_unsupported: Annotated[bool | None, Meta(description="`strict` is refused.")] = None
    custom_tools: Annotated[bool | None, Meta(description="Free text tools are taken as they are.")] = None
    tool_schema: Annotated[
        Literal["inlined", "bare", "open_api", "open_ai_strict"] | None,
        Meta(description="What the schemas of tools may hold."),
    ] = None
    json_schema: Annotated[
        Literal["native", "json_object", "tool", "prompt"] | None,
        Meta(description="How answers are held to a schema, where nothing is known of the model."),
    ] = None
    json_word_needed: Annotated[
        bool | None, Meta(description='`json_object` is refused where no message holds the word "json".')
    ] = None
    reasoning_form: Annotated[
        Literal["effort", "thinking", "enable_thinking", "reasoning", "template"] | None,
        Meta(description="Where a wish to think stands."),
    ] = None
    one_choice: Annotated[bool | None, Meta(description="More than one choice cannot be asked for.")] = None
    stream_only: Annotated[
        bool | None,
        Meta(description="It answers only as a stream: one is asked for, and put together for who wants none."),
    ] = None
    usage: Annotated[
        Literal["reasoning_apart", "completion_from_total", "prompt_from_total"] | None,
        Meta(description="How its token counts depart from prompt + completion = total."),
    ] = None
    empty_content_is_failure: Annotated[
        bool | None,
        Meta(description="An answer without content that ended well is a failure, as with `patience.retry_empty`."),
    ] = None
