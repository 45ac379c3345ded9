//! Numbers in sentences, for every text that a person reads.

use std::fmt::Display;

/// `1 error`, `2 errors`.
pub fn number<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let ending = agree(&count, "", "s");
    format!("{count} {what}{ending}")
}

/// The verb that goes with a count: `agree(&2, "is", "are")` is `are`.
pub fn agree<N: PartialEq + From<u8>>(
    count: &N,
    of_one: &'static str,
    of_more: &'static str,
) -> &'static str {
    match *count == N::from(1) {
        true => of_one,
        false => of_more,
    }
}
