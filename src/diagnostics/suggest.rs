//! "Did you mean": the nearest known name, if it is near enough to be a slip.

/// Fewer letters begin too many names.
const START_CHARS_MIN: usize = 3;

/// The known name nearest to `found`: a few letters away, else one that starts with it.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (found.chars().count() / 3).clamp(1, 4);
    let lower = found.to_lowercase();
    let is_start = found.chars().count() >= START_CHARS_MIN;
    known
        .into_iter()
        .filter(|name| *name != found)
        .map(|name| (name.to_lowercase(), name))
        .map(|(known, name)| {
            let distance = strsim::damerau_levenshtein(&lower, &known);
            (distance, is_start && known.starts_with(&lower), name)
        })
        .filter(|(distance, starts, _)| *distance <= limit || *starts)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, name)| name)
}

/// ``did you mean `name`?``, or nothing.
pub fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(found, known).map_or_else(String::new, |name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        assert_eq!(
            nearest("email_adress", ["email_address", "esp"]),
            Some("email_address")
        );
        assert_eq!(nearest("segmnet", ["segment", "stdout"]), Some("segment"));
        assert_eq!(
            nearest("orders", ["orders_webhook", "stdout"]),
            Some("orders_webhook")
        );
        assert_eq!(nearest("o", ["orders_webhook"]), None);
        assert_eq!(nearest("kafka", ["segment", "stdout"]), None);
    }
}
