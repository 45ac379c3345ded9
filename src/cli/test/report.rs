//! What the tests gave, for people, machines, GitHub and CI systems.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::output;
use crate::diagnostics::{Files, yaml_flow};
use crate::mapping::testing::{CaseResult, Coverage, Difference, Measure, TestReport};
use crate::wording::number;

/// Failures in full, then the count.
pub fn human(report: &TestReport, files: &Files) -> String {
    let mut out = String::new();
    for case in report.cases.iter().filter(|case| !case.passed()) {
        let head = format!("{}  failed: {}", files.place(case.place), case.name);
        let _ = writeln!(out, "{}", output::paint("1;31", &head));
        for difference in &case.differences {
            out.push_str(&lines(difference, files));
        }
        if let Some(hint) = &case.hint {
            let _ = writeln!(out, "  = {hint}");
        }
        out.push('\n');
    }
    let (passed, failed) = counts(report);
    let _ = writeln!(
        out,
        "{}: {passed} passed, {failed} failed",
        number(report.cases.len(), "case")
    );
    out
}

fn counts(report: &TestReport) -> (usize, usize) {
    let passed = report.cases.iter().filter(|case| case.passed()).count();
    (passed, report.cases.len() - passed)
}

/// A value as it would stand in the test file; what is said in words as it is.
fn shown(difference: &Difference, value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(words)) if difference.path.is_empty() => words.clone(),
        Some(value) => yaml_flow(value),
    }
}

fn lines(difference: &Difference, files: &Files) -> String {
    let (line, column) = files.position(difference.place.file, difference.place.start);
    let path = match difference.path.as_str() {
        "" => "what became of the event",
        path => path,
    };
    let expected = shown(difference, difference.expected.as_ref());
    let found = shown(difference, difference.found.as_ref());
    format!(
        "  {}  (line {line}, column {column})\n    expected  {}\n    found     {}\n",
        output::paint("1", path),
        output::paint("32", &expected),
        output::paint("31", &found),
    )
}

/// Shares; with `is_full` also what has no test.
pub fn coverage(coverage: &Coverage, is_full: bool) -> String {
    let measures = [
        ("rules", "rule", &coverage.rules),
        ("event types", "type", &coverage.types),
        ("output fields", "field", &coverage.fields),
    ];
    if measures.iter().all(|(_, _, measure)| measure.total == 0) {
        return "tested: nothing of its own is in these mappings yet\n".to_owned();
    }
    if !is_full {
        let parts: Vec<String> = measures
            .iter()
            .map(|(name, _, measure)| format!("{} of {} {name}", touched(measure), measure.total))
            .collect();
        let is_all = measures.iter().all(|(_, _, one)| one.untouched.is_empty());
        let hint = match is_all {
            true => "",
            false => " (`--coverage` lists the others)",
        };
        return format!("tested: {}{hint}\n", parts.join(", "));
    }
    let mut rows = Vec::new();
    for (name, _, measure) in measures {
        rows.push(vec![
            name.to_owned(),
            format!("{:>4} of {:>4}", touched(measure), measure.total),
            format!("{:>5.1} %", measure.percent()),
        ]);
    }
    let mut out = format!("\n{}", output::table(&rows));
    let missing: Vec<Vec<String>> = measures
        .iter()
        .flat_map(|(_, what, measure)| {
            measure.untouched.iter().map(move |one| {
                let rule = match *what {
                    "rule" => String::new(),
                    _ => format!("rule {}", one.rule),
                };
                let name = one.name.clone();
                vec![format!("  {what}"), name, rule, one.place.clone()]
            })
        })
        .collect();
    if !missing.is_empty() {
        let _ = write!(out, "\nWithout a test:\n{}", output::table(&missing));
    }
    out
}

fn touched(measure: &Measure) -> usize {
    measure.total - measure.untouched.len()
}

/// A failure in one text.
fn failure(case: &CaseResult) -> String {
    case.differences
        .iter()
        .map(|one| {
            let expected = shown(one, one.expected.as_ref());
            let found = shown(one, one.found.as_ref());
            match one.path.as_str() {
                "" => format!("expected {expected}, found {found}"),
                path => format!("{path}: expected {expected}, found {found}"),
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// One annotation a difference, at the line that expects something else.
pub fn github(report: &TestReport, files: &Files) -> String {
    let escaped = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let mut out = String::new();
    for case in &report.cases {
        for difference in &case.differences {
            let (line, column) = files.position(difference.place.file, difference.place.start);
            let one = CaseResult {
                differences: vec![difference.clone()],
                ..case.clone()
            };
            let _ = writeln!(
                out,
                "::error file={},line={line},col={column},title=test {}::{}",
                case.file,
                case.name,
                escaped(&failure(&one))
            );
        }
    }
    out
}

/// Everything.
pub fn machine(report: &TestReport, files: &Files) -> Value {
    let cases: Vec<Value> = report
        .cases
        .iter()
        .map(|case| {
            let differences: Vec<Value> = case
                .differences
                .iter()
                .map(|one| {
                    json!({"path": one.path, "expected": one.expected, "found": one.found,
                           "place": files.place(one.place)})
                })
                .collect();
            json!({
                "name": case.name,
                "file": case.file,
                "place": files.place(case.place),
                "passed": case.passed(),
                "differences": differences,
                "rule": case.rule,
                "event_type": case.event_type,
            })
        })
        .collect();
    let measure = |measure: &Measure| {
        let untested: Vec<Value> = measure
            .untouched
            .iter()
            .map(|one| json!({"name": one.name, "rule": one.rule, "place": one.place}))
            .collect();
        json!({"total": measure.total, "tested": touched(measure),
               "percent": measure.percent(), "untested": untested})
    };
    let (passed, failed) = counts(report);
    json!({
        "cases": cases,
        "passed": passed,
        "failed": failed,
        "coverage": {
            "rules": measure(&report.coverage.rules),
            "event_types": measure(&report.coverage.types),
            "output_fields": measure(&report.coverage.fields),
        },
    })
}

/// One `testcase` a case, one `testsuite` a file.
pub fn junit(report: &TestReport, files: &Files) -> String {
    let escaped = |text: &str| -> String {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        // XML has no way to write the other control characters.
        text.chars()
            .map(|char| match char {
                '\n' | '\t' => char,
                other if other.is_control() => '\u{fffd}',
                other => other,
            })
            .collect()
    };
    let mut names: Vec<&str> = report.cases.iter().map(|case| case.file.as_str()).collect();
    names.dedup();
    let (_, failed) = counts(report);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{failed}\">\n",
        report.cases.len()
    );
    for name in names {
        let cases = || report.cases.iter().filter(|case| case.file == name);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">",
            escaped(name),
            cases().count(),
            cases().filter(|case| !case.passed()).count()
        );
        for case in cases() {
            let head = format!(
                "    <testcase classname=\"{}\" name=\"{}\"",
                escaped(name),
                escaped(&case.name)
            );
            let _ = match case.passed() {
                true => writeln!(out, "{head}/>"),
                false => writeln!(
                    out,
                    "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                    escaped(&files.place(case.place)),
                    escaped(&failure(case))
                ),
            };
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}
