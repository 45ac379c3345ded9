//! Write a document from the spans of an event.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::Write as _;
use std::ops::Range;

use serde_json::Value;
use sluice_sdk::json::{self, Refused};

use super::lower::escaped;
use super::plan::{
    Condition, Member, ObjectPlan, Place, Quick, Side, Source, Spread, TextPart, ValuePlan, Wanted,
    Write,
};
use super::scan::{self, Habits, Span};
use super::trie;
use crate::mapping::convert;
use crate::mapping::evaluate::{self, Converted, Stop};
use crate::mapping::paths::Root;
use crate::mapping::plan::Expr;

/// More members than this in one spread are the plain evaluator's.
const SPREAD_MEMBERS_MAX: usize = 1000;

/// Why writing ended early.
#[derive(Debug)]
pub enum Halt {
    /// A value decides that there is no document.
    Stop(Stop),
    /// Something that the plain evaluator knows better, such as a member that is there twice.
    Odd,
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Refused> for Halt {
    fn from(_: Refused) -> Self {
        Self::Odd
    }
}

/// One scanned text: the event, or an item of `$each`.
#[derive(Clone, Copy)]
pub struct Scanned<'a> {
    /// The whole value.
    pub text: &'a str,
    /// Where its wanted members stand.
    pub spans: &'a [Span],
    /// Which path is which span.
    pub wanted: &'a Wanted,
    /// Built when something needs it.
    pub tree: &'a OnceCell<Value>,
}

impl<'a> Scanned<'a> {
    fn span(self, path: u32) -> &'a str {
        self.spans[self.wanted.nodes[path as usize].index()].of(self.text)
    }

    fn tree(self) -> &'a Value {
        self.tree
            .get_or_init(|| serde_json::from_str(self.text).unwrap_or_default())
    }
}

/// What paths start from.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `$`
    pub event: Scanned<'a>,
    /// `$item`
    pub item: Option<Scanned<'a>>,
}

impl<'a> Scope<'a> {
    fn of(self, root: Root) -> Scanned<'a> {
        match root {
            Root::Event => self.event,
            // Only what stands inside `$each` has places in the item.
            Root::Item => self.item.unwrap_or(self.event),
        }
    }

    /// The raw value with null, if it is there.
    fn with_null(self, place: Place) -> Option<&'a str> {
        Some(self.of(place.root).span(place.path)).filter(|raw| !raw.is_empty())
    }

    /// The raw value, if it is there and not null.
    fn raw(self, place: Place) -> Option<&'a str> {
        Some(self.of(place.root).span(place.path)).filter(|raw| !raw.is_empty() && *raw != "null")
    }

    fn trees(self) -> evaluate::Scope<'a> {
        evaluate::Scope {
            event: self.event.tree(),
            item: self.item.map(Scanned::tree),
        }
    }

    /// Whether a condition holds.
    pub fn holds(self, condition: &Condition) -> bool {
        match condition {
            Condition::Or(all) => all.iter().any(|one| self.holds(one)),
            Condition::And(all) => all.iter().all(|one| self.holds(one)),
            Condition::Not(one) => !self.holds(one),
            Condition::Exists(place) => self.raw(*place).is_some(),
            Condition::Is(place, text) => self
                .raw(*place)
                .and_then(plain)
                .is_some_and(|found| *found == **text),
            Condition::Compare(left, how, right) => {
                how.compare(self.side(left).as_deref(), self.side(right).as_deref())
            }
            Condition::Matches(place, regex) => self
                .raw(*place)
                .and_then(plain)
                .is_some_and(|text| regex.is_match(&text)),
            Condition::Tree(root, expression) => expression.holds(self.of(*root).tree()),
        }
    }

    fn side<'s>(self, side: &'s Side) -> Option<Cow<'s, Value>> {
        match side {
            Side::Literal(value) => value.as_ref().map(Cow::Borrowed),
            Side::At(place) => serde_json::from_str(self.raw(*place)?).ok().map(Cow::Owned),
        }
    }
}

/// The text of a raw string; nothing else has one.
pub fn plain(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Writes one document.
pub struct Writer<'a> {
    /// Where to.
    pub out: &'a mut Vec<u8>,
    /// Where the identity was written.
    pub identity: Option<Range<usize>>,
}

impl Writer<'_> {
    /// Write a document; an absent one is an empty object.
    ///
    /// # Errors
    /// When there is none; `out` then holds a part of it.
    pub fn document(&mut self, plan: &ObjectPlan, scope: Scope<'_>) -> Result<(), Halt> {
        if !self.object(plan, scope)? {
            self.text("{}");
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, value: &Value) {
        // Nothing can go wrong: the writer is a list of bytes, and keys are texts.
        serde_json::to_writer(&mut *self.out, value).expect("a value is JSON");
    }

    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.text(text);
        self.out.push(b'"');
    }

    /// Write a value; `false` if it is absent, and then nothing is written.
    fn value(&mut self, write: &Write, scope: Scope<'_>) -> Result<bool, Halt> {
        match write {
            Write::Fixed(text) => self.text(text),
            Write::Absent => return Ok(false),
            Write::Raw(place) => match scope.raw(*place) {
                Some(raw) => self.text(raw),
                None => return Ok(false),
            },
            Write::Object(object) => return self.object(object, scope),
            Write::List(items) => return self.list(items, scope),
            Write::Value(value) => return self.operator(value, scope),
            Write::Tree(expr) => return self.tree(expr, scope),
        }
        Ok(true)
    }

    fn tree(&mut self, expr: &Expr, scope: Scope<'_>) -> Result<bool, Halt> {
        let made = evaluate::value(expr, scope.trees())?;
        if let Some(value) = &made {
            self.json(value);
        }
        Ok(made.is_some())
    }

    fn list(&mut self, items: &[Write], scope: Scope<'_>) -> Result<bool, Halt> {
        let start = self.out.len();
        self.out.push(b'[');
        for item in items {
            self.item(start, item, scope)?;
        }
        if self.out.len() == start + 1 && !items.is_empty() {
            self.out.truncate(start);
            return Ok(false);
        }
        self.out.push(b']');
        Ok(true)
    }

    /// An item of the list or object that begins at `start`, with the comma before it.
    fn item(&mut self, start: usize, item: &Write, scope: Scope<'_>) -> Result<bool, Halt> {
        let before = self.out.len();
        self.comma(start);
        let is_there = self.value(item, scope)?;
        if !is_there {
            self.out.truncate(before);
        }
        Ok(is_there)
    }

    fn comma(&mut self, start: usize) {
        if self.out.len() > start + 1 {
            self.out.push(b',');
        }
    }

    fn object(&mut self, plan: &ObjectPlan, scope: Scope<'_>) -> Result<bool, Halt> {
        let start = self.out.len();
        self.out.push(b'{');
        for member in &plan.members {
            let before = self.out.len();
            self.comma(start);
            match member {
                Member::Fixed(text) => self.text(text),
                Member::Value {
                    key,
                    value,
                    is_identity,
                } => {
                    self.text(key);
                    let from = self.out.len();
                    if !self.value(value, scope)? {
                        self.out.truncate(before);
                    } else if *is_identity {
                        self.identity = Some(from..self.out.len());
                    }
                }
            }
        }
        if !plan.spreads.is_empty() {
            self.spreads(plan, start, scope)?;
        }
        if self.out.len() == start + 1 {
            self.out.truncate(start);
            return Ok(false);
        }
        self.out.push(b'}');
        Ok(true)
    }

    fn spreads(&mut self, plan: &ObjectPlan, start: usize, scope: Scope<'_>) -> Result<(), Halt> {
        let mut written = Names::default();
        for spread in &plan.spreads {
            let (Spread::Copy(place, _) | Spread::Rest(place, _)) = spread;
            let Some(object) = scope.raw(*place).filter(|raw| raw.starts_with('{')) else {
                continue;
            };
            let mut seen = Names::default();
            json::members(object, |key, value| {
                // Twice there, or written with escapes: rare, and the last one counts.
                if key.contains('\\') || !seen.insert(Cow::Borrowed(key))? {
                    return Err(Refused);
                }
                let is_null = value == "null";
                let name = match spread {
                    Spread::Copy(_, copy) => copy.name_for(key, is_null),
                    Spread::Rest(_, rest) => rest.name_for(key, is_null),
                };
                let Some(name) = name else {
                    return Ok(());
                };
                if plan.explicit.contains(&*name) || !written.insert(name.clone())? {
                    return Ok(());
                }
                self.comma(start);
                match name {
                    // A part of the event, and without escapes.
                    Cow::Borrowed(name) if std::ptr::eq(name, key) => self.quoted(name),
                    name => self.quoted(&escaped(&name)),
                }
                self.out.push(b':');
                self.text(value);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn operator(&mut self, plan: &ValuePlan, scope: Scope<'_>) -> Result<bool, Halt> {
        let is_there = if plan.operator.conversions.is_empty() {
            self.source(plan, scope)?
        } else {
            match self.converted(plan, scope)? {
                Made::Written => true,
                Made::Absent => false,
                Made::Omitted => return Ok(false),
            }
        };
        if is_there {
            return Ok(true);
        }
        if let Some(default) = &plan.default
            && self.value(default, scope)?
        {
            return Ok(true);
        }
        evaluate::missing(&plan.operator)?;
        Ok(false)
    }

    fn converted(&mut self, plan: &ValuePlan, scope: Scope<'_>) -> Result<Made, Halt> {
        if let Source::First { places, keeps_null } = &plan.source {
            return match first(places, *keeps_null, scope) {
                Some(raw) => self.convert(plan, raw),
                None => Ok(Made::Absent),
            };
        }
        let start = self.out.len();
        if !self.source(plan, scope)? {
            return Ok(Made::Absent);
        }
        let raw = self.out.split_off(start);
        self.convert(plan, std::str::from_utf8(&raw).map_err(|_| Halt::Odd)?)
    }

    fn convert(&mut self, plan: &ValuePlan, raw: &str) -> Result<Made, Halt> {
        if plan.quick.is_some_and(|quick| self.quick(quick, raw)) {
            return Ok(Made::Written);
        }
        let value = serde_json::from_str(raw).map_err(|_| Halt::Odd)?;
        Ok(match evaluate::convert(&plan.operator, value)? {
            Converted::Value(value) => {
                self.json(&value);
                Made::Written
            }
            Converted::Absent => Made::Absent,
            Converted::Omitted => Made::Omitted,
        })
    }

    /// The conversion of the common form of an argument; `false` leaves it to the table of conversions.
    fn quick(&mut self, quick: Quick, raw: &str) -> bool {
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
        let is_flag = matches!(raw, "true" | "false");
        match quick {
            // What is absent is for the table to say.
            Quick::NonEmptyString if raw == "\"\"" => return false,
            Quick::String | Quick::NonEmptyString if raw.starts_with('"') => self.text(raw),
            Quick::String | Quick::NonEmptyString if is_number || is_flag => self.quoted(raw),
            Quick::Number if is_number => self.text(raw),
            Quick::Integer if is_number && digits.len() <= 18 && is_whole(digits) => self.text(raw),
            Quick::Boolean if is_flag => self.text(raw),
            Quick::Timestamp if raw.len() <= 11 && is_whole(raw) => return self.timestamp(raw),
            Quick::Sha256 => {
                let Some(text) = plain(raw) else {
                    return false;
                };
                self.quoted(&convert::sha256_hex(&text));
            }
            _ => return false,
        }
        true
    }

    fn timestamp(&mut self, seconds: &str) -> bool {
        let moment = seconds
            .parse()
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        match moment {
            Some(moment) => write!(self.out, "\"{moment:.3}\"").is_ok(),
            None => false,
        }
    }

    fn source(&mut self, plan: &ValuePlan, scope: Scope<'_>) -> Result<bool, Halt> {
        match &plan.source {
            Source::First { places, keeps_null } => match first(places, *keeps_null, scope) {
                Some(raw) => self.text(raw),
                None => return Ok(false),
            },
            Source::Write(write) => return self.value(write, scope),
            Source::Lookup {
                key,
                table,
                default,
            } => {
                let Some(raw) = scope.raw(*key) else {
                    return Ok(false);
                };
                let found = match raw.as_bytes().first() {
                    Some(b'"') => plain(raw).and_then(|key| table.get(&*key)),
                    Some(b'{' | b'[') => None,
                    _ => table.get(raw),
                };
                match (found, default) {
                    (Some(json), _) => self.text(json),
                    (None, Some(default)) => return self.value(default, scope),
                    (None, None) => return Ok(false),
                }
            }
            Source::Text(parts) => return Ok(self.parts(parts, scope)),
            Source::If {
                condition,
                then,
                otherwise,
            } => {
                let chosen = if scope.holds(condition) {
                    then
                } else {
                    otherwise
                };
                return self.value(chosen, scope);
            }
            Source::Each {
                items,
                wanted,
                emit,
            } => return self.each(plan, *items, wanted, emit, scope),
        }
        Ok(true)
    }

    fn parts(&mut self, parts: &[TextPart], scope: Scope<'_>) -> bool {
        let start = self.out.len();
        self.out.push(b'"');
        for part in parts {
            match part {
                TextPart::Plain(text) => self.text(text),
                TextPart::Value(place, default) => match (scope.raw(*place), default) {
                    (Some(raw), _) => match raw.as_bytes().first() {
                        // Without its quotes: what is inside is escaped already.
                        Some(b'"') => self.text(&raw[1..raw.len() - 1]),
                        Some(b'{' | b'[') => {
                            let value: Value = serde_json::from_str(raw).unwrap_or_default();
                            self.text(&escaped(&value.to_string()));
                        }
                        _ => self.text(raw),
                    },
                    (None, Some(default)) => self.text(default),
                    (None, None) => {
                        self.out.truncate(start);
                        return false;
                    }
                },
            }
        }
        self.out.push(b'"');
        true
    }

    fn each(
        &mut self,
        plan: &ValuePlan,
        items: Place,
        wanted: &Wanted,
        emit: &Write,
        scope: Scope<'_>,
    ) -> Result<bool, Halt> {
        let Some(list) = scope.raw(items) else {
            return Ok(false);
        };
        if !list.starts_with('[') {
            evaluate::not_a_list(&plan.operator)?;
            return Ok(false);
        }
        let start = self.out.len();
        self.out.push(b'[');
        let (mut spans, mut habits) = (Vec::new(), Habits::default());
        json::items(list, |text| {
            scan::scan(text, &wanted.trie, &mut habits, &mut spans)?;
            let tree = OnceCell::new();
            let item = Scanned {
                text,
                spans: &spans,
                wanted,
                tree: &tree,
            };
            let scope = Scope {
                item: Some(item),
                ..scope
            };
            self.item(start, emit, scope).map(|_| ())
        })?;
        self.out.push(b']');
        Ok(true)
    }
}

/// What became of a value that was to be converted.
enum Made {
    Written,
    /// A default may stand in.
    Absent,
    /// By `$invalid: omit`; nothing stands in.
    Omitted,
}

fn is_whole(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn first<'a>(places: &[Place], keeps_null: bool, scope: Scope<'a>) -> Option<&'a str> {
    let present = places.iter().find_map(|place| scope.raw(*place));
    match present {
        None if keeps_null => places.iter().find_map(|place| scope.with_null(*place)),
        present => present,
    }
}

/// A set of names that is cheap while it is small.
#[derive(Default)]
struct Names<'a> {
    bits: [u64; 4],
    names: Vec<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// `false` if it is in there already.
    fn insert(&mut self, name: Cow<'a, str>) -> Result<bool, Refused> {
        if self.names.len() >= SPREAD_MEMBERS_MAX {
            return Err(Refused);
        }
        let at = trie::hash(name.as_bytes(), 256);
        let (word, bit) = (at / 64, 1 << (at % 64));
        let is_maybe = self.bits[word] & bit != 0;
        if is_maybe && self.names.contains(&name) {
            return Ok(false);
        }
        self.bits[word] |= bit;
        self.names.push(name);
        Ok(true)
    }
}
