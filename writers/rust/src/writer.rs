//! The function's end of the channel.

use crate::caller::{self, callers_of, names_tracecontext, SpanContext};
use crate::disk::{open_fifo, random, NoFifo, Overflow};
use crate::policy::{Policy, RECORD_BYTES};
use crate::wire::{self, kind, Body, Failure};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// For all hand-overs of one invocation together; what is over it is dropped and counted.
const BUDGET: Duration = Duration::from_millis(50);
/// That a message into the pipe counts for: it cannot block, what takes longer is another's turn.
const LONGEST_WRITE: Duration = Duration::from_millis(1);
const NO_SPAN: [u8; 8] = [0; 8];

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Dropped,
    Piped,
    Filed,
}

/// What the runtime says of an invocation; what is not known stays empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub request_id: &'a str,
    /// Milliseconds since 1970.
    pub deadline_unix_ms: u64,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`.
    pub memory_mb: u32,
    /// `Lambda-Runtime-Invoked-Function-Arn`.
    pub invoked_function_arn: &'a str,
    /// `AWS_LAMBDA_LOG_GROUP_NAME`.
    pub log_group: &'a str,
    /// `AWS_LAMBDA_LOG_STREAM_NAME`.
    pub log_stream: &'a str,
    /// `Lambda-Runtime-Trace-Id`.
    pub xray_header: &'a str,
    /// `Lambda-Runtime-Aws-Tenant-Id`.
    pub tenant_id: &'a str,
    /// The caller's span, as in W3C's header of that name; one that is none is not taken.
    pub traceparent: &'a str,
    /// W3C's header beside it.
    pub tracestate: &'a str,
    /// The event as it came, JSON: what is not given above is read out of it.
    pub event: &'a str,
}

/// One for a process; it may be shared among threads and tasks.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Mutex<State>>,
}

impl Writer {
    /// For the folder `$SPANPIPE_DIR`, else `/tmp`.
    pub fn from_env() -> Self {
        let given = std::env::var_os("SPANPIPE_DIR").filter(|value| !value.is_empty());
        Self::new(given.unwrap_or_else(|| "/tmp".into()))
    }

    /// For that folder. Takes the policy, which also tells the extension that a writer is here.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let mut state = State {
            files: Overflow::new(directory.clone()),
            directory,
            results: None,
            control: None,
            absent: false,
            warned: false,
            started: false,
            writer_id: None,
            counter: 0,
            policy: Policy::default(),
            budget: BUDGET,
            dropped: 0,
        };
        state.read_policy();
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// With another budget for all hand-overs of one invocation together.
    #[must_use]
    pub fn with_budget(self, budget: Duration) -> Self {
        self.state().budget = budget;
        self
    }

    /// Send START. Where nothing is to be sent, all that is said of the invocation is for nothing.
    pub fn start(&self, context: &Context) -> Invocation {
        let inner = self.state().start(context);
        Invocation { writer: self.clone(), inner: inner.map(Arc::new), ended: false }
    }

    /// Messages that could not be handed over.
    pub fn dropped_count(&self) -> u64 {
        self.state().dropped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked did not do so in the middle of a message.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Inner {
    prefix: Vec<u8>,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    tracestate: String,
    spent_ns: AtomicU64,
}

/// One invocation. Ends with `result` or `error`; dropped by a panic, with an error that says so.
pub struct Invocation {
    writer: Writer,
    inner: Option<Arc<Inner>>,
    ended: bool,
}

impl Invocation {
    /// Send the handler's event, where the extension's policy asks for it.
    pub fn request(&self, event: &Body) {
        let Some(inner) = &self.inner else { return };
        let mut state = self.writer.state();
        let limit = state.policy.max_body_bytes as usize;
        if state.policy.request && limit > 0 && !state.spares(inner) {
            state.send_body(inner, kind::REQUEST, &event.within(limit));
        }
    }

    /// A moment in the invocation; `attributes` from [`crate::attributes`].
    pub fn event(&self, name: &str, attributes: &str) {
        send_event(&self.writer, &self.inner, NO_SPAN, name, attributes);
    }

    /// A child span, which ends when it is dropped.
    pub fn span(&self, name: &str) -> Span {
        Span::begin(&self.writer, &self.inner, NO_SPAN, name)
    }

    /// A partial result, sent now.
    pub fn partial(&self, body: &Body) {
        let Some(inner) = &self.inner else { return };
        let mut state = self.writer.state();
        if !state.spares(inner) {
            let body = state.allowed(body);
            state.send_body(inner, kind::PARTIAL, &body);
        }
    }

    /// The invocation's span as W3C's header `traceparent`; "" where there is none.
    pub fn traceparent(&self) -> String {
        self.inner.as_ref().map_or_else(String::new, |inner| traceparent(inner, inner.span_id))
    }

    /// The caller's `tracestate`, to be passed on beside `traceparent`; "" where there is none.
    pub fn tracestate(&self) -> &str {
        self.inner.as_ref().map_or("", |inner| &inner.tracestate)
    }

    /// It ended with this.
    pub fn result(mut self, body: &Body) {
        self.ended = true;
        let Some(inner) = &self.inner else { return };
        let mut state = self.writer.state();
        let body = state.allowed(body);
        state.send_body(inner, kind::RESULT, &body);
    }

    /// It failed. `stack` is empty where there is none.
    pub fn error(mut self, error_type: &str, message: &str, stack: &str) {
        self.fail(&Failure { kind: error_type, message, stack });
    }

    fn fail(&mut self, failure: &Failure) {
        self.ended = true;
        let Some(inner) = &self.inner else { return };
        let body = wire::error(&inner.prefix, now_ns(), failure);
        self.writer.state().hand_over(inner, kind::ERROR, &body);
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        if !self.ended && std::thread::panicking() {
            self.fail(&Failure { kind: "panic", message: "the handler panicked", stack: "" });
        }
    }
}

/// Work inside an invocation.
pub struct Span {
    writer: Writer,
    inner: Option<Arc<Inner>>,
    span_id: [u8; 8],
    parent_id: [u8; 8],
    start_ns: u64,
    name: String,
    attributes: String,
    failure: Option<(String, String)>,
}

impl Span {
    fn begin(writer: &Writer, inner: &Option<Arc<Inner>>, parent_id: [u8; 8], name: &str) -> Self {
        let span_id = random::<8>().ok();
        Self {
            writer: writer.clone(),
            inner: inner.clone().filter(|_| span_id.is_some()),
            span_id: span_id.unwrap_or(NO_SPAN),
            parent_id,
            start_ns: now_ns(),
            name: name.to_owned(),
            attributes: String::new(),
            failure: None,
        }
    }

    /// Its attributes, from [`crate::attributes`]; the last word counts.
    pub fn set_attributes(&mut self, attributes: String) {
        self.attributes = attributes;
    }

    /// It has failed.
    pub fn fail(&mut self, error_type: &str, message: &str) {
        self.failure = Some((error_type.to_owned(), message.to_owned()));
    }

    /// A moment in it.
    pub fn event(&self, name: &str, attributes: &str) {
        send_event(&self.writer, &self.inner, self.span_id, name, attributes);
    }

    /// A span inside it.
    pub fn span(&self, name: &str) -> Span {
        Span::begin(&self.writer, &self.inner, self.span_id, name)
    }

    /// It as W3C's header `traceparent`; "" outside an invocation.
    pub fn traceparent(&self) -> String {
        self.inner.as_ref().map_or_else(String::new, |inner| traceparent(inner, self.span_id))
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(inner) = &self.inner else { return };
        if self.failure.is_none() && std::thread::panicking() {
            self.failure = Some(("panic".into(), String::new()));
        }
        let mut state = self.writer.state();
        if state.spares(inner) {
            return;
        }
        let failure = self.failure.as_ref();
        let body = wire::span(
            &inner.prefix,
            &wire::SpanFields {
                span_id: self.span_id,
                parent_id: self.parent_id,
                start_ns: self.start_ns,
                end_ns: now_ns(),
                name: &self.name,
                attributes: &self.attributes,
                failure: failure.map(|(kind, message)| Failure { kind, message, stack: "" }),
            },
        );
        state.hand_over(inner, kind::SPAN, &body);
    }
}

fn send_event(
    writer: &Writer,
    inner: &Option<Arc<Inner>>,
    span_id: [u8; 8],
    name: &str,
    attributes: &str,
) {
    let Some(inner) = inner else { return };
    let mut state = writer.state();
    if !state.spares(inner) {
        let body = wire::event(&inner.prefix, now_ns(), span_id, name, attributes);
        state.hand_over(inner, kind::EVENT, &body);
    }
}

struct State {
    directory: PathBuf,
    results: Option<File>,
    control: Option<File>,
    absent: bool,
    warned: bool,
    started: bool,
    writer_id: Option<u32>,
    counter: u32,
    policy: Policy,
    budget: Duration,
    files: Overflow,
    dropped: u64,
}

impl State {
    /// The caller's span, and links as START has them.
    fn callers(&self, context: &Context) -> (Option<SpanContext>, String) {
        let given = SpanContext::of_headers(context.traceparent, context.tracestate);
        let reads = match std::env::var("OTEL_PROPAGATORS") {
            Ok(names) if !names.is_empty() => names_tracecontext(&names),
            _ => self.policy.tracecontext,
        };
        if given.is_some() || !reads {
            return (given, String::new());
        }
        let (parent, links) = callers_of(context.event);
        let links: Vec<String> = links.iter().map(SpanContext::traceparent).collect();
        (parent, links.join(" "))
    }

    fn start(&mut self, context: &Context) -> Option<Inner> {
        self.read_policy();
        if !self.policy.enabled || !wire::valid_request_id(context.request_id) {
            return None;
        }
        self.check_descriptor();
        if self.absent {
            return None;
        }
        let (caller, links) = self.callers(context);
        let parent = caller.as_ref().map_or_else(String::new, SpanContext::traceparent);
        let (trace_id, flags, tracestate) = match caller {
            Some(caller) => (caller.trace_id, caller.flags, caller.tracestate),
            None => (random().ok()?, 1, String::new()),
        };
        let span_id = random().ok()?;
        let inner = Inner {
            prefix: wire::prefix(context.request_id, span_id),
            trace_id,
            span_id,
            flags,
            tracestate,
            spent_ns: AtomicU64::new(0),
        };
        let initialised_ahead = std::env::var("AWS_LAMBDA_INITIALIZATION_TYPE")
            .is_ok_and(|kind| kind == "provisioned-concurrency");
        let fields = wire::Start {
            cold_start: !self.started && !initialised_ahead,
            trace_id,
            start_ns: now_ns(),
            deadline_ms: context.deadline_unix_ms,
            memory_mb: context.memory_mb,
            pid: std::process::id(),
            texts: &[
                (1, context.invoked_function_arn),
                (2, context.log_group),
                (3, context.log_stream),
                (4, context.xray_header),
                (5, context.tenant_id),
                (7, &parent),
                (8, &inner.tracestate),
                (11, &links),
            ],
        };
        self.started = true;
        let body = wire::start(&inner.prefix, &fields);
        self.hand_over(&inner, kind::START, &body);
        Some(inner)
    }

    /// Whether a detail is dropped, and counted, before anything is spent on encoding it.
    fn spares(&mut self, inner: &Inner) -> bool {
        if self.policy.exporter_down {
            self.dropped += 1;
            return true;
        }
        // A fifth is kept for the end.
        if spent(inner) >= self.budget / 5 * 4 {
            // Its number is used up, so that the extension misses it.
            self.counter = self.counter.wrapping_add(1);
            self.dropped += 1;
            return true;
        }
        false
    }

    /// What the policy lets through of a result.
    fn allowed<'a>(&self, body: &Body<'a>) -> Body<'a> {
        match self.policy.max_body_bytes as usize {
            limit if self.policy.response && limit > 0 => body.within(limit),
            _ => Body::none(),
        }
    }

    fn send_body(&mut self, inner: &Inner, kind: u8, body: &Body) {
        let time_ns = now_ns();
        let encoded = wire::captured(&inner.prefix, time_ns, body);
        if self.hand_over(inner, kind, &encoded) || encoded.len() <= wire::MAX_FRAMED_BYTES {
            return;
        }
        // No file could be written: what frames hold is better than nothing.
        let kept = body.len().saturating_sub(encoded.len() - wire::MAX_FRAMED_BYTES);
        let cut = wire::captured(&inner.prefix, time_ns, &body.within(kept));
        self.hand_over(inner, kind, &cut);
    }

    /// One message, by pipe or by file; false where it was dropped (and counted).
    fn hand_over(&mut self, inner: &Inner, kind: u8, body: &[u8]) -> bool {
        let began = Instant::now();
        self.counter = self.counter.wrapping_add(1);
        let counter = self.counter;
        let writer_id = match self.writer_id {
            Some(known) => Some(known),
            None => random().ok().map(u32::from_be_bytes),
        };
        self.writer_id = writer_id;
        let way = match writer_id {
            Some(writer_id) if spent(inner) < self.budget => {
                self.carry(inner, kind, writer_id, counter, body)
            }
            _ => Way::Dropped,
        };
        let mut taken = began.elapsed();
        if way == Way::Piped {
            taken = taken.min(LONGEST_WRITE);
        }
        let taken_ns = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        inner.spent_ns.fetch_add(taken_ns, Ordering::Relaxed);
        if way == Way::Dropped {
            self.dropped += 1;
        }
        way != Way::Dropped
    }

    fn carry(&mut self, inner: &Inner, kind: u8, writer: u32, counter: u32, body: &[u8]) -> Way {
        let framed = body.len() <= wire::MAX_FRAMED_BYTES;
        if framed && self.put(&wire::frames(kind, writer, counter, body)) {
            return Way::Piped;
        }
        let whole = wire::frame(kind, writer, counter, body, 0, 1);
        let Some(name) = self.files.write(&whole) else { return Way::Dropped };
        if !framed {
            // The frame makes it read at once; without it the next boundary does.
            self.counter = self.counter.wrapping_add(1);
            let named = wire::file(&inner.prefix, &name);
            let _ = self.put(&wire::frames(kind::FILE, writer, self.counter, &named));
        }
        Way::Filed
    }

    /// All of `frames` into the pipe; false where it is full, broken or not to be had.
    fn put(&mut self, frames: &[Vec<u8>]) -> bool {
        match self.write_all(frames) {
            Err(ErrorKind::BrokenPipe) => {
                // The extension went away; another may have opened the pipe since.
                self.open();
                self.write_all(frames).is_ok()
            }
            outcome => outcome.is_ok(),
        }
    }

    fn write_all(&mut self, frames: &[Vec<u8>]) -> Result<(), ErrorKind> {
        for frame in frames {
            let Some(mut file) = self.results.as_ref() else { return Err(ErrorKind::NotFound) };
            // One write: it is whole, or it is not at all.
            if let Err(error) = file.write(frame) {
                if error.kind() != ErrorKind::WouldBlock {
                    self.results = None;
                }
                return Err(error.kind());
            }
        }
        Ok(())
    }

    /// At START: open what is not open; what is open is kept, whatever is at its path.
    fn check_descriptor(&mut self) {
        if self.results.is_none() {
            self.open();
        }
    }

    fn open(&mut self) {
        let path = self.directory.join("spanpipe-results.fifo");
        let opened = open_fifo(&path, true);
        self.absent = false;
        self.results = None;
        match opened {
            Ok(file) => self.results = Some(file),
            Err(NoFifo::Untrusted(reason)) => {
                self.warn(&format!("{}: {reason}; results go by file", path.display()));
            }
            Err(NoFifo::System(error)) => {
                use ErrorKind::{NotADirectory, NotFound, PermissionDenied};
                // ENXIO: nobody reads. A reader may come back and finds the files.
                self.absent = matches!(error.kind(), NotFound | NotADirectory | PermissionDenied);
                if error.kind() == NotFound {
                    self.warn(&format!(
                        "no extension: {} is not there, so this function's results go nowhere",
                        path.display()
                    ));
                }
            }
        }
    }

    fn read_policy(&mut self) {
        if self.control.is_none() {
            self.control = open_fifo(&self.directory.join("spanpipe-control.fifo"), false).ok();
        }
        let Some(mut file) = self.control.as_ref() else { return };
        let mut record = [0; RECORD_BYTES];
        if let Ok(length) = file.read(&mut record) {
            self.policy = Policy::decode(&record[..length]).unwrap_or(self.policy);
        }
    }

    fn warn(&mut self, text: &str) {
        if !self.warned {
            self.warned = true;
            // Not `eprintln`, which panics where standard error is closed.
            let _ = writeln!(std::io::stderr(), "spanpipe: warning: {text}");
        }
    }
}

fn spent(inner: &Inner) -> Duration {
    Duration::from_nanos(inner.spent_ns.load(Ordering::Relaxed))
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok().and_then(|age| u64::try_from(age.as_nanos()).ok()).unwrap_or(0)
}

fn traceparent(inner: &Inner, span_id: [u8; 8]) -> String {
    caller::traceparent(inner.trace_id, span_id, inner.flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_extension_everything_does_nothing() {
        let invocation = Writer::new("/nowhere").start(&Context::default());
        let mut span = invocation.span("work");
        span.fail("E", "m");
        span.event("noted", "");
        assert_eq!((span.traceparent(), invocation.traceparent()), Default::default());
        drop(span);
        invocation.partial(&Body::text("x"));
        invocation.result(&Body::bytes(b"x"));
    }
}
