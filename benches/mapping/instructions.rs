//! What `.ci/instructions` counts: map the event of one rule so many times, and nothing else.
//!
//! `instructions RULE TIMES`; `instructions --list` gives the rules. Instructions do not depend on
//! the machine's speed or load, so that a slower mapper is seen where times say nothing.

mod cases;

use std::hint::black_box;

use sluice::mapping::Mapper;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // Given by `cargo bench`.
        .filter(|one| one != "--bench")
        .collect();
    match arguments.as_slice() {
        [list] if list == "--list" => println!("{}", cases::RULES.join("\n")),
        [rule, times] if cases::RULES.contains(&rule.as_str()) => {
            map(rule, times.parse().expect("TIMES is a number"));
        }
        _ => println!("instructions RULE TIMES, or --list; .ci/instructions counts"),
    }
}

fn map(rule: &str, times: u32) {
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
