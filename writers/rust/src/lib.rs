//! Hands a Lambda function's results to the spanpipe extension, over a named FIFO.
//!
//! ```no_run
//! use spanpipe::{attributes, Body, Context, Writer};
//!
//! let writer = Writer::from_env();
//! let invocation = writer.start(&Context { request_id: "8f3c2c5e", ..Context::default() });
//! {
//!     let span = invocation.span("look up");
//!     span.event("cache miss", &attributes(&[("tries", 3.into())]));
//! }
//! invocation.result(&Body::json(r#"{"hello":"you"}"#));
//! ```
//!
//! Nothing here blocks, panics or fails: where there is no extension nothing is sent, where the
//! pipe cannot take a message it goes by file, and what is over the bounds is dropped and
//! counted. SIGPIPE must be ignored, as Rust's own start-up does.

mod attributes;
#[doc(hidden)]
pub mod caller;
mod disk;
#[doc(hidden)]
pub mod json;
#[doc(hidden)]
pub mod policy;
#[doc(hidden)]
pub mod wire;
mod writer;

pub use attributes::{attributes, Attribute};
pub use wire::Body;
pub use writer::{Context, Invocation, Span, Writer};
