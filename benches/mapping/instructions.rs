//! What `.ci/instructions` counts: map the event of one rule so many times, and nothing else.
//!
//! `cargo bench --bench instructions -- RULE TIMES`. Instructions do not depend on the machine's speed
//! or load, so that a slower mapper is seen where times say nothing.

mod cases;

use std::hint::black_box;

use sluice::mapping::Mapper;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with("--"))
        .collect();
    let [rule, times] = arguments.as_slice() else {
        println!(
            "instructions RULE TIMES, with RULE one of {}",
            cases::RULES.join(", ")
        );
        return;
    };
    let times: u32 = times.parse().expect("TIMES is a number");
    let (event_type, event) = cases::event(rule);
    let mut mapper = Mapper::new(cases::typical());
    let bytes = cases::document(mapper.map(&event_type, event.as_bytes())).len();
    for _ in 0..times {
        black_box(mapper.map(&event_type, black_box(event.as_bytes())));
    }
    println!(
        "{rule}: {} bytes in, {bytes} out, {times} times",
        event.len()
    );
}
