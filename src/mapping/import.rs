//! Which files a mapping is made of, and how they lie over one another.
//!
//! A reference is a file, a folder (its YAML files, tests left out), a glob, or `builtin:SET`. Files
//! that come by one reference form a group: the same name twice in a group is an error. What a file
//! imports lies below it; a part keeps all its layers, so that an overlay merges wherever it is used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sets::{self, builtin_sets};
use super::syntax::{self, Module, Named};
use crate::diagnostics::{
    Allows, Diagnostic, FileKind, Files, Node, Severity, Span, is_test_file, name_beside,
    other_kind, parse_yaml, read_text,
};

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// On disk.
    Disk(PathBuf),
    /// In the program.
    Builtin(PathBuf),
}

/// One version of a part.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Place of its name.
    pub span: Span,
    /// What stands under it.
    pub node: Node,
    /// How many imports away; 0 is what was asked for.
    pub depth: usize,
    /// From the program itself.
    pub is_builtin: bool,
}

/// A part with all its versions, the lowest first.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its versions; never empty.
    pub layers: Vec<Layer>,
}

impl Part {
    /// The version that lies on top.
    pub fn top(&self) -> &Layer {
        &self.layers[self.layers.len() - 1]
    }
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// Templates.
    pub templates: Vec<Part>,
    /// Tables.
    pub tables: Vec<Part>,
    /// Rules in the order they are tried.
    pub rules: Vec<Part>,
    /// `for.source`
    pub source: Option<(String, Span)>,
    /// `for.sink`
    pub sink: Option<(String, Span)>,
}

impl Set {
    /// Every version of every part.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        [&self.templates, &self.tables, &self.rules]
            .into_iter()
            .flatten()
            .flat_map(|part| &part.layers)
    }
}

/// Reads files, each once.
pub struct Loader<'a> {
    /// All texts.
    pub files: &'a mut Files,
    /// All problems.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// What is allowed in all files that were read.
    pub allows: Allows,
    modules: HashMap<Place, Option<Arc<Module>>>,
    stack: Vec<Vec<Place>>,
}

/// Where mappings of one's own and their tests are when nothing is said.
pub const FOLDER: &str = "mappings";

/// The mapping files that lie directly in a folder.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = list(folder);
    files.retain(|path| path.is_file() && is_mapping_file(path));
    files
}

/// Whether a name is a mapping file and not a test.
pub fn is_mapping_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.ends_with(".yaml") || name.ends_with(".yml")) && !is_test_file(path)
}

impl<'a> Loader<'a> {
    /// Nothing read yet.
    pub fn new(files: &'a mut Files, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            files,
            diagnostics,
            allows: Allows::default(),
            modules: HashMap::new(),
            stack: Vec::new(),
        }
    }

    fn error(&mut self, code: &'static str, span: Option<Span>, message: String, label: String) {
        let diagnostic = match span {
            Some(span) => Diagnostic::error(code, span, message).label(label),
            None => Diagnostic::global(code, message).note(label),
        };
        self.diagnostics.push(diagnostic);
    }

    /// The files a reference stands for. `base` is the folder it is relative to.
    pub fn find(&mut self, text: &str, base: &Place, span: Option<Span>) -> Vec<Place> {
        if let Some(set) = text.strip_prefix("builtin:") {
            return self.find_builtin(Path::new(set), text, span);
        }
        match base {
            Place::Builtin(folder) => {
                let path = normal(&folder.join(text));
                self.find_builtin(&path, text, span)
            }
            Place::Disk(folder) => self.find_on_disk(text, &folder.join(text), span),
        }
    }

    fn find_builtin(&mut self, path: &Path, text: &str, span: Option<Span>) -> Vec<Place> {
        if sets::text(path).is_some() {
            return vec![Place::Builtin(path.to_owned())];
        }
        let found: Vec<Place> = sets::directly_in(path)
            .filter(|path| is_mapping_file(path))
            .map(|path| Place::Builtin(path.to_owned()))
            .collect();
        if found.is_empty() {
            let sets = builtin_sets();
            let label = sets::meant(&format!("builtin:{}", path.display()))
                .map_or_else(String::new, |set| format!("did you mean `{set}`?"));
            self.error(
                "unknown-builtin",
                span,
                format!(
                    "there is no `{text}` in this build; there are: {}",
                    sets.join(", ")
                ),
                label,
            );
        }
        found
    }

    fn find_on_disk(&mut self, text: &str, path: &Path, span: Option<Span>) -> Vec<Place> {
        if path.is_file() {
            return vec![Place::Disk(normal(path))];
        }
        let mut found: Vec<PathBuf> = if path.is_dir() {
            if let Err(error) = std::fs::read_dir(path) {
                let message = format!("the folder `{text}` cannot be read: {error}");
                self.error("unreadable-file", span, message, String::new());
                return Vec::new();
            }
            files_in(path)
        } else if text.contains(['*', '?', '{']) {
            glob(path)
        } else {
            let label = match sets::meant(text) {
                Some(set) => format!("the built-in set is named `{set}`"),
                None => name_beside(path),
            };
            self.error(
                "missing-file",
                span,
                format!("there is no file or folder `{text}`"),
                label,
            );
            return Vec::new();
        };
        found.sort();
        if found.is_empty() {
            self.error(
                "missing-file",
                span,
                format!("`{text}` holds no mapping files (*.yaml)"),
                String::new(),
            );
        }
        found
            .into_iter()
            .map(|path| Place::Disk(normal(&path)))
            .collect()
    }

    fn module(&mut self, place: &Place) -> Option<Arc<Module>> {
        if let Some(known) = self.modules.get(place) {
            return known.clone();
        }
        let module = self.read(place);
        self.modules.insert(place.clone(), module.clone());
        module
    }

    fn read(&mut self, place: &Place) -> Option<Arc<Module>> {
        let file = match place {
            Place::Disk(path) => match read_text(path) {
                Ok(text) => self.files.add(path.to_string_lossy(), Some(path), text),
                Err(problem) => {
                    self.diagnostics.push(*problem);
                    return None;
                }
            },
            Place::Builtin(path) => {
                let text = sets::text(path)?.to_owned();
                let name = format!("builtin:{}", path.display());
                self.files.add(name, None, text)
            }
        };
        match parse_yaml(file, self.files) {
            Ok(node) => {
                let name = self.files.name(file);
                if let Some(problem) = other_kind(&node, FileKind::Mapping, name) {
                    self.diagnostics.push(problem);
                    return None;
                }
                let module = syntax::module(&node, self.diagnostics);
                self.allows.extend(&module.allows);
                Some(Arc::new(module))
            }
            Err(error) => {
                self.diagnostics.push(*error);
                None
            }
        }
    }

    /// Read a group of files and all they import.
    pub fn group(&mut self, places: &[Place], depth: usize) -> Set {
        self.stack.push(places.to_vec());
        let mut below = Set::default();
        let mut own = Set::default();
        for place in places {
            let Some(module) = self.module(place) else {
                continue;
            };
            for (text, span) in &module.imports {
                self.import(text, *span, place, places, depth, &mut below);
            }
            let is_builtin = matches!(place, Place::Builtin(_));
            let mut layer = |parts: &mut Vec<Part>, named: &[Named], what: &str| {
                for one in named {
                    let layer = Layer {
                        span: one.span,
                        node: one.node.clone(),
                        depth,
                        is_builtin,
                    };
                    match parts.iter().find(|part| part.name == one.name) {
                        Some(first) => self.diagnostics.push(
                            Diagnostic::error(
                                "duplicate-name",
                                one.span,
                                format!("the {what} `{}` stands in two files", one.name),
                            )
                            .label("rename one of the two")
                            .related(first.top().span, "first here"),
                        ),
                        None => parts.push(Part {
                            name: one.name.clone(),
                            layers: vec![layer],
                        }),
                    }
                }
            };
            layer(&mut own.templates, &module.templates, "template");
            layer(&mut own.tables, &module.tables, "table");
            layer(&mut own.rules, &module.rules, "rule");
            own.source = own.source.or_else(|| module.source.clone());
            own.sink = own.sink.or_else(|| module.sink.clone());
        }
        self.stack.pop();
        lay_over(below, own, true)
    }

    fn import(
        &mut self,
        text: &str,
        span: Span,
        place: &Place,
        group: &[Place],
        depth: usize,
        below: &mut Set,
    ) {
        let base = match place {
            Place::Disk(path) => Place::Disk(path.parent().unwrap_or(Path::new("")).to_owned()),
            Place::Builtin(path) => {
                Place::Builtin(path.parent().unwrap_or(Path::new("")).to_owned())
            }
        };
        let found = self.find(text, &base, Some(span));
        let others: Vec<Place> = found
            .iter()
            .filter(|other| !group.contains(other) || *other == place)
            .cloned()
            .collect();
        if others.is_empty() {
            return;
        }
        if others
            .iter()
            .any(|other| self.stack.iter().flatten().any(|above| above == other))
        {
            let (message, label) = match others.as_slice() {
                [one] if one == place => ("this file imports itself".to_owned(), "remove it"),
                _ => (
                    format!("`{text}` imports this file in turn"),
                    "move what both need into a third file",
                ),
            };
            self.diagnostics
                .push(Diagnostic::error("import-cycle", span, message).label(label));
            return;
        }
        let set = self.group(&others, depth + 1);
        *below = lay_over(std::mem::take(below), set, false);
    }
}

/// Warn of folders below a folder of mappings that nothing reads. One that imports lies over the
/// folder, and is meant to be asked for.
pub fn unread_folders(loader: &mut Loader<'_>, text: &str, base: &Path, span: Option<Span>) {
    let folder = base.join(text);
    if text.starts_with("builtin:") || !folder.is_dir() {
        return;
    }
    let mut below = list(&folder);
    below.retain(|path| path.is_dir());
    below.sort();
    for folder in below {
        let files = files_in(&folder);
        let is_read = |path: &PathBuf| loader.modules.contains_key(&Place::Disk(normal(path)));
        let is_meant = files.iter().any(|path| is_read(path) || imports(path));
        if files.is_empty() || is_meant {
            continue;
        }
        let message = format!(
            "nothing reads the mappings in {}",
            normal(&folder).display()
        );
        let diagnostic = match span {
            Some(span) => Diagnostic::warning("unread-folder", span, message),
            None => Diagnostic {
                severity: Severity::Warning,
                ..Diagnostic::global("unread-folder", message)
            },
        };
        loader.diagnostics.push(diagnostic.label(
            "a folder means the files that lie directly in it: name this one too, or a glob",
        ));
    }
}

fn imports(path: &Path) -> bool {
    let mut files = Files::default();
    read_text(path).is_ok_and(|text| {
        let file = files.add("", None, text);
        parse_yaml(file, &files).is_ok_and(|root| root.get("import").is_some())
    })
}

/// `above` over `below`. New rules come first if asked (an importer's own), last otherwise.
pub fn lay_over(below: Set, above: Set, new_first: bool) -> Set {
    Set {
        templates: lay(below.templates, above.templates, false),
        tables: lay(below.tables, above.tables, false),
        rules: lay(below.rules, above.rules, new_first),
        source: above.source.or(below.source),
        sink: above.sink.or(below.sink),
    }
}

fn lay(mut below: Vec<Part>, above: Vec<Part>, new_first: bool) -> Vec<Part> {
    let mut new = Vec::new();
    for part in above {
        match below.iter_mut().find(|one| one.name == part.name) {
            Some(one) => {
                for layer in part.layers {
                    if one.layers.iter().all(|known| known.span != layer.span) {
                        one.layers.push(layer);
                    }
                }
            }
            None => new.push(part),
        }
    }
    if new_first {
        new.append(&mut below);
        new
    } else {
        below.append(&mut new);
        below
    }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

/// Files that match, below the part of the path that has no wildcard; four folders deep at most.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    const DEPTH_MAX: usize = 4;
    let Ok(matcher) = globset::GlobBuilder::new(&normal(pattern).to_string_lossy())
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
    else {
        return Vec::new();
    };
    let fixed: PathBuf = pattern
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '{']))
        .collect();
    let mut found = Vec::new();
    let mut folders = vec![(fixed, 0)];
    while let Some((folder, depth)) = folders.pop() {
        for path in list(&folder) {
            if path.is_dir() && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if is_mapping_file(&path) && matcher.is_match(normal(&path)) {
                found.push(path);
            }
        }
    }
    found
}

/// Without `.` and `..` where they can be resolved by text.
pub fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.last(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.iter().collect()
}
