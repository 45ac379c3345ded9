//! What a mapping becomes at load: values that can be computed, checked and explained.
//!
//! Plain data. Templates and imports are merged, paths, expressions and conversions read; what an
//! evaluator needs stands here and nowhere else. A rule that was loaded without errors holds no
//! [`Expr::Unknown`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use globset::GlobMatcher;
use serde_json::Value;

use super::convert::Conversion;
use super::expression::Expression;
use super::paths::Path;
use crate::diagnostics::Span;

/// A value to be computed.
#[derive(Debug, Clone)]
pub enum Expr {
    /// Always the same.
    Const(Value),
    /// The value at a path.
    Path(Path),
    /// Members.
    Object(Object),
    /// Items; absent ones are left out.
    List(Vec<Expr>),
    /// An object with `$` keys.
    Operator(Box<Operator>),
    /// `{$omit: true}`: not even by a copy.
    Omit,
    /// Wrong in the file; said already, so that nothing follows from it.
    Unknown,
}

/// A plain object.
#[derive(Debug, Clone, Default)]
pub struct Object {
    /// In the order of the output.
    pub members: Vec<Member>,
    /// `$copy`
    pub copies: Vec<Copy>,
    /// `$rest`
    pub rests: Vec<Rest>,
}

/// One member.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Expr,
    /// Place of the value.
    pub span: Span,
    /// Place of the name.
    pub key_span: Span,
}

/// `$copy`
#[derive(Debug, Clone)]
pub struct Copy {
    /// The object.
    pub from: Path,
    /// Only these members.
    pub only: Option<HashSet<String>>,
    /// Not these.
    pub except: HashSet<String>,
    /// New names.
    pub rename: HashMap<String, String>,
    /// Put before names that are not renamed.
    pub prefix: String,
    /// Keep nulls.
    pub keeps_null: bool,
    /// Its place.
    pub span: Span,
}

impl Copy {
    /// The name of a member in the document, if it goes there.
    pub fn name_for<'a>(&self, key: &'a str, is_null: bool) -> Option<Cow<'a, str>> {
        let is_chosen = self.only.as_ref().is_none_or(|only| only.contains(key))
            && !self.except.contains(key)
            && (self.keeps_null || !is_null);
        is_chosen.then(|| match self.rename.get(key) {
            Some(name) => Cow::Owned(name.clone()),
            None => prefixed(&self.prefix, key),
        })
    }
}

fn prefixed<'a>(prefix: &str, key: &'a str) -> Cow<'a, str> {
    if prefix.is_empty() {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(format!("{prefix}{key}"))
    }
}

/// `$rest`
#[derive(Debug, Clone)]
pub struct Rest {
    /// The object.
    pub from: Path,
    /// Not these.
    pub except: HashSet<String>,
    /// Put before every name.
    pub prefix: String,
    /// Keep nulls.
    pub keeps_null: bool,
    /// What other paths of the document took; filled when the document is complete.
    pub taken: Taken,
    /// Its place.
    pub span: Span,
}

impl Rest {
    /// The name of a member in the document, if it goes there.
    pub fn name_for<'a>(&self, key: &'a str, is_null: bool) -> Option<Cow<'a, str>> {
        let is_chosen =
            !self.taken.has(key) && !self.except.contains(key) && (self.keeps_null || !is_null);
        is_chosen.then(|| prefixed(&self.prefix, key))
    }
}

/// Members that went into a document by another path.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// All, but for these.
    pub all_but: Option<HashSet<String>>,
    /// These.
    pub names: HashSet<String>,
}

impl Taken {
    /// Whether this member went elsewhere.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.all_but.as_ref().is_some_and(|but| !but.contains(name))
    }

    /// All go elsewhere, but for these.
    pub fn all_but(&mut self, but: HashSet<String>) {
        self.all_but = Some(match self.all_but.take() {
            Some(known) => known.intersection(&but).cloned().collect(),
            None => but,
        });
    }
}

/// A source of a value and what is done with it.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Where the value comes from.
    pub source: Source,
    /// `$as`
    pub conversions: Vec<Conversion>,
    /// `$default`
    pub default: Option<Expr>,
    /// `$missing`
    pub missing: Policy,
    /// `$invalid`; `None` is a dead letter that names the conversion.
    pub invalid: Option<Policy>,
    /// For messages: the member it is the value of, and where from.
    pub about: String,
    /// Place of the key that names the source.
    pub span: Span,
}

/// Where an operator's value comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// `$from`
    From {
        /// The first that is present.
        paths: Vec<Path>,
        /// `$null: keep`
        keeps_null: bool,
    },
    /// `$const`
    Const(Value),
    /// `$lookup`
    Lookup {
        /// What is looked up.
        key: Expr,
        /// Where.
        table: Arc<HashMap<String, Value>>,
        /// When it is not in there.
        default: Option<Expr>,
    },
    /// `$text`
    Text(Vec<TextPart>),
    /// `$if`
    If {
        /// The question.
        condition: Expression,
        /// Yes.
        then: Option<Expr>,
        /// No.
        otherwise: Option<Expr>,
    },
    /// `$each`
    Each {
        /// The list.
        items: Expr,
        /// What becomes of an item.
        emit: Expr,
    },
}

/// A piece of `$text`.
#[derive(Debug, Clone)]
pub enum TextPart {
    /// As it stands.
    Plain(String),
    /// A value, or the text instead.
    Value(Path, Option<String>),
}

/// What is done when a value is not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// The key is left out.
    Omit,
    /// The document is left out.
    Skip(String),
    /// The event is a dead letter.
    Dead(String),
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Event types.
    pub on: Vec<TypePattern>,
    /// `when`
    pub when: Option<Expression>,
    /// The same, as written.
    pub when_text: Option<String>,
    /// Place of `when`, or of the rule.
    pub when_place: Span,
    /// What it does.
    pub action: Action,
    /// `first`
    pub is_first: bool,
    /// `continue`
    pub goes_on: bool,
    /// `opt_in`
    pub opt_in: Option<String>,
    /// Place of its name, in the version on top.
    pub place: Span,
    /// How many imports away.
    pub depth: usize,
}

/// What a rule does.
#[derive(Debug, Clone)]
pub enum Action {
    /// `emit` (one without name) and `emit_each`.
    Emit(Vec<(Option<Arc<str>>, Object)>),
    /// `skip`
    Skip(String),
}

/// A name or glob of event types.
#[derive(Debug, Clone)]
pub struct TypePattern {
    /// As written.
    pub text: String,
    /// If it has wildcards.
    pub glob: Option<GlobMatcher>,
    /// Its place.
    pub span: Option<Span>,
}

impl TypePattern {
    /// Read it; a text that is no valid glob stands for itself.
    pub fn new(text: &str, span: Option<Span>) -> Self {
        let glob = text
            .contains(['*', '?', '[', '{'])
            .then(|| globset::Glob::new(text).ok())
            .flatten()
            .map(|glob| glob.compile_matcher());
        Self {
            text: text.to_owned(),
            glob,
            span,
        }
    }

    /// Whether it stands for this type.
    pub fn matches(&self, name: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(name),
            None => self.text == name,
        }
    }
}
