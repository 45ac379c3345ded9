//! The mapping sets in the program: the files of all that are registered, as one tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::diagnostics::{Files, Node, nearest, parse_yaml};

/// By path, which begins with the name of the set.
static FILES: LazyLock<BTreeMap<PathBuf, &'static str>> = LazyLock::new(|| {
    let sets = sluice_sdk::mapping_sets().into_iter();
    sets.flat_map(|set| {
        let files = (set.files)().into_iter();
        files.map(|(path, text)| (Path::new(set.name).join(path), text))
    })
    .collect()
});

/// The text of a file.
pub fn text(path: &Path) -> Option<&'static str> {
    FILES.get(path).copied()
}

/// The files that lie directly in a folder, sorted.
pub fn directly_in(folder: &Path) -> impl Iterator<Item = &'static Path> {
    FILES
        .keys()
        .map(PathBuf::as_path)
        .filter(move |path| path.parent() == Some(folder))
}

/// A file, or all that lie in a folder and below it, sorted.
pub fn below(path: &Path) -> impl Iterator<Item = &'static Path> {
    FILES
        .keys()
        .map(PathBuf::as_path)
        .filter(move |file| file.starts_with(path))
}

/// The source and the sink that the files of a set are written for, as far as they say it.
pub fn made_for(set: &str) -> (Option<String>, Option<String>) {
    let mut found = (None, None);
    for root in trees(set) {
        let named = |key: &str| root.get("for")?.get(key)?.as_str().map(str::to_owned);
        found = (found.0.or(named("source")), found.1.or(named("sink")));
    }
    found
}

/// What to import for a part (`rules`, `templates`, `tables`) of this name, or nothing. Overlays do
/// not count.
pub fn import_of(part: &str, name: &str) -> String {
    let has_it = |root: Node| root.get(part).and_then(|named| named.get(name)).is_some();
    sluice_sdk::mapping_sets()
        .into_iter()
        .find(|set| trees(set.name).any(has_it))
        .map_or_else(String::new, |set| {
            let name = set.name;
            format!("a built-in set has it: say `import: [builtin:{name}]` at the top")
        })
}

/// The built-in set that a text means: named without `builtin:`, in another form, without what stands
/// before it, or misspelt.
pub fn meant(text: &str) -> Option<String> {
    let bare = ["built-in", "built_in", "builtin"]
        .iter()
        .find_map(|word| text.strip_prefix(word)?.strip_prefix([':', '/', ' ']))
        .unwrap_or(text)
        .trim();
    let bare = bare
        .strip_suffix(".yaml")
        .unwrap_or(bare)
        .trim_end_matches('/');
    let sets = builtin_sets();
    let whole = sets.iter().find(|set| *set == bare);
    let end = || sets.iter().find(|set| set.ends_with(&format!("/{bare}")));
    let near = || {
        let names = sets.iter().map(String::as_str);
        nearest(bare, names).filter(|_| text.starts_with("builtin"))
    };
    let found = whole.or_else(end).map(String::as_str).or_else(near)?;
    Some(format!("builtin:{found}"))
}

/// A built-in set whose name YAML took for a map, `builtin: NAME`.
pub fn in_map(node: &Node) -> Option<String> {
    match node.as_map()? {
        [entry] => meant(&format!("{}:{}", entry.key, entry.value.as_str()?)),
        _ => None,
    }
}

/// The files that lie directly in a set, read.
fn trees(set: &str) -> impl Iterator<Item = Node> {
    directly_in(Path::new(set)).filter_map(|path| {
        let mut files = Files::default();
        let file = files.add("", None, text(path)?.to_owned());
        parse_yaml(file, &files).ok()
    })
}

/// Names of the sets in the program, overlays included, sorted.
pub fn builtin_sets() -> Vec<String> {
    let mut sets: Vec<String> = FILES
        .keys()
        .filter_map(|path| path.parent())
        .map(|folder| folder.display().to_string())
        .collect();
    sets.sort();
    sets.dedup();
    sets
}
