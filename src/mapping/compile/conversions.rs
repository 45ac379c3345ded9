//! `$as`: names and settings become conversions that are ready to run.

use super::Compiler;
use crate::diagnostics::{Diagnostic, Kind, Node, did_you_mean};
use crate::mapping::convert::{self, Conversion};
use crate::mapping::syntax::wrong_type;

impl Compiler<'_> {
    pub(super) fn conversions(&mut self, node: &Node) -> Vec<Conversion> {
        let items = node.as_list().unwrap_or(std::slice::from_ref(node));
        let mut found = Vec::new();
        for item in items {
            let (name, name_span, argument) = match &item.kind {
                Kind::Text { value, .. } => (value.as_str(), item.span, None),
                Kind::Map(entries) if entries.len() == 1 => (
                    entries[0].key.as_str(),
                    entries[0].key_span,
                    Some(&entries[0].value),
                ),
                _ => {
                    self.diagnostics.push(wrong_type(
                        item,
                        "a conversion",
                        "a name, or a map with one name and its argument",
                    ));
                    continue;
                }
            };
            let Some(row) = convert::ROWS.iter().find(|row| row.name == name) else {
                let names = || convert::ROWS.iter().map(|row| row.name);
                self.diagnostics.push(
                    Diagnostic::error(
                        "unknown-conversion",
                        name_span,
                        format!("there is no conversion `{name}`"),
                    )
                    .label(did_you_mean(name, names()))
                    .note(format!(
                        "there are: {}",
                        names().collect::<Vec<_>>().join(", ")
                    )),
                );
                continue;
            };
            match convert::make(row, argument, item.span) {
                Ok(conversion) => found.push(conversion),
                Err(message) => {
                    let span = argument.map_or(item.span, |argument| argument.span);
                    self.error("bad-conversion", span, message);
                }
            }
        }
        found
    }
}
