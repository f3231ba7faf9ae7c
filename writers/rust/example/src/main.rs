//! A function on `lambda_runtime`: its event says how it ends.

use lambda_runtime::{run, service_fn, Context, Error, LambdaEvent};
use serde_json::{json, Value};
use spanpipe::{attributes, Body, Invocation, Writer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let writer = Writer::from_env();
    run(service_fn(|event: LambdaEvent<Value>| captured(&writer, event))).await
}

/// The handler, with its start and its end told.
async fn captured(writer: &Writer, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let text = event.payload.to_string();
    let invocation = started(writer, &event.context, &text);
    match handler(&event.payload, &invocation).await {
        Ok(value) => {
            invocation.result(&Body::json(&value.to_string()));
            Ok(value)
        }
        Err(message) => {
            invocation.error("ValueError", message, "");
            Err(message.into())
        }
    }
}

fn started(writer: &Writer, context: &Context, event: &str) -> Invocation {
    let config = &context.env_config;
    writer.start(&spanpipe::Context {
        request_id: &context.request_id,
        deadline_unix_ms: context.deadline,
        memory_mb: u32::try_from(config.memory).unwrap_or(0),
        invoked_function_arn: &context.invoked_function_arn,
        log_group: &config.log_group,
        log_stream: &config.log_stream,
        xray_header: context.xray_trace_id.as_deref().unwrap_or(""),
        event, // a caller's trace goes on
        ..spanpipe::Context::default()
    })
}

async fn handler(order: &Value, invocation: &Invocation) -> Result<Value, &'static str> {
    let id = order["id"].as_i64().unwrap_or(0);
    {
        let mut span = invocation.span("work");
        span.set_attributes(attributes(&[("id", id.into())]));
        span.event("noted", "");
    }
    if order["fail"] == true {
        return Err("as asked");
    }
    if let Some(seconds) = order["hang"].as_u64() {
        invocation.partial(&Body::json(&json!({ "so far": id }).to_string()));
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    }
    let bytes = order["bytes"].as_u64().unwrap_or(0) as usize;
    Ok(json!({ "id": id, "text": "x".repeat(bytes) }))
}
