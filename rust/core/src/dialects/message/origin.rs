//! Where a client wrote something, in the words of its dialect.
//!
//! Turns, blocks and tools are merged, moved and split on their way to a target, and each takes its origin along: whatever
//! is said of it names the place where its client finds it. What we added ourselves has none.

use std::fmt;

/// A place in a request: an item of a list, perhaps a part of it, perhaps something inside of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    list: Word,
    item: Option<u32>,
    part: Step,
    inner: Step,
}

/// A member, and perhaps an item of the list that it is.
type Step = Option<(Word, Option<u32>)>;

/// The members that places lead through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Audio,
    Content,
    Contents,
    FunctionCall,
    FunctionDeclarations,
    FunctionResponseParts,
    FunctionResponse,
    Functions,
    Images,
    Input,
    Instructions,
    Messages,
    Output,
    Parts,
    Prompt,
    Reasoning,
    ReasoningContent,
    ReasoningDetails,
    Refusal,
    System,
    SystemInstruction,
    Thinking,
    ThinkingBlocks,
    ToolCalls,
    ToolPlan,
    Tools,
}

impl Word {
    const fn spelled(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Content => "content",
            Self::Contents => "contents",
            Self::FunctionCall => "function_call",
            Self::FunctionDeclarations => "functionDeclarations",
            Self::FunctionResponseParts => "functionResponse.parts",
            Self::FunctionResponse => "functionResponse.response",
            Self::Functions => "functions",
            Self::Images => "images",
            Self::Input => "input",
            Self::Instructions => "instructions",
            Self::Messages => "messages",
            Self::Output => "output",
            Self::Parts => "parts",
            Self::Prompt => "prompt",
            Self::Reasoning => "reasoning",
            Self::ReasoningContent => "reasoning_content",
            Self::ReasoningDetails => "reasoning_details",
            Self::Refusal => "refusal",
            Self::System => "system",
            Self::SystemInstruction => "systemInstruction",
            Self::Thinking => "thinking",
            Self::ThinkingBlocks => "thinking_blocks",
            Self::ToolCalls => "tool_calls",
            Self::ToolPlan => "tool_plan",
            Self::Tools => "tools",
        }
    }
}

/// A position; those beyond four thousand million are not told apart.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Origin {
    /// A member of the request as a whole.
    pub(crate) const fn member(list: Word) -> Self {
        Self { list, item: None, part: None, inner: None }
    }

    pub(crate) fn item(list: Word, at: usize) -> Self {
        Self { item: Some(position(at)), ..Self::member(list) }
    }

    /// A member of what is here, or an item of it.
    pub(crate) fn part(self, word: Word, at: Option<usize>) -> Self {
        let step = Some((word, at.map(position)));
        if self.part.is_none() { Self { part: step, ..self } } else { Self { inner: step, ..self } }
    }

    /// Its number in its list.
    pub(crate) fn number(self) -> Option<u32> {
        self.item
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.list.spelled())?;
        if let Some(item) = self.item {
            write!(f, "[{item}]")?;
        }
        for (word, at) in [self.part, self.inner].into_iter().flatten() {
            // A whole instruction has parts, and is no item of a list.
            write!(f, ".{}", word.spelled())?;
            if let Some(at) = at {
                write!(f, "[{at}]")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_the_client_would_look_for_it() {
        let part = Origin::item(Word::Contents, 2).part(Word::Parts, Some(1));
        assert_eq!(part.to_string(), "contents[2].parts[1]");
        assert_eq!(
            part.part(Word::FunctionResponseParts, Some(0)).to_string(),
            "contents[2].parts[1].functionResponse.parts[0]"
        );
        assert_eq!(Origin::member(Word::Instructions).to_string(), "instructions");
        assert_eq!(Origin::item(Word::System, 0).to_string(), "system[0]");
    }
}
