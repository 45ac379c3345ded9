//! What a plan becomes for the fast way: values that are written straight from the event's bytes.

use std::collections::{HashMap, HashSet};

use regex::Regex;
use serde_json::Value;

use super::trie::{NodeId, Trie};
use crate::mapping::expression::{Comparer, Expression};
use crate::mapping::paths::Root;
use crate::mapping::plan::{Copy, Expr, Operator, Rest};

/// Where in an event (or an item) a raw value stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The event or the item.
    pub root: Root,
    /// The number of its path.
    pub path: u32,
}

/// The paths of a program.
#[derive(Debug)]
pub struct Wanted {
    /// What is looked for.
    pub trie: Trie,
    /// The node of each path, by number.
    pub nodes: Vec<NodeId>,
}

/// A value to be written.
#[derive(Debug)]
pub enum Write {
    /// Always the same JSON.
    Fixed(Box<str>),
    /// Nothing.
    Absent,
    /// As it stands in the event; null is nothing.
    Raw(Place),
    /// Members.
    Object(ObjectPlan),
    /// Items; absent ones are left out.
    List(Vec<Write>),
    /// With conversions, a default, policies.
    Value(Box<ValuePlan>),
    /// Whatever has no faster way: by the plain evaluator, on a tree.
    Tree(Expr),
}

/// An object.
#[derive(Debug, Default)]
pub struct ObjectPlan {
    /// In the order of the output.
    pub members: Vec<Member>,
    /// Names that a spread never sets.
    pub explicit: HashSet<String>,
    /// In their order.
    pub spreads: Vec<Spread>,
}

/// A part of an object.
#[derive(Debug)]
pub enum Member {
    /// Members that are always the same, with commas between them.
    Fixed(String),
    /// A member that may be absent.
    Value {
        /// `"key":`
        key: Box<str>,
        /// What stands there.
        value: Write,
        /// What the sink knows the document by.
        is_identity: bool,
    },
}

/// `$copy` and `$rest`.
#[derive(Debug)]
pub enum Spread {
    /// `$copy`
    Copy(Place, Copy),
    /// `$rest`
    Rest(Place, Rest),
}

/// An operator.
#[derive(Debug)]
pub struct ValuePlan {
    /// Where the value comes from.
    pub source: Source,
    /// A conversion that need not build a value, for the common form of its argument.
    pub quick: Option<Quick>,
    /// When it is absent.
    pub default: Option<Write>,
    /// Conversions and policies.
    pub operator: Operator,
}

/// Where an operator's value comes from.
#[derive(Debug)]
pub enum Source {
    /// The first that is present.
    First {
        /// In this order.
        places: Vec<Place>,
        /// `$null: keep`
        keeps_null: bool,
    },
    /// Another value.
    Write(Write),
    /// `$lookup`
    Lookup {
        /// What is looked up.
        key: Place,
        /// JSON by key.
        table: HashMap<String, Box<str>>,
        /// When it is not in there.
        default: Option<Write>,
    },
    /// `$text`
    Text(Vec<TextPart>),
    /// `$if`
    If {
        /// The question.
        condition: Condition,
        /// Yes.
        then: Write,
        /// No.
        otherwise: Write,
    },
    /// `$each`
    Each {
        /// The list.
        items: Place,
        /// What is looked for in an item.
        wanted: Wanted,
        /// What becomes of an item.
        emit: Write,
    },
}

/// A piece of `$text`, escaped for JSON.
#[derive(Debug)]
pub enum TextPart {
    /// As it stands.
    Plain(String),
    /// A value, or the text instead.
    Value(Place, Option<String>),
}

/// Conversions with a way that builds no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quick {
    /// `string`
    String,
    /// `[string, non_empty]`
    NonEmptyString,
    /// `number`
    Number,
    /// `integer`
    Integer,
    /// `boolean`
    Boolean,
    /// `timestamp`
    Timestamp,
    /// `sha256`
    Sha256,
}

/// `when` and `$if`.
#[derive(Debug)]
pub enum Condition {
    /// `||`
    Or(Vec<Condition>),
    /// `&&`
    And(Vec<Condition>),
    /// `!`
    Not(Box<Condition>),
    /// A place that is there.
    Exists(Place),
    /// A place that is this text, written without escapes.
    Is(Place, String),
    /// A comparison.
    Compare(Side, Comparer, Side),
    /// `match()` and `search()` with a fixed pattern.
    Matches(Place, Regex),
    /// Whatever has no faster way; `@` is the event or the item.
    Tree(Root, Expression),
}

/// One side of a comparison.
#[derive(Debug)]
pub enum Side {
    /// A literal; `None` is null.
    Literal(Option<Value>),
    /// The value at a place.
    At(Place),
}
