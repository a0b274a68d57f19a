//! Tool names that the target takes, and the way back.

use std::borrow::Cow;
use std::collections::HashMap;

use super::ToolNames;
use crate::dialects::message::{ChatRequest, Content, Text, Tool, ToolChoiceMode};
use crate::dialects::mint;

/// Which of our names stands for which of the client's. A name that was not rewritten is never turned back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// The client's own name for what the upstream calls `name`.
    pub fn back<'n>(&'n self, name: &'n str) -> &'n str {
        self.0.get(name).map_or(name, String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for Names {
    /// Pairs of our name and the client's.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(names: T) -> Self {
        Self(names.into_iter().collect())
    }
}

impl IntoIterator for Names {
    type Item = (String, String);
    type IntoIter = std::collections::hash_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Rewrites names the target refuses: in definitions, history and choice.
pub(super) fn rewrite(request: &mut ChatRequest<'_>, rule: ToolNames) -> Names {
    let mut names = Names::default();
    let mut fit = |name: &mut Text<'_>| {
        if let Some(new) = rule.apply(name) {
            names.0.insert(new.clone(), name.to_string());
            *name = Cow::Owned(new);
        }
    };
    for tool in &mut request.tools {
        if let Tool::Callable(callable) = tool {
            fit(&mut callable.name);
        }
    }
    for block in request.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        match &mut block.content {
            Content::ToolCall(call) => fit(&mut call.name),
            Content::ToolResult(result) => {
                if let Some(name) = &mut result.name {
                    fit(name);
                }
            }
            _ => {}
        }
    }
    match request.tool_choice.as_mut().map(|choice| &mut choice.mode) {
        Some(ToolChoiceMode::Named(name)) => fit(name),
        Some(ToolChoiceMode::Allowed { tools, .. }) => tools.iter_mut().for_each(|(_, name)| fit(name)),
        _ => {}
    }
    names
}

impl ToolNames {
    /// `None` where the name may stay: else its allowed characters, and eight hexadecimal digits of its hash behind them.
    fn apply(self, name: &str) -> Option<String> {
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || c == '_' || c == '-' || (self.dots_and_colons && (c == '.' || c == ':'))
        };
        let begins =
            |name: &str| !self.starts_with_a_letter || name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !name.is_empty() && name.len() <= self.longest && begins(name) && name.chars().all(allowed) {
            return None;
        }
        let hash = format!("{:08x}", mint::fnv1a(name.as_bytes()) & 0xffff_ffff);
        let mut kept: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
        if !begins(&kept) {
            kept.insert(0, '_');
        }
        kept.truncate(self.longest.saturating_sub(hash.len() + 1));
        Some(format!("{kept}_{hash}"))
    }
}
