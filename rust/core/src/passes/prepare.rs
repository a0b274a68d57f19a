//! All passes over one request, in the one order in which they fit: what is refused first, what adds instructions before
//! instructions are placed, and the turns last, because the others read them as the client wrote them.

use super::demands::{Demands, Losses, OnLoss};
use super::way_back::WayBack;
use super::{
    MaxTokensField, Shape, builtins, calls, custom, elsewhere, emptied, forced, format, habits, held, media, reasoning,
    sampling, shape_to, signatures,
};
use crate::dialects::message::ChatRequest;
use crate::dialects::{Dialect, DialectError, Place};

/// What the passes did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// What the reply must be read with.
    pub way_back: WayBack,
    /// What the target cannot be told, in turns of which nothing is left, as places.
    pub dropped: Vec<String>,
    /// What was said otherwise than the client said it, as places and words of ours, never values.
    pub changed: Vec<String>,
}

/// Brings a request of `source` into the form that a target takes. Refuses what would have another meaning there.
pub fn prepare(request: &mut ChatRequest<'_>, source: Dialect, demands: &Demands) -> Result<Prepared, DialectError> {
    if request.turns.is_empty() {
        return Err(Place::Document.member("messages").refuse("must hold at least one message"));
    }
    let crosses = source != demands.dialect;
    let mut losses = Losses::new(demands.on_loss);
    let mut way_back = WayBack::default();
    let mut dropped = Vec::new();
    if crosses {
        held::refuse(request)?;
        if source == Dialect::Ollama {
            calls::link(&mut request.turns);
        }
        way_back.origin = Some(demands.dialect);
        way_back.bare_calls = signatures::hides_calls_proofs(source, request);
        way_back.proves = signatures::wants_proofs(source);
        way_back.usage = demands.quirks.usage_rule();
        way_back.natives = builtins::cross(request, source, &mut losses);
        habits::strip_accounting(request, &mut losses);
    }
    forced::check(request, source, demands.dialect)?;
    if crosses {
        forced::forget(request, demands.dialect);
        // No sequences are none to stop at.
        request.sampling.stop.take_if(|stop| stop.sequences.is_empty());
        media::settle(request, demands.dialect, &mut losses);
    }
    media::check(request, source, demands)?;
    let sorted_out = signatures::sort(request, source, demands, &mut losses)?;
    if wraps(source, demands) {
        way_back.custom = custom::wrap(request, &mut losses);
    }
    reasoning::suit(request, source, demands, &mut losses)?;
    way_back.answer = format::suit(request, source, demands, &mut losses)?;
    forced::parallel(request, demands, &mut losses)?;
    sampling::suit(request, source, demands, &mut losses)?;
    let has_verbosity = matches!(demands.dialect, Dialect::OpenAiChat | Dialect::OpenAiResponses);
    if demands.on_loss == OnLoss::Emulate && !has_verbosity {
        habits::verbosity(request);
    }
    if crosses {
        elsewhere::place(request, demands.dialect, &mut losses);
    }
    if crosses || sorted_out {
        dropped = emptied::fill(request, demands.dialect);
    }
    // In the Responses API a result may answer a call that only the server remembers.
    let pairs_results = demands.shape.pairs_results && (crosses || source != Dialect::OpenAiResponses);
    let shaped = shape_to(request, &Shape { pairs_results, ..demands.shape })?;
    way_back.names = shaped.names;
    for place in shaped.changed {
        losses.lose(&place)?;
    }
    habits::suit(request, source, demands, &mut losses)?;
    if demands.dialect == Dialect::OpenAiChat {
        reasoning::spell(request, demands.quirks.reasoning_form);
    }
    let limit = request.max_output_tokens();
    match demands.limit() {
        Some(MaxTokensField::MaxTokens) => (request.max_tokens, request.max_completion_tokens) = (limit, None),
        Some(MaxTokensField::MaxCompletionTokens) => {
            (request.max_tokens, request.max_completion_tokens) = (None, limit);
        }
        None => {}
    }
    Ok(Prepared { way_back, dropped, changed: losses.changed })
}

/// Whether free text tools become functions.
fn wraps(source: Dialect, demands: &Demands) -> bool {
    match demands.dialect {
        Dialect::OpenAiResponses => false,
        Dialect::OpenAiChat => {
            !demands.quirks.custom_tools && (source != Dialect::OpenAiChat || demands.quirks.reshapes())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
