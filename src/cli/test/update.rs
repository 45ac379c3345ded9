//! `--update`: write what came out into the tests that fail.

use std::process::ExitCode;

use super::Run;
use crate::cli::output;
use crate::diagnostics::{FileId, Format, has_errors};
use crate::mapping::testing::{CaseResult, apply};
use crate::wording::number;

/// Rewrite expectations; exit code 1 if something is left that a person must look at.
pub fn update(run: &Run) -> ExitCode {
    if has_errors(&run.diagnostics) {
        return output::report(&run.diagnostics, &run.files, Format::Human, false);
    }
    let mut is_good = true;
    let mut count = 0;
    for file in run.files.ids() {
        let failed: Vec<&CaseResult> = run
            .report
            .cases
            .iter()
            .filter(|case| case.place.file == file && !case.passed())
            .collect();
        if failed.is_empty() {
            continue;
        }
        match rewrite(run, file, &failed) {
            Ok(()) => {
                count += failed.len();
                for case in failed {
                    output::print(&format!(
                        "updated  {}  {}\n",
                        run.files.place(case.place),
                        case.name
                    ));
                }
            }
            Err(message) => {
                is_good = false;
                output::tell(&format!("error: {message}\n"));
            }
        }
    }
    if count > 0 {
        output::print(&format!(
            "{} changed to expect what came out: read the difference before you keep it\n",
            number(count, "case")
        ));
    } else if is_good {
        output::print("every case passes; nothing was written\n");
    }
    if is_good {
        output::good()
    } else {
        output::problems()
    }
}

fn rewrite(run: &Run, file: FileId, failed: &[&CaseResult]) -> Result<(), String> {
    let name = run.files.name(file);
    let Some(path) = run.files.path(file) else {
        return Err(format!(
            "{name} is part of this program and cannot be written"
        ));
    };
    if let Some(case) = failed.iter().find(|case| case.edits.is_empty()) {
        return Err(format!(
            "{}: {} fails in a way that no other expectation mends; change it by hand",
            run.files.place(case.place),
            case.name
        ));
    }
    let edits: Vec<_> = failed.iter().flat_map(|case| case.edits.clone()).collect();
    let text = apply(run.files.text(file), &edits).map_err(|span| {
        format!(
            "{}: rows that share this expectation give different results; write one for each row",
            run.files.place(span)
        )
    })?;
    std::fs::write(path, text).map_err(|error| format!("{name} cannot be written: {error}"))
}
