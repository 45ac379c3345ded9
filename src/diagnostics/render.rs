//! The one renderer: for people (excerpt and underline), for machines (JSON), for code review (GitHub).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Diagnostic, Files, Severity, Span};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Excerpt with underline.
    Human,
    /// One JSON array.
    Json,
    /// Workflow commands of GitHub Actions, one a line.
    Github,
}

/// Write all diagnostics; errors before warnings, each kind in the order of files and places.
pub fn render(diagnostics: &[Diagnostic], files: &Files, format: Format, colour: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| (std::cmp::Reverse(diagnostic.severity), diagnostic.span));
    match format {
        Format::Human => sorted
            .iter()
            .filter(|one| one.severity != Severity::Allowed)
            .map(|diagnostic| human(diagnostic, files, colour))
            .collect::<Vec<_>>()
            .join("\n"),
        Format::Json => {
            let all: Vec<Value> = sorted.iter().map(|one| machine(one, files)).collect();
            let mut text = serde_json::to_string_pretty(&all).unwrap_or_default();
            text.push('\n');
            text
        }
        Format::Github => sorted
            .iter()
            .filter(|one| one.severity != Severity::Allowed)
            .map(|one| github(one, files))
            .collect(),
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Allowed => "allowed",
    }
}

struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn human(diagnostic: &Diagnostic, files: &Files, colour: bool) -> String {
    let paint = Paint(colour);
    let tone = match diagnostic.severity {
        Severity::Error => "1;31",
        Severity::Warning | Severity::Allowed => "1;33",
    };
    let head = format!("{}[{}]", word(diagnostic.severity), diagnostic.code);
    let place = diagnostic
        .span
        .map_or_else(String::new, |span| format!("{}  ", files.place(span)));
    let mut out = format!(
        "{}{}: {}\n",
        paint.with("1", &place),
        paint.with(tone, &head),
        paint.with("1", &diagnostic.message)
    );
    if let Some(span) = diagnostic.span {
        excerpt(&mut out, span, &diagnostic.label, files, &paint, tone);
    } else if !diagnostic.label.is_empty() {
        let _ = writeln!(out, "   = {}", diagnostic.label);
    }
    for (span, text) in &diagnostic.related {
        let _ = writeln!(
            out,
            "  {} {text}",
            paint.with("1", &format!("{}:", files.place(*span)))
        );
        excerpt(&mut out, *span, "", files, &paint, "1;34");
    }
    for note in &diagnostic.notes {
        let _ = writeln!(out, "   {} {note}", paint.with("1;34", "="));
    }
    out
}

/// Lines longer than this are cut around the place.
const EXCERPT_COLUMNS_MAX: usize = 120;

fn excerpt(out: &mut String, span: Span, label: &str, files: &Files, paint: &Paint, tone: &str) {
    let (line, column) = files.position(span.file, span.start);
    let (end_line, end_column) = files.position(span.file, span.end);
    let text: Vec<char> = files.shown_line(span.file, line).chars().collect();
    let until = if end_line == line {
        end_column
    } else {
        text.len() + 1
    };
    let width = until.saturating_sub(column).max(1);
    let from = if column > EXCERPT_COLUMNS_MAX - 20 {
        column - 20
    } else {
        1
    };
    let shown: String = text
        .iter()
        .skip(from - 1)
        .take(EXCERPT_COLUMNS_MAX)
        .map(|char| if *char == '\t' { ' ' } else { *char })
        .collect();
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let bar = paint.with("1;34", "│");
    let _ = writeln!(out, "{gutter} {bar}");
    let _ = writeln!(out, "{} {bar} {shown}", paint.with("1;34", &number));
    let carets = "^".repeat(width.min(EXCERPT_COLUMNS_MAX));
    let under = format!("{carets} {label}");
    let _ = writeln!(
        out,
        "{gutter} {bar} {}{}",
        " ".repeat(column - from),
        paint.with(tone, under.trim_end())
    );
}

fn machine(diagnostic: &Diagnostic, files: &Files) -> Value {
    json!({
        "severity": word(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "place": diagnostic.span.map(|span| place(span, files)),
        "help": (!diagnostic.label.is_empty()).then_some(&diagnostic.label),
        "related": diagnostic.related.iter()
            .map(|(span, text)| json!({"message": text, "place": place(*span, files)}))
            .collect::<Vec<_>>(),
        "notes": diagnostic.notes,
        "allowed": diagnostic.allowed.as_ref()
            .map(|it| json!({"reason": it.reason, "place": place(it.place, files)})),
    })
}

fn place(span: Span, files: &Files) -> Value {
    let (line, column) = files.position(span.file, span.start);
    let (end_line, end_column) = files.position(span.file, span.end);
    json!({
        "file": files.name(span.file),
        "line": line, "column": column, "end_line": end_line, "end_column": end_column,
    })
}

fn github(diagnostic: &Diagnostic, files: &Files) -> String {
    let escape = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let mut message = diagnostic.message.clone();
    for more in std::iter::once(&diagnostic.label).chain(&diagnostic.notes) {
        if !more.is_empty() {
            message.push('\n');
            message.push_str(more);
        }
    }
    let place = diagnostic.span.map_or_else(String::new, |span| {
        let (line, column) = files.position(span.file, span.start);
        format!(
            "file={},line={line},col={column},",
            escape(files.name(span.file))
        )
    });
    format!(
        "::{} {place}title={}::{}\n",
        word(diagnostic.severity),
        diagnostic.code,
        escape(&message)
    )
}
