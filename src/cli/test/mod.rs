//! `sluice test`: run the `*.test.yaml` files beside the mappings.

mod report;
mod roots;
mod update;
mod watch;

pub use self::roots::of_config;

use std::path::PathBuf;
use std::process::ExitCode;

use super::follow::FollowArgs;
use super::output;
use crate::diagnostics::{Diagnostic, Files, Format, has_errors, render};
use crate::mapping::testing::{Coverage, TestReport, TestRoot, run_tests};

/// Run the tests of mappings: given events must become the expected documents.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice test                          all *.test.yaml of the config's mappings and under mappings/
  sluice test mappings/ours.test.yaml
  sluice test --filter click           cases whose name or file has `click` in it
  sluice test --coverage               and what no test looks at
  sluice test --fail-under 100         exit 1 if a rule, event type or output field has no test
  sluice test --update                 write what came into the tests that fail, for review
  sluice test --watch                  again whenever a file changes
  sluice test builtin:SET --format json

A test that is not written yet: `exactly: {}` and `--update`.")]
pub struct Args {
    /// Test files, folders, or `builtin:SET`.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only cases whose name, or whose file's name, contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How results are written.
    #[arg(long, default_value = "human")]
    format: Shape,
    /// List rules, event types and output fields that no test looks at.
    #[arg(long, conflicts_with = "filter")]
    coverage: bool,
    /// Exit with 1 if less than this share of rules, event types or output fields has a test.
    #[arg(long, value_name = "PERCENT", conflicts_with = "filter", value_parser = percent)]
    fail_under: Option<f64>,
    /// Write what came out into the expectations that fail. Comments and layout stay.
    #[arg(long, conflicts_with = "watch")]
    update: bool,
    /// Run again whenever a YAML file of the tests or the mappings changes; ends with Ctrl-C.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people.
    Human,
    /// One JSON text.
    Json,
    /// Workflow commands of GitHub Actions.
    Github,
    /// The XML that CI systems read.
    Junit,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

/// Everything that one run gave.
struct Run {
    files: Files,
    diagnostics: Vec<Diagnostic>,
    report: TestReport,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let followed = match args.follow.read(&mut Files::default()) {
        Ok(followed) => followed,
        Err(code) => return code,
    };
    let roots = roots::roots(&args.paths, followed.as_ref());
    if roots.is_empty() {
        return output::wrong_use("there is no folder `mappings` here; say where the tests are");
    }
    let is_builtin = |root: &TestRoot| root.path.to_string_lossy().starts_with("builtin:");
    if args.paths.is_empty() && roots.iter().all(is_builtin) {
        output::tell(
            "no folder `mappings` is here: these are the tests of the built-in mappings. To run your own, name their file or folder\n",
        );
    }
    if args.watch {
        let paths: Vec<PathBuf> = roots.iter().map(|root| root.path.clone()).collect();
        return watch::watch(&paths, || show(args, &run_all(args, &roots)));
    }
    let run = run_all(args, &roots);
    if args.update {
        return update::update(&run);
    }
    show(args, &run)
}

fn run_all(args: &Args, roots: &[TestRoot]) -> Run {
    let mut files = Files::default();
    let mut diagnostics = Vec::new();
    let report = run_tests(roots, args.filter.as_deref(), &mut files, &mut diagnostics);
    output::without_repeats(&mut diagnostics, &files);
    Run {
        files,
        diagnostics,
        report,
    }
}

fn show(args: &Args, run: &Run) -> ExitCode {
    let Run {
        files,
        diagnostics,
        report,
    } = run;
    let is_below = args
        .fail_under
        .is_some_and(|wanted| lowest(&report.coverage) < wanted);
    if args.format == Shape::Human && report.cases.is_empty() && has_errors(diagnostics) {
        let code = output::report(diagnostics, files, Format::Human, false);
        output::tell("no case was run: the mappings or tests have errors\n");
        return code;
    }
    let text = match args.format {
        Shape::Json => output::json(&report::machine(report, files)),
        Shape::Github => report::github(report, files),
        Shape::Junit => report::junit(report, files),
        Shape::Human => report::human(report, files),
    };
    output::print(&text);
    // What a filter left out says nothing about what is tested.
    if args.format == Shape::Human && args.filter.is_none() {
        let is_wanted = args.coverage || is_below;
        output::print(&report::coverage(&report.coverage, is_wanted));
    }
    // Where machines read, stdout has the report and nothing else.
    let code = match args.format {
        Shape::Human => output::report(diagnostics, files, Format::Human, false),
        Shape::Github => output::report(diagnostics, files, Format::Github, false),
        Shape::Json | Shape::Junit => {
            output::tell(&render(diagnostics, files, Format::Human, false));
            output::good()
        }
    };
    if let Some(wanted) = args.fail_under.filter(|_| is_below) {
        output::tell(&format!(
            "error: less than {wanted} % is covered by tests\n"
        ));
        return output::problems();
    }
    if report.cases.iter().any(|case| !case.passed()) || has_errors(diagnostics) {
        return output::problems();
    }
    if report.cases.is_empty() {
        output::tell("no case was run\n");
        return output::problems();
    }
    code
}

fn lowest(coverage: &Coverage) -> f64 {
    [&coverage.rules, &coverage.types, &coverage.fields]
        .into_iter()
        .map(crate::mapping::testing::Measure::percent)
        .fold(100.0, f64::min)
}
