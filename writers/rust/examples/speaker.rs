//! What every writer of the repository can say, for the tests that hold them all to the same.

use spanpipe::{attributes, Body, Context, Writer};
use std::io::{BufRead, Write};
use std::time::Duration;

/// No machine is so busy; the budget has a test of its own.
const BUDGET: Duration = Duration::from_secs(60);

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let (prefix, count, bytes) = (&given[0], given[1].parse().unwrap(), given[2].parse().unwrap());
    let (fail, step) = (given[3] == "error", given.len() > 4);
    let writer = Writer::from_env().with_budget(BUDGET);
    let xray_header = std::env::var("_X_AMZN_TRACE_ID").unwrap_or_default();
    for id in 0..count {
        speak(&writer, &format!("{prefix}-{id}"), &xray_header, (id, bytes, fail));
        if step {
            println!(".");
            std::io::stdout().flush().unwrap();
            std::io::stdin().lock().read_line(&mut String::new()).unwrap();
        }
    }
    println!("{{\"dropped\":{},\"faults\":0}}", writer.dropped_count());
}

fn speak(writer: &Writer, request: &str, xray_header: &str, given: (i32, usize, bool)) {
    let (id, bytes, fail) = given;
    let invocation = writer.start(&Context {
        request_id: request,
        deadline_unix_ms: 1_800_000_000_000,
        memory_mb: 128,
        invoked_function_arn: "arn:aws:lambda:eu-west-1:123456789012:function:shop",
        log_group: "/aws/lambda/shop",
        log_stream: "s",
        xray_header,
        ..Context::default()
    });
    let event = format!("{{\"id\":{id},\"bytes\":{bytes},\"fail\":{fail}}}");
    invocation.request(&Body::json(&event));
    {
        let mut span = invocation.span("work");
        span.set_attributes(attributes(&[("n", id.into())]));
        span.event("noted", &attributes(&[("ä", true.into())]));
    }
    invocation.partial(&Body::json(&format!("{{\"so far\":{id}}}")));
    if fail {
        let stack = std::backtrace::Backtrace::force_capture().to_string();
        invocation.error("ValueError", "no such order: 3 €", &stack);
    } else {
        let text = "x".repeat(bytes);
        invocation.result(&Body::json(&format!("{{\"id\":{id},\"text\":\"{text}\"}}")));
    }
}
