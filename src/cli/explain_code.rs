//! `sluice explain-code CODE`: what a message means, with a wrong and a right example.

use std::process::ExitCode;

use sluice_sdk::{Reasons, typed};

use super::output;
use crate::diagnostics::codes::{self, CODES};
use crate::diagnostics::did_you_mean;
use crate::engine::dead_letters::reasons::{REASONS, REASONS_BEGINNING};

/// The page that is made from the table of codes and their examples.
const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// Say what the code of a message means, with a wrong and a right example, or the reason of a dead letter.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice explain-code                      all codes and reasons
  sluice explain-code may-be-missing
  sluice explain-code 'refused by the sink'")]
pub struct Args {
    /// The code, as it stands in brackets in a message, or the reason of a dead letter. Default: list all.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let Some(name) = &args.code else {
        let row = |name: &str, says: &str| vec![name.to_owned(), says.to_owned()];
        let codes: Vec<Vec<String>> = CODES.iter().map(|code| row(code.name, code.says)).collect();
        output::print(&output::table(&codes));
        for (whose, reasons) in reasons() {
            output::print(&format!("\nReasons of dead letters of {whose}:\n\n"));
            let rows: Vec<_> = reasons.iter().map(|(name, says)| row(name, says)).collect();
            output::print(&output::table(&rows));
        }
        return output::good();
    };
    let of_code = section(name).map(str::to_owned);
    let parts: Vec<String> = as_reason(name).into_iter().chain(of_code).collect();
    if !parts.is_empty() {
        output::print(&parts.join("\n"));
        return output::good();
    }
    let reasons = reasons();
    let reasons = reasons.iter().flat_map(|(_, of_one)| of_one.iter());
    let known = codes::names().chain(reasons.map(|(name, _)| *name));
    output::wrong_use(&format!(
        "there is no code `{name}`; {}",
        match did_you_mean(name, known) {
            hint if hint.is_empty() => format!(
                "{} lists them. A reason that is not there is a rule's own: `dead_letter:` or `skip:` in the mappings says it",
                typed("explain-code")
            ),
            hint => hint,
        }
    ))
}

/// The reasons of dead letters, by whose they are.
fn reasons() -> Vec<(String, Reasons)> {
    let engine = [REASONS, REASONS_BEGINNING].map(|it| ("any connector".to_owned(), it));
    let sinks = sluice_sdk::sinks().into_iter();
    let sinks = sinks.filter_map(|it| Some((format!("the sink `{}`", it.name), it.reasons?)));
    let sources = sluice_sdk::sources().into_iter();
    let sources = sources.filter_map(|it| Some((format!("the source `{}`", it.name), it.reasons?)));
    engine.into_iter().chain(sinks).chain(sources).collect()
}

/// What it means as the reason of a dead letter, with all whose reason it is.
fn as_reason(name: &str) -> Option<String> {
    let mut meanings: Vec<(String, Vec<String>)> = Vec::new();
    for (whose, reasons) in reasons() {
        for (reason, says) in reasons {
            if *reason != name && !(reason.ends_with(' ') && name.starts_with(reason)) {
                continue;
            }
            match meanings.iter_mut().find(|(known, _)| known == says) {
                Some((_, all)) => all.push(whose.clone()),
                None => meanings.push(((*says).to_owned(), vec![whose.clone()])),
            }
        }
    }
    let told: Vec<String> = meanings
        .into_iter()
        .map(|(says, whose)| {
            format!(
                "{name}, the reason of a dead letter of {}\n\n{says}\n",
                whose.join(", ")
            )
        })
        .collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// The part of the page about a code, without its heading's marks.
fn section(name: &str) -> Option<&'static str> {
    let heading = format!("## {name}\n");
    let start = PAGE.find(&heading)?;
    let text = &PAGE[start + "## ".len()..];
    let end = text.find("\n## ").map_or(text.len(), |end| end + 1);
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_part_of_the_page() {
        for code in CODES {
            let text = section(code.name).expect(code.name);
            assert!(
                text.starts_with(code.name) && text.contains(code.says),
                "{text}"
            );
        }
        assert!(section("no-such-code").is_none());
    }

    #[test]
    fn a_reason_is_explained_for_all_whose_it_is() {
        let said = as_reason("too-large").expect("a reason");
        assert!(
            said.contains("of a dead letter of any connector\n"),
            "{said}"
        );
        assert!(
            said.contains("of a dead letter of the sink `segment`\n"),
            "{said}"
        );
        let said = as_reason("invalid integer").expect("begins so");
        assert!(said.starts_with("invalid integer, the reason"), "{said}");
        let said = as_reason("no id").expect("a reason");
        assert!(
            said.contains("the source `http`, the source `stdin`"),
            "{said}"
        );
        assert!(as_reason("yaml-tag").is_none());
    }
}
