//! `sluice explain-code CODE`: what a message means, with a wrong and a right example.

use std::process::ExitCode;

use sluice_sdk::typed;

use super::output;
use crate::diagnostics::codes::{self, CODES};
use crate::diagnostics::did_you_mean;

/// The page that is made from the table of codes and their examples.
const PAGE: &str = include_str!("../../docs/diagnostics.md");

/// Say what the code of a message means, with a wrong and a right example.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sluice explain-code                      all codes
  sluice explain-code may-be-missing")]
pub struct Args {
    /// The code, as it stands in brackets in a message. Default: list all.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Run it.
pub fn run(args: &Args) -> ExitCode {
    let Some(name) = &args.code else {
        let rows: Vec<Vec<String>> = CODES
            .iter()
            .map(|code| vec![code.name.to_owned(), code.says.to_owned()])
            .collect();
        output::print(&output::table(&rows));
        return output::good();
    };
    match section(name) {
        Some(text) => {
            output::print(text);
            output::good()
        }
        None => output::wrong_use(&format!(
            "there is no code `{name}`; {}",
            match did_you_mean(name, codes::names()) {
                hint if hint.is_empty() => format!("{} lists them", typed("explain-code")),
                hint => hint,
            }
        )),
    }
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
}
