//! The names that one model goes by: dated snapshots, aliases for the latest, previews, routes within a provider, regions.
//!
//! The rule: a name is only ever shortened, so that nothing is concluded from a name beyond what it says itself. The
//! surprise: a fine-tuned model and the model it was made of are the same here, because they take the same requests.

use std::borrow::Cow;

/// Ends by which a provider names whatever is newest.
const NEWEST: [&str; 4] = ["-latest", "@default", "@latest", ":latest"];

/// A profile of several regions: `eu.anthropic.NAME`.
const REGIONS: [&str; 9] = ["us", "us-gov", "eu", "apac", "jp", "au", "ca", "in", "global"];

/// The names `model` may be known by, the most particular first; it is the first itself, unless it stands in an ARN.
pub fn spellings(model: &str) -> Vec<Cow<'_, str>> {
    let mut found = Vec::with_capacity(8);
    // An ARN ends in the name; so does a path such as `accounts/fireworks/models/NAME`.
    let name = if model.starts_with("arn:") { bare(model) } else { model };
    let name = name.strip_prefix("ft:").and_then(|tuned| tuned.split(':').next()).unwrap_or(name);
    let lower = name.to_ascii_lowercase();
    add(&mut found, name.into());
    add(&mut found, lower.into());
    add(&mut found, without_region(name).into());
    if let Some((before, _)) = name.rsplit_once(':') {
        add(&mut found, before.into());
    }
    add(&mut found, bare(name).into());
    let known = found.clone();
    for name in &known {
        if let Some(shorter) = without_preview(name).map(|name| name.to_owned().into())
            && !found.contains(&shorter)
        {
            found.push(shorter);
        }
    }
    found
}

/// Ends of names that are given before a model has its own.
const PREVIEWS: [&str; 2] = ["-preview", "-exp"];

/// The name that a model comes to have once it is no preview. Looked for last: a preview that is known by itself is itself.
fn without_preview(name: &str) -> Option<&str> {
    let undated = without_end(name, "dd-dd").unwrap_or_else(|| family(name));
    PREVIEWS.iter().find_map(|end| undated.strip_suffix(end)).filter(|shorter| !shorter.is_empty())
}

/// Without what tells one snapshot of a model from another.
pub fn family(name: &str) -> &str {
    without_date(without_version(name))
}

fn add<'m>(found: &mut Vec<Cow<'m, str>>, name: Cow<'m, str>) {
    let forms = match name {
        Cow::Borrowed(name) => [name, without_version(name), family(name)].map(Cow::Borrowed),
        Cow::Owned(name) => {
            let (shorter, family) = (without_version(&name).to_owned(), family(&name).to_owned());
            [name, shorter, family].map(Cow::Owned)
        }
    };
    for form in forms {
        if !form.is_empty() && !found.contains(&form) {
            found.push(form);
        }
    }
}

/// The name behind the last slash: a route within a provider, or a maker.
fn bare(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}

fn without_region(name: &str) -> &str {
    let Some((region, rest)) = name.split_once('.') else { return name };
    let has_maker = rest.split_once('.').is_some_and(|(maker, _)| !maker.is_empty() && maker.bytes().all(is_plain));
    if has_maker && REGIONS.contains(&region) { rest } else { name }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Without `-latest`, `-v1:0`, `:0`, and the `-0` of a version that is whole.
fn without_version(name: &str) -> &str {
    if let Some(shorter) = NEWEST.iter().find_map(|end| name.strip_suffix(end)) {
        return shorter;
    }
    if let Some(shorter) = name.strip_suffix("-0").filter(|shorter| shorter.ends_with(|end: char| end.is_ascii_digit()))
    {
        return shorter;
    }
    let numbered = match name.rsplit_once(':') {
        Some((before, number)) if is_number(number) => before,
        _ => name,
    };
    match numbered.rsplit_once("-v") {
        Some((before, number)) if is_number(number) => before,
        _ => numbered,
    }
}

/// Without `-20250929`, `-2025-08-07`, `@20250929`, `-0613` or `-09-2025`.
fn without_date(name: &str) -> &str {
    ["20dddddd", "20dd-dd-dd", "dd-20dd", "dddd"].iter().find_map(|form| without_end(name, form)).unwrap_or(name)
}

/// Without an end of this form behind `-` or `@`; `d` stands for a digit.
fn without_end<'n>(name: &'n str, form: &str) -> Option<&'n str> {
    let (before, end) = name.split_at_checked(name.len().checked_sub(form.len())?)?;
    let agrees = |(byte, form): (u8, u8)| if form == b'd' { byte.is_ascii_digit() } else { byte == form };
    let before = before.strip_suffix(['-', '@'])?;
    end.bytes().zip(form.bytes()).all(agrees).then_some(before)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_of_its_family() {
        for (name, of) in [
            ("gpt-5-2025-08-07", "gpt-5"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
            ("gpt-3.5-turbo-0613", "gpt-3.5-turbo"),
            ("command-r-08-2024", "command-r"),
            ("mistral-large-latest", "mistral-large"),
            ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku"),
            ("claude-opus-4-0", "claude-opus-4"),
            ("llama-3.3-70b", "llama-3.3-70b"),
            ("20250929", "20250929"),
            ("-0", "-0"),
            ("", ""),
        ] {
            assert_eq!(family(name), of, "{name}");
        }
    }

    #[test]
    fn a_name_is_looked_for_as_it_is_and_then_shortened() {
        assert_eq!(spellings("GPT-4o-2024-08-06"), ["GPT-4o-2024-08-06", "GPT-4o", "gpt-4o-2024-08-06", "gpt-4o"]);
        assert_eq!(spellings("ft:gpt-4o-mini-2024-07-18:acme::1"), ["gpt-4o-mini-2024-07-18", "gpt-4o-mini"]);
        let arn = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.maker.claude-20250929-v1:0";
        assert!(spellings(arn).contains(&"maker.claude".into()), "{:?}", spellings(arn));
        assert!(spellings("accounts/someone/models/name").contains(&"name".into()));
        assert!(spellings("maker/Name:route").contains(&"maker/Name".into()));
        assert!(spellings("").is_empty());
    }

    #[test]
    fn a_preview_is_taken_for_what_it_previews_when_it_is_not_known_itself() {
        for (name, of) in [
            ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
            ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
            ("models/gemini-9-pro-exp", "gemini-9-pro"),
        ] {
            assert_eq!(spellings(name).last().map(|name| &**name), Some(of), "{name}");
        }
        let image = spellings("gemini-2.5-flash-preview-tts");
        assert!(!image.contains(&"gemini-2.5-flash".into()), "{image:?}");
        assert_eq!(spellings("-preview"), ["-preview"]);
    }
}
