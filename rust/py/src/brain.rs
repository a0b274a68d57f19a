//! The Python objects that decide: built calls in, plain values out. Only the loop thread touches this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fastroute_engine::decider::{DecidedBy, Decision, Plan, Question, Refusal};
use fastroute_engine::{Attempt, Outcome, Setback};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use smallvec::SmallVec;

/// When the decision that is being made began, for whoever watches the clock. Zero: none is being made.
#[derive(Debug)]
pub(crate) struct Deciding {
    epoch: Instant,
    since_us: AtomicU64,
}

impl Deciding {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), since_us: AtomicU64::new(0) }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Microseconds the running decision has taken so far, and the number that identifies it.
    pub(crate) fn running(&self) -> Option<(u64, u64)> {
        match self.since_us.load(Ordering::Acquire) {
            0 => None,
            since => Some((self.now_us().saturating_sub(since), since)),
        }
    }

    fn during<T>(&self, decide: impl FnOnce() -> T) -> T {
        self.since_us.store(self.now_us(), Ordering::Release);
        let decided = decide();
        self.since_us.store(0, Ordering::Release);
        decided
    }
}

/// What is filled in by position below. Python compares it with `fastroute.facts` as it starts, so that an extension of
/// another build is refused there and not by the first request.
pub(crate) const FIELDS: [(&str, &str); 4] = [
    ("Facts", "model dialect door stream body_bytes text_bytes messages tools media max_tokens"),
    ("Attempt", "target started_us first_content_us took_us failure blamed retry_after_ms"),
    ("Usage", "prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens reasoning_tokens"),
    ("Outcome", "request_id generation route lead decided_by came status ending attempts usage code measures"),
];

/// `fastroute.gateway.Gateway` and the value classes it speaks in.
pub(crate) struct Brain {
    decide: Py<PyAny>,
    settle: Py<PyAny>,
    report: Py<PyAny>,
    forget: Py<PyAny>,
    facts: Py<PyAny>,
    plan: Py<PyAny>,
    outcome: Py<PyAny>,
    attempt: Py<PyAny>,
    usage: Py<PyAny>,
    pub(crate) deciding: Arc<Deciding>,
}

impl Brain {
    /// `gateway` has the four methods; `values` is the module `fastroute.facts`.
    pub(crate) fn new(gateway: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        let method = |name: &str| gateway.getattr(name).map(Bound::unbind);
        let class = |name: &str| values.getattr(name).map(Bound::unbind);
        Ok(Self {
            decide: method("decide")?,
            settle: method("settle")?,
            report: method("report")?,
            forget: method("forget")?,
            facts: class("Facts")?,
            plan: class("Plan")?,
            outcome: class("Outcome")?,
            attempt: class("Attempt")?,
            usage: class("Usage")?,
            deciding: Arc::new(Deciding::new()),
        })
    }

    /// `None` when Python leaves this one to the snapshot, as it does while a policy rests after a failure.
    pub(crate) fn decide(&self, py: Python<'_>, question: &Question) -> PyResult<Option<Decision>> {
        let facts = self.facts.bind(py).call1((
            &*question.model,
            question.dialect,
            question.door.name(),
            question.stream,
            question.body_bytes,
            question.text_bytes,
            question.messages,
            question.tools,
            question.media,
            question.max_tokens,
        ))?;
        let answer = self.deciding.during(|| self.decide.bind(py).call1((facts,)))?;
        if answer.is_none() {
            return Ok(None);
        }
        if answer.get_type().is(self.plan.bind(py)) {
            let targets = answer.getattr(intern!(py, "targets"))?;
            let targets: SmallVec<[u32; 4]> =
                targets.cast::<PyTuple>()?.iter().map(|index| index.extract()).collect::<PyResult<_>>()?;
            return Ok(Some(Decision::Plan(Plan {
                route: answer.getattr(intern!(py, "route"))?.extract()?,
                generation: answer.getattr(intern!(py, "generation"))?.extract()?,
                may_lead: answer.getattr(intern!(py, "may_lead"))?.extract()?,
                probe: answer.getattr(intern!(py, "probe"))?.extract()?,
                standing: answer.getattr(intern!(py, "standing"))?.extract()?,
                once: answer.getattr(intern!(py, "once"))?.extract()?,
                targets,
                by: DecidedBy::Policy,
            })));
        }
        Ok(Some(Decision::Refusal(Refusal {
            status: answer.getattr(intern!(py, "status"))?.extract()?,
            code: answer.getattr(intern!(py, "code"))?.extract::<String>()?.into(),
            message: answer.getattr(intern!(py, "message"))?.extract::<String>()?.into(),
            param: answer
                .getattr(intern!(py, "param"))?
                .extract::<Option<String>>()?
                .and_then(|param| (param == "model").then_some("model")),
            retry_after_s: answer.getattr(intern!(py, "retry_after_s"))?.extract()?,
        })))
    }

    fn attempt<'py>(&self, py: Python<'py>, attempt: &Attempt) -> PyResult<Bound<'py, PyAny>> {
        let failure = attempt.failure.as_ref();
        self.attempt.bind(py).call1((
            attempt.target,
            attempt.started_us,
            attempt.first_content_us,
            attempt.took_us,
            failure.map(|failure| failure.kind.name()),
            failure.is_some_and(fastroute_engine::blames_upstream),
            failure.and_then(|failure| failure.retry_after_ms),
        ))
    }

    pub(crate) fn report(&self, py: Python<'_>, setback: &Setback) -> PyResult<()> {
        let attempt = self.attempt(py, &setback.attempt)?;
        self.report.bind(py).call1((setback.generation, attempt, setback.led, age_us(setback.at)))?;
        Ok(())
    }

    pub(crate) fn settle(&self, py: Python<'_>, outcome: &Outcome) -> PyResult<()> {
        let attempts =
            outcome.attempts.iter().map(|attempt| self.attempt(py, attempt)).collect::<PyResult<Vec<_>>>()?;
        let usage = match &outcome.usage {
            None => None,
            Some(usage) => Some(self.usage.bind(py).call1((
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.total_tokens,
                usage.cached_tokens,
                usage.cache_write_tokens,
                usage.reasoning_tokens,
            ))?),
        };
        let told = self.outcome.bind(py).call1((
            &*outcome.request_id,
            outcome.generation,
            outcome.route,
            outcome.lead,
            outcome.by.map(DecidedBy::name),
            (outcome.door.name(), outcome.dialect, outcome.stream),
            outcome.status,
            outcome.ending.name(),
            PyList::new(py, attempts)?,
            usage,
            outcome.failure.as_ref().map(|failure| failure.code),
            (outcome.started_ms, outcome.took_us, outcome.bytes_in, outcome.bytes_out, age_us(outcome.ended)),
        ))?;
        self.settle.bind(py).call1((told,))?;
        Ok(())
    }

    pub(crate) fn forget(&self, py: Python<'_>, plan: &Plan) -> PyResult<()> {
        self.forget.bind(py).call1((plan.generation, plan.targets.first().copied()))?;
        Ok(())
    }
}

/// How long ago this was.
fn age_us(at: tokio::time::Instant) -> u64 {
    u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX)
}
