//! "Did you mean": the nearest known name, if it is near enough to be a slip.

/// Fewer letters begin, or end, too many names.
const PART_CHARS_MIN: usize = 3;

/// The known name nearest to `found`: a few letters away, else one that ends with it behind a dot,
/// else one that starts with it.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let chars = found.chars().count();
    let limit = (chars / 3).clamp(1, 4);
    let lower = found.to_lowercase();
    let near = |known: &str| Some(strsim::damerau_levenshtein(&lower, known));
    let is_slip = |distance: &usize| *distance <= limit;
    let is_part = chars >= PART_CHARS_MIN;
    known
        .into_iter()
        .filter(|name| *name != found)
        .filter_map(|name| {
            let known = name.to_lowercase();
            let slip = near(&known).filter(is_slip);
            let end = || Some(limit + near(ending(&known, &lower)?).filter(is_slip)?);
            let start = || known.starts_with(&lower).then_some(2 * limit + known.len());
            let rank = slip.or_else(|| is_part.then(|| end().or_else(start))?)?;
            Some((rank, name))
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, name)| name)
}

/// The end of a dotted name that has as many parts as `found`, where it has more.
fn ending<'a>(known: &'a str, found: &str) -> Option<&'a str> {
    let parts = found.split('.').count();
    let (dot, _) = known.rmatch_indices('.').nth(parts - 1)?;
    Some(&known[dot + 1..])
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
        let types = ["users.email.Open", "users.push.Open"];
        assert_eq!(nearest("push.open", types), Some("users.push.Open"));
        assert_eq!(nearest("email.Opne", types), Some("users.email.Open"));
        assert_eq!(nearest("id", ["user.id"]), None);
        assert_eq!(nearest("kafka", ["segment", "stdout"]), None);
    }
}
