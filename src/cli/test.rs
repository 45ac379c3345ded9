//! `sluice test`: run the `*.test.yaml` files beside the mappings.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{mappings, output};
use crate::diagnostics::{Files, Format, has_errors};
use crate::mapping::testing::{CaseResult, TestReport, run_tests};

/// Run the tests of mappings: given events must become the expected documents.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice test                          all *.test.yaml under mappings/, else the built-in ones
  sluice test mappings/ours.test.yaml
  sluice test --filter click           cases whose name or file has `click` in it
  sluice test builtin:SET --format json")]
pub struct Args {
    /// Test files, folders, or `builtin:SET`.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only cases whose name, or whose file's name, contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How messages are written.
    #[arg(long, default_value = "human")]
    format: Format,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let mut paths = args.paths.clone();
    if paths.is_empty() {
        paths = default_paths();
    }
    if paths.is_empty() {
        return output::wrong_use("there is no folder `mappings` here; say where the tests are");
    }
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let mut report = TestReport::default();
    for path in &paths {
        let mut more = run_tests(path, args.filter.as_deref(), &mut files, &mut diagnostics);
        report.cases.append(&mut more.cases);
        report.untested_rules.append(&mut more.untested_rules);
        report.untested_types.append(&mut more.untested_types);
    }
    output::without_repeats(&mut diagnostics, &files);
    let failed = report.cases.iter().filter(|case| !case.passed).count();
    match args.format {
        Format::Json => output::print(&output::json(&machine(&report, &files))),
        Format::Human => output::print(&human(&report, args.filter.is_some(), &files)),
        Format::Github => {
            let failures = report.cases.iter().filter(|case| !case.passed);
            let lines: String = failures.map(|case| github(case, &files)).collect();
            output::print(&lines);
        }
    }
    // With `--format json` the report is the one JSON text of stdout.
    let code = if args.format == Format::Json {
        output::tell(&crate::diagnostics::render(
            &diagnostics,
            &files,
            Format::Human,
            false,
        ));
        output::good()
    } else {
        output::report(&diagnostics, &files, args.format, false)
    };
    if failed > 0 || has_errors(&diagnostics) {
        return output::problems();
    }
    if report.cases.is_empty() {
        output::tell("no case was run\n");
        return output::problems();
    }
    code
}

/// The folder `mappings`, otherwise every built-in set.
fn default_paths() -> Vec<PathBuf> {
    let folder = Path::new("mappings");
    if folder.is_dir() {
        return vec![folder.to_owned()];
    }
    mappings::top_sets()
        .into_iter()
        .map(|set| PathBuf::from(format!("builtin:{set}")))
        .collect()
}

fn human(report: &TestReport, is_filtered: bool, files: &Files) -> String {
    let mut out = String::new();
    for case in report.cases.iter().filter(|case| !case.passed) {
        let head = format!("{}  failed: {}", files.place(case.place), case.name);
        out.push_str(&format!("{}\n", output::paint("1;31", &head)));
        for line in case.failure.as_deref().unwrap_or_default().lines() {
            out.push_str(&format!("    {line}\n"));
        }
        out.push('\n');
    }
    let passed = report.cases.iter().filter(|case| case.passed).count();
    out.push_str(&format!(
        "{}: {passed} passed, {} failed\n",
        output::number(report.cases.len(), "case"),
        report.cases.len() - passed
    ));
    // What a filter left out says nothing about what is tested.
    if !is_filtered {
        for (what, names) in [
            ("rule", &report.untested_rules),
            ("event type", &report.untested_types),
        ] {
            if !names.is_empty() {
                out.push_str(&format!(
                    "{} without a test: {}\n",
                    output::number(names.len(), what),
                    names.join(", ")
                ));
            }
        }
    }
    out
}

fn github(case: &CaseResult, files: &Files) -> String {
    let (line, column) = files.position(case.place.file, case.place.start);
    let message = case
        .failure
        .as_deref()
        .unwrap_or_default()
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    format!(
        "::error file={},line={line},col={column},title=test {}::{message}\n",
        case.file, case.name
    )
}

fn machine(report: &TestReport, files: &Files) -> Value {
    let cases: Vec<Value> = report
        .cases
        .iter()
        .map(|case| {
            json!({
                "name": case.name,
                "file": case.file,
                "place": files.place(case.place),
                "passed": case.passed,
                "failure": case.failure,
                "rule": case.rule,
                "event_type": case.event_type,
            })
        })
        .collect();
    json!({
        "cases": cases,
        "passed": report.cases.iter().filter(|case| case.passed).count(),
        "failed": report.cases.iter().filter(|case| !case.passed).count(),
        "untested_rules": report.untested_rules,
        "untested_types": report.untested_types,
    })
}
