//! Tokens of a whole chat request: its texts, and what the model's template, tools and images add to them.
//!
//! One rule: a request is never refused here; what cannot be read is estimated. Bodies of OpenAI chat, OpenAI Responses and
//! Anthropic Messages are read by the same code, which looks at what is there. The surprise: base64 media never reaches
//! a tokenizer; five megabytes of image would be two million tokens of wrong text.

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::estimate::estimate_text;
use super::headers::{base64_size, data_url_size};
use super::images::{Rule, image_tokens, rule_for};
use super::request::{Call, Chat, Media, Message, Part, is_string, string};
use super::tools::{FORCED_TOKENS, NAMESPACE_TOKENS, NONE_TOKENS, SHARED_WITH_SYSTEM, render_namespace};
use super::{Budget, Count, Density, Encoding, Unseen, count_text, encoding_for};

/// By whose rules a request is counted. The model is the target's, which need not be the one in the body.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    pub model: &'a str,
    pub encoding: Encoding,
    pub unseen: Unseen,
}

impl<'a> Measure<'a> {
    /// The table's encoding for the model, and images of unknown size at their most.
    pub fn for_model(model: &'a str) -> Self {
        Self { model, encoding: encoding_for(model), unseen: Unseen::Most }
    }
}

// OpenAI's cookbook ("How to count tokens with tiktoken"): every message costs three tokens around its fields' values, one
// more when it has a name, and the reply is primed with three.
const MESSAGE_TOKENS: u64 = 3;
const NAME_TOKENS: u64 = 1;
const REPLY_PRIMING: u64 = 3;
/// Around the name and the arguments of a call that an assistant made.
const CALL_TOKENS: u64 = 3;

/// Tool definitions longer than this are estimated from their length instead of rendered.
const LONGEST_TOOLS: usize = 256 << 10;
/// Messages and parts read one by one; what follows them is estimated from its length. Keeps a body of three million
/// empty messages as cheap as its bytes.
const MOST_ITEMS: u32 = 65_536;
/// A tool's result may hold parts which hold parts; templates know no deeper nesting.
const DEEPEST_CONTENT: u32 = 4;

/// Counts a request body as far as `budget` reaches. Exact only for plain messages under a public vocabulary: tools,
/// calls and media are estimates by their providers' or observers' rules.
pub fn count_chat(body: &[u8], measure: &Measure<'_>, budget: &mut Budget) -> Count {
    let Ok(chat) = serde_json::from_slice::<Chat<'_>>(body) else {
        let density = match measure.encoding {
            Encoding::Estimate(density) => density,
            Encoding::O200kBase | Encoding::Cl100kBase => Density::Typical,
        };
        return Count::estimated(estimate_text(&String::from_utf8_lossy(body), density));
    };
    let mut tally = Tally {
        encoding: measure.encoding,
        rule: rule_for(measure.model),
        unseen: measure.unseen,
        items_left: MOST_ITEMS,
        has_system: false,
        sum: Count { tokens: REPLY_PRIMING, exact: true },
        budget,
    };
    tally.chat(&chat);
    tally.sum
}

struct Tally<'b> {
    encoding: Encoding,
    rule: Rule,
    unseen: Unseen,
    items_left: u32,
    has_system: bool,
    sum: Count,
    budget: &'b mut Budget,
}

impl Tally<'_> {
    fn chat(&mut self, chat: &Chat<'_>) {
        // Anthropic and Responses keep the system message outside the list.
        for system in [chat.system, chat.instructions].into_iter().flatten() {
            self.has_system = true;
            self.template(MESSAGE_TOKENS);
            self.text("system");
            self.content(system, 0);
        }
        match chat.input {
            Some(text) if is_string(text) => {
                self.template(MESSAGE_TOKENS);
                self.text("user");
                self.content(text, 0);
            }
            list => [chat.messages, list].into_iter().flatten().for_each(|list| self.messages(list)),
        }
        for tools in [chat.tools, chat.functions].into_iter().flatten() {
            self.tools(tools);
        }
        if let Some(choice) = chat.tool_choice {
            self.tool_choice(choice);
        }
    }

    fn messages(&mut self, list: &RawValue) {
        self.each(list, |tally, item| match serde_json::from_str::<Message<'_>>(item.get()) {
            Ok(message) => tally.message(&message),
            Err(_) => tally.estimate_raw(item),
        });
    }

    fn message(&mut self, message: &Message<'_>) {
        self.template(MESSAGE_TOKENS);
        if let Some(role) = message.role.and_then(string) {
            self.has_system |= matches!(&*role, "system" | "developer");
            self.text(&role);
        }
        if let Some(name) = message.name.and_then(string) {
            self.template(NAME_TOKENS);
            self.text(&name);
        }
        if let Some(content) = message.content {
            self.content(content, 0);
        }
        if let Some(calls) = message.tool_calls {
            self.each(calls, Self::call);
        }
        if let Some(call) = message.function_call {
            self.call(call);
        }
        for field in [message.arguments, message.output].into_iter().flatten() {
            self.sum.exact = false;
            self.content(field, 0);
        }
    }

    fn content(&mut self, content: &RawValue, depth: u32) {
        if let Some(text) = string(content) {
            self.text(&text);
        } else if content.get().starts_with('[') {
            self.each(content, |tally, part| tally.part(part, depth));
        } else if content.get().starts_with('{') {
            self.part(content, depth);
        }
    }

    fn part(&mut self, raw: &RawValue, depth: u32) {
        if let Some(text) = string(raw) {
            return self.text(&text);
        }
        let Ok(part) = serde_json::from_str::<Part<'_>>(raw.get()) else {
            return self.estimate_raw(raw);
        };
        let texts: [Option<&RawValue>; 3] = [part.text, part.refusal, part.thinking];
        let mut found = false;
        for text in texts.into_iter().flatten().filter_map(string) {
            found = true;
            self.text(&text);
        }
        if let Some(input) = part.input {
            // A call in Anthropic's form; the model sees its JSON.
            found = true;
            self.template_estimate(CALL_TOKENS);
            if let Some(name) = part.name.and_then(string) {
                self.text(&name);
            }
            self.text(input.get());
        }
        match part.content {
            Some(inner) if depth < DEEPEST_CONTENT => {
                found = true;
                self.sum.exact = false;
                self.content(inner, depth + 1);
            }
            Some(inner) => self.estimate_raw(inner),
            None => {}
        }
        let is_text = part.kind.and_then(string).is_some_and(|kind| kind.contains("text"));
        if part.image_url.is_some() || part.source.is_some() || !(found || is_text) {
            self.media(&part);
        }
    }

    /// An image, or audio, video or a file, whose price nobody publishes: those count as an image that was not seen.
    fn media(&mut self, part: &Part<'_>) {
        let inner = part.image_url.or(part.source);
        let object = inner.and_then(|raw| serde_json::from_str::<Media<'_>>(raw.get()).ok());
        let url = inner.and_then(string).or_else(|| object.as_ref()?.url.and_then(string));
        let data = object.as_ref().and_then(|media| media.data).and_then(string);
        let detail = object.as_ref().and_then(|media| media.detail).or(part.detail).and_then(string);
        let size = url.and_then(|url| data_url_size(&url)).or_else(|| data.and_then(|data| base64_size(&data)));
        self.template_estimate(image_tokens(self.rule, detail.as_deref(), size, self.unseen));
    }

    /// Chat's form of a call, `{function: {name, arguments}}`, or the inner object alone.
    fn call(&mut self, raw: &RawValue) {
        let outer = serde_json::from_str::<Call<'_>>(raw.get());
        let inner = outer.as_ref().ok().and_then(|call| call.function);
        let Ok(call) = inner.map_or(outer, |raw| serde_json::from_str(raw.get())) else {
            return self.estimate_raw(raw);
        };
        self.template_estimate(CALL_TOKENS);
        for text in [call.name, call.arguments].into_iter().flatten().filter_map(string) {
            self.text(&text);
        }
    }

    fn tools(&mut self, raw: &RawValue) {
        let tools =
            (raw.get().len() <= LONGEST_TOOLS).then(|| serde_json::from_str::<Vec<Value>>(raw.get()).ok()).flatten();
        match tools {
            Some(tools) if tools.is_empty() => {}
            Some(tools) => {
                self.text(&render_namespace(&tools));
                let shared = if self.has_system { SHARED_WITH_SYSTEM } else { 0 };
                self.template_estimate(NAMESPACE_TOKENS - shared);
            }
            None => self.estimate_raw(raw),
        }
    }

    fn tool_choice(&mut self, raw: &RawValue) {
        match string(raw).as_deref() {
            Some("none") => self.template_estimate(NONE_TOKENS),
            Some(_) => {}
            None => {
                let choice = serde_json::from_str::<Call<'_>>(raw.get()).ok();
                let inner = choice.as_ref().and_then(|choice| choice.function);
                let function = inner.and_then(|raw| serde_json::from_str::<Call<'_>>(raw.get()).ok());
                let name = function.or(choice).and_then(|function| function.name).and_then(string);
                if let Some(name) = name {
                    self.template_estimate(FORCED_TOKENS);
                    self.text(&name);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        let count = count_text(self.encoding, text, self.budget);
        self.sum = self.sum.plus(count);
    }

    fn template(&mut self, tokens: u64) {
        self.sum = self.sum.plus(Count { tokens, exact: true });
    }

    fn template_estimate(&mut self, tokens: u64) {
        self.sum = self.sum.plus(Count::estimated(tokens));
    }

    /// For JSON of a shape not known: four bytes a token, without reading it.
    fn estimate_raw(&mut self, raw: &RawValue) {
        self.template_estimate(raw.get().len().div_ceil(4) as u64);
    }

    /// Calls `read` for each element while items are left, and estimates the rest. What is not a list holds nothing.
    fn each(&mut self, list: &RawValue, read: impl FnMut(&mut Self, &RawValue)) {
        struct Elements<'t, 'b, F>(&'t mut Tally<'b>, F);
        impl<'de, 'b, F: FnMut(&mut Tally<'b>, &RawValue)> Visitor<'de> for Elements<'_, 'b, F> {
            type Value = ();

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
                while let Some(element) = list.next_element::<&RawValue>()? {
                    match self.0.items_left.checked_sub(1) {
                        Some(left) => {
                            self.0.items_left = left;
                            (self.1)(self.0, element);
                        }
                        None => self.0.estimate_raw(element),
                    }
                }
                Ok(())
            }
        }
        // The body was read once already, so its lists are well formed; another kind of value costs nothing.
        let _ = serde_json::Deserializer::from_str(list.get()).deserialize_seq(Elements(self, read));
    }
}
