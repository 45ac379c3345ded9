//! Test files: what passes, what fails and where, what is counted, what is rewritten.

use super::*;
use crate::diagnostics::{Format, render};
use crate::mapping::builtin_sets;

const RULES: &str = "\
version: 1
templates:
  shared: { sent_by: sluice }
rules:
  r:
    on: x
    emit:
      a: { $from: $.a, $missing: { skip: no a } }
      b: { c: $.c }
  two: { on: y, emit_each: { one: { a: $.a, $extends: shared }, other: { a: $.c } } }
  never: { on: never, emit: { a: $.a } }
";

struct Outcome {
    report: TestReport,
    files: Files,
    folder: tempfile::TempDir,
}

fn run(tests: &str) -> Outcome {
    run_with(RULES, tests)
}

fn run_with(rules: &str, tests: &str) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("a.yaml", rules);
    write("a.test.yaml", tests);
    let (mut files, mut diagnostics) = (Files::default(), Vec::new());
    let report = run_tests(
        &[folder.path().to_owned().into()],
        None,
        &mut files,
        &mut diagnostics,
    );
    let text = render(&diagnostics, &files, Format::Human, false);
    assert!(diagnostics.is_empty(), "{text}");
    Outcome {
        report,
        files,
        folder,
    }
}

/// `line: path: expected → found` of every difference.
fn differences(outcome: &Outcome) -> Vec<String> {
    let show = |value: &Option<Value>| value.as_ref().map_or("nothing".into(), Value::to_string);
    outcome
        .report
        .cases
        .iter()
        .flat_map(|case| &case.differences)
        .map(|one| {
            let (line, _) = outcome.files.position(one.place.file, one.place.start);
            let (expected, found) = (show(&one.expected), show(&one.found));
            format!("{line}: {}: {expected} → {found}", one.path)
        })
        .collect()
}

/// The test file after the edits of all cases, run again.
fn updated(outcome: &Outcome) -> String {
    let path = outcome.folder.path().join("a.test.yaml");
    let text = std::fs::read_to_string(&path).expect("a file");
    let edits: Vec<Edit> = outcome
        .report
        .cases
        .iter()
        .flat_map(|case| case.edits.clone())
        .collect();
    let new = apply(&text, &edits).expect("edits that agree");
    let again = run(&new);
    assert_eq!(differences(&again), Vec::<String>::new(), "{new}");
    new
}

#[test]
fn what_is_as_expected_passes() {
    let outcome = run("\
version: 1
tests:
  good:
    rule: r
    event: { event_type: x, a: 1, c: 2 }
    rows:
      - { expect: { b: { c: 2 } } }
      - { with: { c: { $omit: true } }, exactly: { a: 1 } }
      - { with: { a: null }, skip: no a }
      - { with: { a: 5 }, documents: [{ a: 5.0 }] }
      - { event: { event_type: x, a: 7 }, expect: { a: 7, b: null } }
  none: { event: { event_type: z }, unmapped: true }
");
    assert_eq!(differences(&outcome), Vec::<String>::new());
    assert_eq!(outcome.report.cases.len(), 6);
}

#[test]
fn every_difference_of_a_case_is_said_with_its_path_and_its_line() {
    let outcome = run("\
version: 1
tests:
  bad:
    event: { event_type: x, a: 1, c: 2 }
    rows:
      - rule: two
        expect:
          a: 2
          b: { c: 3, d: 4 }
      - { exactly: { a: 1 } }
      - { skip: no a }
      - { with: { a: null }, skip: no b }
      - { documents: [{ a: 1 }, { a: 2 }] }
  two:
    event: { event_type: y, a: 1, c: 2 }
    documents: [{ a: 1 }, { a: 3 }]
");
    assert_eq!(
        differences(&outcome),
        [
            "6: rule: \"two\" → \"r\"",
            "8: a: 2 → 1",
            "9: b.c: 3 → 2",
            "9: b.d: 4 → nothing",
            "10: b: nothing → {\"c\":2}",
            "11: : \"skipped: no a\" → \"one document\"",
            "12: skip: \"no b\" → \"no a\"",
            "13: : \"2 documents\" → \"one document\"",
            "16: [1].a: 3 → 2",
        ]
    );
}

#[test]
fn coverage_names_what_no_test_looks_at() {
    let catalogue_free = run("\
version: 1
tests:
  one: { event: { event_type: x, a: 1, c: 2 }, expect: { a: 1 } }
  two: { event: { event_type: y, a: 1, c: 2 }, documents: [{ sent_by: sluice }, {}] }
");
    let coverage = &catalogue_free.report.coverage;
    let names = |measure: &Measure| -> Vec<String> {
        measure
            .untouched
            .iter()
            .map(|one| format!("{} {}", one.rule, one.name))
            .collect()
    };
    assert_eq!(coverage.rules.total, 3);
    assert_eq!(names(&coverage.rules), ["never never"]);
    assert_eq!(coverage.fields.total, 6);
    assert_eq!(
        names(&coverage.fields),
        ["two a", "two a", "never a", "r b.c"]
    );
    assert!((coverage.rules.percent() - 66.6).abs() < 1e-9);
    assert!((coverage.types.percent() - 100.0).abs() < 1e-9);
}

#[test]
fn an_update_changes_the_values_that_differ_and_nothing_else() {
    let outcome = run("\
version: 1
tests:
  # This comment stays.
  one:
    event: { event_type: x, a: 1, c: two words }
    expect:
      a: 2 # so does this
      b: { c: old,  d: 4 }

  # And this.
  two: { event: { event_type: x }, skip: old reason } # and this
");
    assert_eq!(
        updated(&outcome),
        "\
version: 1
tests:
  # This comment stays.
  one:
    event: { event_type: x, a: 1, c: two words }
    expect:
      a: 1 # so does this
      b: { c: two words,  d: null }

  # And this.
  two: { event: { event_type: x }, skip: no a } # and this
"
    );
}

#[test]
fn an_update_writes_an_expectation_anew_where_members_come_or_go() {
    let outcome = run("\
version: 1
tests:
  whole:
    event: { event_type: x, a: 1, c: 2 }
    exactly: {}

  gone: # a comment
    event: { event_type: x, a: 1 }
    exactly:
      a: 1
      b:
        c: 2
    # a comment behind it
  other:
    event: { event_type: x, a: 1 }
    rows:
      - { skip: no a }
      - with: { a: null }
        expect: { a: 1 }
  several: { event: { event_type: y, a: 1, c: 2 }, expect: { a: 1 } }
");
    assert_eq!(
        updated(&outcome),
        "\
version: 1
tests:
  whole:
    event: { event_type: x, a: 1, c: 2 }
    exactly:
      a: 1
      b:
        c: 2

  gone: # a comment
    event: { event_type: x, a: 1 }
    exactly:
      a: 1
    # a comment behind it
  other:
    event: { event_type: x, a: 1 }
    rows:
      - { exactly: { a: 1 } }
      - with: { a: null }
        skip: no a
  several: { event: { event_type: y, a: 1, c: 2 }, documents: [{ sent_by: sluice, a: 1 }, { a: 2 }] }
"
    );
}

#[test]
fn rows_that_share_an_expectation_and_differ_are_not_rewritten() {
    let outcome = run("\
version: 1
tests:
  table:
    event: { event_type: x, a: 1 }
    expect: { a: 0 }
    rows: [{ with: { a: 1 } }, { with: { a: 2 } }]
");
    let edits: Vec<Edit> = outcome
        .report
        .cases
        .iter()
        .flat_map(|case| case.edits.clone())
        .collect();
    assert!(apply("irrelevant", &edits).is_err());
}

#[test]
fn the_tests_of_every_built_in_set_pass_and_leave_nothing_out() {
    // Overlay folders are found below their set.
    for set in builtin_sets().iter().filter(|set| !set.contains('/')) {
        let (mut files, mut diagnostics) = (Files::default(), Vec::new());
        let path = format!("builtin:{set}");
        let report = run_tests(
            &[PathBuf::from(&path).into()],
            None,
            &mut files,
            &mut diagnostics,
        );
        let text = render(&diagnostics, &files, Format::Human, false);
        assert!(diagnostics.is_empty(), "{text}");
        assert!(!report.cases.is_empty(), "{set} has no tests");
        let wrong: Vec<String> = report
            .cases
            .iter()
            .filter(|case| !case.passed())
            .map(|case| format!("{}: {:?}", files.place(case.place), case.differences))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let coverage = &report.coverage;
        for measure in [&coverage.rules, &coverage.types, &coverage.fields] {
            let none: Vec<Untouched> = Vec::new();
            assert_eq!(measure.untouched, none, "{set}: without a test");
        }
    }
}
