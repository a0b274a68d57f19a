//! Reads a script and refuses what no response could be, before a socket is touched.
//!
//! The rule: a refusal names the place (`rules[1].steps[0].status.code: …`), so that whoever wrote the script finds it.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::script::{Payload, Rule, Script, Step};

/// One request may ask for at most this much text from a script, so that a typing slip cannot eat the machine.
const LONGEST_TEXT_BYTES: usize = 256 * 1024 * 1024;

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// Such as `rules[1].steps[0].status.code`; empty for the script as a whole.
    pub path: String,
    pub reason: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => out.write_str(&self.reason),
            path => write!(out, "{path}: {}", self.reason),
        }
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads a script from JSON; body files are relative to `folder` and read now.
    pub fn parse(json: &str, folder: &Path) -> Result<Self, ScriptError> {
        let mut source = serde_json::Deserializer::from_str(json);
        let mut script: Self = serde_path_to_error::deserialize(&mut source).map_err(|error| ScriptError {
            path: match error.path().to_string() {
                root if root == "." => String::new(),
                path => path,
            },
            reason: error.inner().to_string(),
        })?;
        source.end().map_err(|error| ScriptError { path: String::new(), reason: error.to_string() })?;
        for (position, rule) in script.rules.iter_mut().enumerate() {
            rule.check(&format!("rules[{position}]"), folder)?;
        }
        Ok(script)
    }
}

impl Rule {
    fn check(&mut self, path: &str, folder: &Path) -> Result<(), ScriptError> {
        let refuse =
            |field: &str, reason: &str| ScriptError { path: format!("{path}.{field}"), reason: reason.to_owned() };
        if self.matching.every == Some(0) {
            return Err(refuse("match.every", "must be 1 or more"));
        }
        if self.before_body && (self.matching.model.is_some() || self.matching.stream.is_some()) {
            return Err(refuse(
                "before_body",
                "the model and the stream flag are in the body; match on header, path or count",
            ));
        }
        if self.steps.is_empty() {
            return Err(refuse("steps", "needs at least one step; {\"reply\": {}} is the ordinary answer"));
        }
        let mut progress = Progress::Nothing;
        for (position, step) in self.steps.iter_mut().enumerate() {
            let path = format!("{path}.steps[{position}].{}", step.name());
            step.resolve(&path, folder)?;
            progress = progress.after(step).map_err(|reason| ScriptError { path, reason: reason.to_owned() })?;
        }
        Ok(())
    }
}

/// How far a response has come when a step begins; it decides which steps still make sense.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    Begun,
    Whole,
    Gone,
}

impl Progress {
    fn after(self, step: &Step) -> Result<Self, &'static str> {
        if self == Self::Gone {
            return Err("nothing can follow a step that ends the connection");
        }
        match step {
            Step::Head(_) | Step::Cut(_) if self != Self::Nothing => {
                Err("must come before the steps that send something")
            }
            Step::Head(_) | Step::Cut(_) | Step::Delay(_) => Ok(self),
            Step::Snub(_) if self != Self::Whole => Err("must come after a complete response"),
            Step::Stall | Step::Snub(_) | Step::Close | Step::Reset => Ok(Self::Gone),
            _ if self == Self::Whole => {
                Err("the response is already complete; only delay, close, reset, snub or stall can follow")
            }
            Step::Status(_) | Step::Reply(_) if self == Self::Begun => {
                Err("is a complete response, so nothing may be sent before it")
            }
            Step::Status(_) | Step::Reply(_) | Step::Done => Ok(Self::Whole),
            _ => Ok(Self::Begun),
        }
    }
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Head(_) => "head",
            Self::Cut(_) => "cut",
            Self::Delay(_) => "delay",
            Self::Reply(_) => "reply",
            Self::Events(_) => "events",
            Self::ToolCall(_) => "tool_call",
            Self::Comments(_) => "comments",
            Self::Finish(_) => "finish",
            Self::ErrorEvent(_) => "error_event",
            Self::Done => "done",
            Self::Send(_) => "send",
            Self::Raw(_) => "raw",
            Self::Stall => "stall",
            Self::Snub(_) => "snub",
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }

    /// Reads the files a step names, decodes its bytes, and refuses values that no response can have.
    fn resolve(&mut self, path: &str, folder: &Path) -> Result<(), ScriptError> {
        let refuse = |field: &str, reason: String| Err(ScriptError { path: format!("{path}{field}"), reason });
        match self {
            Self::Status(status) => {
                if !(200..=599).contains(&status.code) {
                    return refuse(".code", format!("{} is not a final status (200 to 599)", status.code));
                }
                status.bytes = match (&status.body, &status.body_file) {
                    (Some(_), Some(_)) => {
                        return refuse(".body_file", "give a body or a body file, not both".into());
                    }
                    (Some(serde_json::Value::String(text)), None) => Some(Bytes::from(text.clone())),
                    (Some(value), None) => Some(Bytes::from(value.to_string())),
                    (None, Some(file)) => Some(read(file, folder, &format!("{path}.body_file"))?),
                    (None, None) => None,
                };
                Ok(())
            }
            Self::Head(head) => match head.status {
                Some(code) if !(200..=599).contains(&code) => {
                    refuse(".status", format!("{code} is not a final status (200 to 599)"))
                }
                _ => Ok(()),
            },
            Self::Reply(reply) => match reply.bytes {
                Some(bytes) if bytes > LONGEST_TEXT_BYTES => {
                    refuse(".bytes", format!("at most {LONGEST_TEXT_BYTES}; use send with repeat for more"))
                }
                _ => Ok(()),
            },
            Self::ToolCall(call) if call.pieces == 0 => refuse(".pieces", "must be 1 or more".into()),
            Self::Send(payload) | Self::Raw(payload) => payload.resolve(path, folder),
            _ => Ok(()),
        }
    }
}

impl Payload {
    fn resolve(&mut self, path: &str, folder: &Path) -> Result<(), ScriptError> {
        self.bytes = match (&self.utf8, &self.base64, &self.file) {
            (Some(text), None, None) => Bytes::from(text.clone()),
            (None, Some(text), None) => Bytes::from(
                STANDARD
                    .decode(text)
                    .map_err(|error| ScriptError { path: format!("{path}.base64"), reason: error.to_string() })?,
            ),
            (None, None, Some(file)) => read(file, folder, &format!("{path}.file"))?,
            _ => {
                return Err(ScriptError {
                    path: path.to_owned(),
                    reason: "give exactly one of utf8, base64 and file".into(),
                });
            }
        };
        Ok(())
    }
}

fn read(file: &Path, folder: &Path, path: &str) -> Result<Bytes, ScriptError> {
    let place = folder.join(file);
    match std::fs::read(&place) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(error) => {
            Err(ScriptError { path: path.to_owned(), reason: format!("cannot read {}: {error}", place.display()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        Script::parse(json, Path::new("/nowhere")).expect_err("the script should be refused").to_string()
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let reason = refusal(r#"{"rules": [{"steps": ["done"]}, {"steps": [{"status": {"code": "many"}}]}]}"#);
        assert!(reason.starts_with("rules[1].steps[0].status.code: invalid type"), "{reason}");
    }

    #[test]
    fn an_unknown_step_lists_the_known_ones() {
        let reason = refusal(r#"{"rules": [{"steps": [{"explode": {}}]}]}"#);
        assert!(reason.starts_with("rules[0].steps[0]"), "{reason}");
        assert!(reason.contains("`stall`"), "{reason}");
    }

    #[test]
    fn an_unknown_field_is_refused_where_it_stands() {
        let reason = refusal(r#"{"rules": [{"steps": [{"delay": {"ms": 1, "s": 2}}]}]}"#);
        assert!(reason.starts_with("rules[0].steps[0].delay"), "{reason}");
    }

    #[test]
    fn a_status_that_is_not_final_is_refused() {
        let reason = refusal(r#"{"rules": [{"steps": [{"status": {"code": 100}}]}]}"#);
        assert_eq!(reason, "rules[0].steps[0].status.code: 100 is not a final status (200 to 599)");
    }

    #[test]
    fn steps_that_could_never_happen_are_refused() {
        for (steps, place) in [
            (r#"["done", {"cut": {"after_bytes": 3}}]"#, "rules[0].steps[1].cut: must come before"),
            (r#"["stall", {"delay": {"ms": 1}}]"#, "rules[0].steps[1].delay: nothing can follow"),
            (r#"["done", {"send": {"utf8": "x"}}]"#, "rules[0].steps[1].send: the response is already"),
            (r#"[{"events": {"count": 1}}, {"snub": {}}]"#, "rules[0].steps[1].snub: must come after"),
            (r#"[{"events": {"count": 1}}, {"reply": {}}]"#, "rules[0].steps[1].reply: is a complete"),
            ("[]", "rules[0].steps: needs at least one"),
        ] {
            let reason = refusal(&format!(r#"{{"rules": [{{"steps": {steps}}}]}}"#));
            assert!(reason.starts_with(place), "{reason}");
        }
    }

    #[test]
    fn a_missing_body_file_is_named_with_its_place() {
        let reason = refusal(r#"{"rules": [{"steps": [{"status": {"code": 500, "body_file": "a.json"}}]}]}"#);
        assert!(reason.starts_with("rules[0].steps[0].status.body_file: cannot read /nowhere/a.json"), "{reason}");
    }

    #[test]
    fn bytes_are_given_in_exactly_one_way() {
        let reason = refusal(r#"{"rules": [{"steps": [{"raw": {"utf8": "a", "base64": "YQ=="}}]}]}"#);
        assert_eq!(reason, "rules[0].steps[0].raw: give exactly one of utf8, base64 and file");
    }

    #[test]
    fn text_after_the_script_is_refused() {
        assert!(refusal("{} {}").contains("trailing"));
    }
}
