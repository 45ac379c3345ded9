//! "Did you mean": the nearest known name, if it is near enough to be a slip.

/// The known name nearest to `found`, if a few letters away.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (found.chars().count() / 3).clamp(1, 4);
    let lower = found.to_lowercase();
    known
        .into_iter()
        .filter(|name| *name != found)
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
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
        assert_eq!(nearest("kafka", ["segment", "stdout"]), None);
    }
}
