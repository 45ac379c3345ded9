//! Our paths find what another implementation of RFC 9535 finds.
//!
//! Null counts as absent here and nowhere else, so the events have none. The order of nodes of several
//! selectors differs between implementations; it is not compared.

use serde_json_path::JsonPath;

use super::*;
use crate::mapping::paths as ours;

/// Names short and few, so that queries meet events.
const NAMES: [&str; 4] = ["a", "b", "c d", "é"];

fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => any::<bool>().prop_map(Value::from),
        3 => (-2_i64..4).prop_map(Value::from),
        3 => prop::sample::select(vec!["", "a", "ab", "é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        let name = prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn slice() -> impl Strategy<Value = String> {
    let bound = || {
        prop_oneof![
            Just(String::new()),
            (-4_i64..5).prop_map(|at| at.to_string())
        ]
    };
    let step = prop_oneof![
        Just(String::new()),
        (-2_i64..3).prop_map(|step| format!(":{step}")),
    ];
    (bound(), bound(), step).prop_map(|(from, to, step)| format!("{from}:{to}{step}"))
}

/// True and false are compared for equality only. No index from the end: the other implementation finds nothing there in a comparison.
fn filter() -> impl Strategy<Value = String> {
    let place = || prop::sample::select(vec!["@", "@.a", "@['c d']", "@[0]", "@[1]", "@.b.a"]);
    let how = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let literal = prop::sample::select(vec!["0", "1", "-2", "'a'", "\"ab\"", "''"]);
    let same = prop::sample::select(vec!["== true", "!= true", "== false", "!= false"]);
    let one = prop_oneof![
        place()
            .prop_filter("always there", |place| *place != "@")
            .prop_map(str::to_owned),
        (place(), how, literal).prop_map(|(place, how, to)| format!("{place} {how} {to}")),
        (place(), same).prop_map(|(place, same)| format!("{place} {same}")),
        (place(), place()).prop_map(|(left, right)| format!("{left} == {right}")),
    ];
    one.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} && {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
            inner.prop_map(|one| format!("!({one})")),
        ]
    })
}

fn selector() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(NAMES.to_vec()).prop_map(|name| format!("'{name}'")),
        3 => (-3_i64..4).prop_map(|at| at.to_string()),
        2 => Just("*".to_owned()),
        2 => slice(),
        3 => filter().prop_map(|filter| format!("?{filter}")),
    ]
}

fn segment() -> impl Strategy<Value = String> {
    let within = || {
        prop::collection::vec(selector(), 1..3)
            .prop_map(|selectors| format!("[{}]", selectors.join(", ")))
    };
    let name = || prop::sample::select(vec!["a", "b", "é", "*"]);
    prop_oneof![
        4 => within(),
        4 => name().prop_map(|name| format!(".{name}")),
        1 => within().prop_map(|within| format!("..{within}")),
        1 => name().prop_map(|name| format!("..{name}")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    prop::collection::vec(segment(), 0..4).prop_map(|segments| format!("${}", segments.concat()))
}

fn sorted<'a>(found: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let mut found: Vec<String> = found.into_iter().map(Value::to_string).collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn paths_find_what_another_implementation_finds(
        query in query(),
        events in prop::collection::vec(event(), 4),
    ) {
        let theirs = JsonPath::parse(&query).expect("only valid queries are made");
        let ours = ours::Path::parse(&query);
        prop_assert!(ours.is_ok(), "{query}: {ours:?}");
        for event in events {
            let found = ours.iter().flat_map(|path| path.find_all(&event));
            let expected = theirs.query(&event);
            prop_assert_eq!(sorted(found), sorted(expected.all()), "{} of {}", query, event);
        }
    }

    #[test]
    fn names_after_a_dot_are_those_that_another_implementation_takes(query in "\\$(\\.[a-zA-Z0-9_é-]{0,3}){1,3}") {
        let is_theirs = JsonPath::parse(&query).is_ok();
        prop_assert_eq!(ours::Path::parse(&query).is_ok(), is_theirs, "{}", query);
    }
}
