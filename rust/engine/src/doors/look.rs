//! What is learned of a body while it comes: all that JSON says, the model that a form names, or its length.

use fastroute_core::json::{Limits, Scan, Scanner};
use fastroute_core::multipart::Finder;

use super::body::{scanner, unreadable};
use crate::io::Bounds;
use crate::opaque::Body;
use crate::problem::Problem;
use crate::spoken::Spoken;

/// The limits that every door shares.
pub(super) fn limits(bounds: &Bounds) -> Limits {
    Limits { body_bytes: bounds.body_bytes, ..Limits::default() }
}

/// See the module.
#[derive(Debug)]
pub struct Look {
    kind: Kind,
    bytes: usize,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every body is JSON, and a box for it would be one more per request"
)]
enum Kind {
    Json(Scanner),
    Form(Finder),
    Broken,
    Bytes,
}

impl Look {
    pub fn at(spoken: &Spoken, bounds: &Bounds) -> Self {
        let limits = limits(bounds);
        let kind = match spoken.opaque.as_ref().map(|passing| &passing.body) {
            None | Some(Body::Json) => Kind::Json(scanner(spoken, bounds)),
            Some(Body::Form { boundary, .. }) => Kind::Form(Finder::new(boundary, "model", limits.model_bytes)),
            Some(Body::Broken) => Kind::Broken,
            Some(Body::Bytes) => Kind::Bytes,
        };
        Self { kind, bytes: 0 }
    }

    pub fn feed(&mut self, data: &[u8]) -> Result<(), Problem> {
        self.bytes += data.len();
        match &mut self.kind {
            Kind::Json(scanner) => scanner.feed(data).map_err(|error| unreadable(&error)),
            Kind::Form(finder) => finder.feed(data).map_err(no_form),
            Kind::Broken => Err(no_form("the form names no boundary")),
            Kind::Bytes => Ok(()),
        }
    }

    /// The body is complete. What was found in a form is noted with what it is.
    pub fn finish(self, spoken: &mut Spoken) -> Result<Scan, Problem> {
        let mut scan = match self.kind {
            Kind::Json(scanner) => return scanner.finish().map_err(|error| unreadable(&error)),
            Kind::Broken => return Err(no_form("the form names no boundary")),
            Kind::Bytes | Kind::Form(_) => Scan::default(),
        };
        scan.bytes = self.bytes;
        let body = spoken.opaque.as_mut().map(|passing| &mut passing.body);
        if let (Kind::Form(finder), Some(Body::Form { form, .. })) = (self.kind, body) {
            *form = finder.finish().map_err(no_form)?;
            let model = form.field.as_ref().map(|(_, model)| model.clone());
            if model.as_deref() == Some("") {
                return Err(Problem::request(400, "invalid_value", "`model` is empty").at("model"));
            }
            scan.model = model;
        }
        Ok(scan)
    }
}

fn no_form(flaw: &'static str) -> Problem {
    Problem::request(400, "invalid_form", flaw)
}
