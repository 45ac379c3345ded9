//! What `$rest` leaves out: members that the same document puts elsewhere by another path.

use std::collections::HashSet;

use super::paths::{Path, Root, Step};
use super::plan::{Copy, Expr, Object, Source, Taken, TextPart};

/// Paths that a document uses, for `$rest`.
#[derive(Default)]
struct Used<'a> {
    paths: Vec<&'a Path>,
    copies: Vec<&'a Copy>,
}

/// Tell every `$rest` of a document what went elsewhere.
pub fn settle_rests(document: &mut Object) {
    let snapshot = document.clone();
    let mut used = Used::default();
    collect_object(&snapshot, &mut used);
    settle_object(document, &used, &Used::default());
}

fn collect_object<'a>(object: &'a Object, used: &mut Used<'a>) {
    used.copies.extend(&object.copies);
    for member in &object.members {
        collect(&member.value, used);
    }
}

fn collect<'a>(expr: &'a Expr, used: &mut Used<'a>) {
    match expr {
        Expr::Const(_) | Expr::Omit | Expr::Unknown => {}
        Expr::Path(path) => used.paths.push(path),
        Expr::Object(object) => collect_object(object, used),
        Expr::List(items) => items.iter().for_each(|item| collect(item, used)),
        Expr::Operator(operator) => {
            match &operator.source {
                Source::From { paths, .. } => used.paths.extend(paths),
                Source::Const(_) => {}
                Source::Lookup { key, default, .. } => {
                    collect(key, used);
                    default.iter().for_each(|one| collect(one, used));
                }
                Source::Text(parts) => {
                    used.paths
                        .extend(parts.iter().filter_map(|part| match part {
                            TextPart::Plain(_) => None,
                            TextPart::Value(path, _) => Some(path),
                        }))
                }
                Source::If {
                    then, otherwise, ..
                } => then
                    .iter()
                    .chain(otherwise)
                    .for_each(|one| collect(one, used)),
                Source::Each { items, emit } => {
                    collect(items, used);
                    collect(emit, used);
                }
            }
            operator.default.iter().for_each(|one| collect(one, used));
        }
    }
}

fn settle_object(object: &mut Object, event: &Used<'_>, item: &Used<'_>) {
    for rest in &mut object.rests {
        let used = match rest.from.root {
            Root::Event => event,
            Root::Item => item,
        };
        rest.taken = taken(&rest.from, used);
    }
    for member in &mut object.members {
        settle(&mut member.value, event, item);
    }
}

fn settle(expr: &mut Expr, event: &Used<'_>, item: &Used<'_>) {
    match expr {
        Expr::Const(_) | Expr::Omit | Expr::Unknown | Expr::Path(_) => {}
        Expr::Object(object) => settle_object(object, event, item),
        Expr::List(items) => items.iter_mut().for_each(|one| settle(one, event, item)),
        Expr::Operator(operator) => {
            match &mut operator.source {
                Source::If {
                    then, otherwise, ..
                } => then
                    .iter_mut()
                    .chain(otherwise)
                    .for_each(|one| settle(one, event, item)),
                Source::Each { emit, .. } => {
                    let snapshot = emit.clone();
                    let mut inner = Used::default();
                    collect(&snapshot, &mut inner);
                    settle(emit, event, &inner);
                }
                Source::From { .. }
                | Source::Const(_)
                | Source::Lookup { .. }
                | Source::Text(_) => {}
            }
            operator
                .default
                .iter_mut()
                .for_each(|one| settle(one, event, item));
        }
    }
}

fn taken(from: &Path, used: &Used<'_>) -> Taken {
    let mut taken = Taken::default();
    let object = from.steps.as_slice();
    for path in used.paths.iter().filter(|path| path.root == from.root) {
        if path.is_singular() && object.starts_with(&path.steps) {
            taken.all_but(HashSet::new());
        } else if path.is_singular() && path.steps.len() == object.len() + 1 {
            if let (true, Some(Step::Name(name))) =
                (path.steps.starts_with(object), path.steps.last())
            {
                taken.names.insert(name.clone());
            }
        } else if path.steps == object {
            match path.children() {
                Some(None) => taken.all_but(HashSet::new()),
                Some(Some(names)) => taken.names.extend(names),
                None => {}
            }
        }
    }
    for copy in used
        .copies
        .iter()
        .filter(|copy| copy.from.root == from.root)
    {
        let source = copy.from.steps.as_slice();
        let whole = copy.only.is_none() && copy.except.is_empty();
        if source == object {
            match &copy.only {
                Some(only) => taken.names.extend(only.difference(&copy.except).cloned()),
                None => taken.all_but(copy.except.clone()),
            }
        } else if object.starts_with(source) {
            let Some(Step::Name(next)) = object.get(source.len()) else {
                continue;
            };
            let takes = copy.only.as_ref().is_none_or(|only| only.contains(next))
                && !copy.except.contains(next);
            if takes {
                taken.all_but(HashSet::new());
            }
        } else if whole
            && source.len() == object.len() + 1
            && source.starts_with(object)
            && let Some(Step::Name(name)) = source.last()
        {
            taken.names.insert(name.clone());
        }
    }
    taken
}
