//! Secrets that are there and will not do: empty, with a word too many, or for everybody to read.

use super::secrets::{self, Written, sounds_secret};
use super::{Mode, placeholders};
use crate::diagnostics::{Diagnostic, Node};

/// What HTTP puts before a token.
const SCHEME: &str = "bearer ";

/// Look at every secret that a schema knows. Nobody needs them to look at a data folder.
pub(super) fn check(
    root: &Node,
    mode: Mode,
    env: &dyn Fn(&str) -> Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if mode == Mode::Inspect {
        return;
    }
    for written in secrets::written(root) {
        if let Some(text) = written.node.as_str() {
            diagnostics.extend(look_at(&written, text, mode, env));
        }
    }
}

fn look_at(
    written: &Written<'_>,
    text: &str,
    mode: Mode,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Diagnostic> {
    let node = written.node;
    if text.trim().is_empty() {
        return Some(
            Diagnostic::error("empty-secret", node.span, "this secret is empty").label(WAYS),
        );
    }
    let is_token = written.key == "token";
    if is_token && begins_with_scheme(text) {
        let message = "the word `Bearer` is no part of a token";
        return Some(
            Diagnostic::warning("bearer-in-token", node.text_part(0, SCHEME.len()), message)
                .label("leave it out: whoever sends puts it before the token"),
        );
    }
    // `$NAME` and the like are told as what was meant.
    if !text.contains("${") {
        return (mode == Mode::Validate
            && placeholders::variable_meant(text).is_none()
            && written.is_secret())
        .then(|| {
            Diagnostic::warning(
                "plain-secret",
                node.span,
                "this secret is written out: whoever reads the file has it",
            )
            .label(WAYS)
        });
    }
    // What is wrong with the text itself was told.
    let filled = placeholders::resolve(node, Mode::Validate, env, &[], &mut Vec::new());
    if !filled.open.is_empty() {
        return None;
    }
    let value = filled.value.as_str().unwrap_or_default();
    // A default that is empty says that it may be left out.
    if value.trim().is_empty() && !text.contains(":-") {
        let name = text.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
        let message = match name {
            Some(name) => format!("the environment variable `{name}` is set, and empty"),
            None => "with what the environment has, this secret is empty".to_owned(),
        };
        let label = "put the secret into it: nothing works with an empty one";
        // Where configs are only checked, secrets are often not there.
        let diagnostic = match mode {
            Mode::Run => Diagnostic::error("empty-secret", node.span, message),
            _ => Diagnostic::warning("empty-secret", node.span, message),
        };
        return Some(diagnostic.label(label));
    }
    if written.is_secret() && value.trim() != value {
        return Some(
            Diagnostic::warning(
                "blank-in-secret",
                node.span,
                "the value begins or ends with a blank or a line break, which is taken as part of the secret",
            )
            .label("leave it out of the variable, or nothing that is sent with it is accepted"),
        );
    }
    (is_token && begins_with_scheme(value)).then(|| {
        Diagnostic::warning(
            "bearer-in-token",
            node.span,
            "the value begins with the word `Bearer`, which is no part of a token",
        )
        .label("leave it out of the variable: whoever sends puts it before the token")
    })
}

const WAYS: &str = "write `${NAME}` and set NAME in the environment, or `{ file: /path/to/it }`";

fn begins_with_scheme(text: &str) -> bool {
    let start = text.trim_start().get(..SCHEME.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

impl Written<'_> {
    /// Headers may hold anything, and mostly what everybody may know.
    fn is_secret(&self) -> bool {
        let key = self.key.to_lowercase().replace('-', "_");
        self.is_named || sounds_secret(&key) || ["authorization", "cookie"].contains(&key.as_str())
    }
}
