//! A handler's panic is an error of its invocation and stays the handler's; and the budget.

use spanpipe::{Context, Writer};
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::Duration;

/// Not a FIFO is in it: so everything goes by file.
fn folder(name: &str) -> PathBuf {
    let own = format!("spanpipe-rust-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(own);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("spanpipe-results.fifo"), "").unwrap();
    folder
}

#[test]
fn what_is_over_the_budget_is_dropped_and_counted() {
    let folder = folder("budget");
    let writer = Writer::new(&folder).with_budget(Duration::ZERO);
    let invocation = writer.start(&Context { request_id: "r-1", ..Context::default() });
    invocation.event("noted", "");
    invocation.error("E", "", "");
    let names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|one| one.unwrap().file_name()).collect();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!((names, writer.dropped_count()), (vec!["spanpipe-results.fifo".into()], 3));
}

#[test]
fn a_panic_ends_the_invocation_and_its_spans() {
    let folder = folder("panic");
    let writer = Writer::new(&folder).with_budget(Duration::from_secs(60));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let invocation = writer.start(&Context { request_id: "r-1", ..Context::default() });
        let _span = invocation.span("work");
        panic!("the handler's own");
    }));
    let message = *outcome.unwrap_err().downcast::<&str>().unwrap();
    let mut kinds = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let data = fs::read(entry.unwrap().path()).unwrap();
        kinds.extend(data.get(3).copied());
    }
    fs::remove_dir_all(&folder).unwrap();
    kinds.sort_unstable();
    assert_eq!((message, kinds, writer.dropped_count()), ("the handler's own", vec![1, 3, 4], 0));
}
