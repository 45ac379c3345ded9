//! What there is to know about a linked plugin: its registration, and its settings as its JSON Schema
//! tells them. `show`, the pages and the JSON are three ways to print this.

use serde_json::{Value, json};

use sluice_sdk::typed;

use crate::wording::number;

/// Deeper nesting says less than the description; it also ends recursive schemas.
const DEPTH_MAX: usize = 4;
/// References from one definition to the next that are followed.
const REFERENCES_MAX: usize = 8;

/// What sources, sinks, commands and the others have in common.
pub struct Plugin {
    pub kind: &'static str,
    pub name: &'static str,
    pub version: &'static str,
    pub summary: &'static str,
    /// Settings that work, as YAML without `type`.
    pub example: &'static str,
    /// The JSON Schema of its section; commands have none.
    pub schema: Option<Value>,
    /// In the order of the config type, each followed by those in it.
    pub settings: Vec<Setting>,
    /// Types with a name of their own that settings have, each with how a value is written.
    pub types: Vec<(String, String)>,
    /// Sentences about events and documents.
    pub facts: Vec<String>,
}

/// One setting.
pub struct Setting {
    /// Where it stands, such as `["tls", "key"]`.
    pub path: Vec<String>,
    /// What its value must be, in words.
    pub kind: String,
    pub is_required: bool,
    pub default: Option<Value>,
    /// The doc comment of the field.
    pub description: String,
    /// A value as it might stand there.
    pub example: Option<Value>,
    /// The texts it may be, each with its description.
    pub choices: Vec<(String, String)>,
}

/// Everything that is linked: sources, sinks, commands, mapping sets, demos, each by name.
pub fn all() -> Vec<Plugin> {
    let sources = sluice_sdk::sources().into_iter().map(source);
    let sinks = sluice_sdk::sinks().into_iter().map(sink);
    let commands = sluice_sdk::commands().into_iter().map(command);
    let sets = sluice_sdk::mapping_sets().into_iter().map(mapping_set);
    let demos = sluice_sdk::demo_scenarios().into_iter().map(demo);
    let code = sources.chain(sinks).chain(commands);
    code.chain(sets).chain(demos).collect()
}

fn source(plugin: &sluice_sdk::SourcePlugin) -> Plugin {
    let schema = crate::config::source_schema(plugin);
    let facts = plugin.catalogue.map(|catalogue| {
        let catalogue = catalogue();
        let types = number(catalogue.events.len(), "event type");
        format!(
            "Knows {types} ({}); {} lists them.",
            catalogue.version,
            typed("coverage")
        )
    });
    Plugin {
        kind: "source",
        name: plugin.name,
        version: plugin.version,
        summary: plugin.summary,
        example: plugin.example,
        settings: settings(&schema),
        types: types(&schema),
        schema: Some(schema),
        facts: facts.into_iter().collect(),
    }
}

fn sink(plugin: &sluice_sdk::SinkPlugin) -> Plugin {
    let schema = crate::config::sink_schema(plugin);
    let mut facts = Vec::new();
    if let Some(document) = plugin.document {
        let kinds: Vec<&str> = document.kinds.iter().map(|kind| kind.name).collect();
        facts.push(format!(
            "Takes documents of the kinds {}.",
            kinds.join(", ")
        ));
        if let Some(identity) = document.identity {
            facts.push(format!(
                "Recognises a document that comes twice by its `{identity}`."
            ));
        }
    }
    if plugin.double.is_some() {
        facts.push(format!(
            "Has a local double, for {} and for tests.",
            typed("demo")
        ));
    }
    Plugin {
        kind: "sink",
        name: plugin.name,
        version: plugin.version,
        summary: plugin.summary,
        example: plugin.example,
        settings: settings(&schema),
        types: types(&schema),
        schema: Some(schema),
        facts,
    }
}

fn command(plugin: &sluice_sdk::CommandPlugin) -> Plugin {
    Plugin {
        kind: "command",
        name: plugin.name,
        version: plugin.version,
        summary: plugin.summary,
        facts: vec![format!(
            "{} lists its arguments.",
            typed(&format!("{} --help", plugin.name))
        )],
        ..WITHOUT_SETTINGS
    }
}

fn mapping_set(set: &sluice_sdk::MappingSet) -> Plugin {
    let name = set.name;
    let mut facts = vec![format!(
        "`mappings: builtin:{name}` in a connector takes it as it is, `import: [builtin:{name}]` in mappings of your own is the base to change it from. {} runs its tests.",
        typed(&format!("test builtin:{name}"))
    )];
    let below = format!("{name}/");
    let sets = crate::mapping::builtin_sets();
    let overlays: Vec<String> = sets
        .iter()
        .filter(|set| set.starts_with(&below))
        .map(|set| format!("`builtin:{set}`"))
        .collect();
    if !overlays.is_empty() {
        facts.push(format!("Overlays over it: {}.", overlays.join(", ")));
    }
    Plugin {
        kind: "mappings",
        name,
        version: set.version,
        summary: set.summary,
        facts,
        ..WITHOUT_SETTINGS
    }
}

fn demo(demo: &sluice_sdk::DemoScenario) -> Plugin {
    Plugin {
        kind: "demo",
        name: demo.name,
        version: demo.version,
        summary: demo.summary,
        facts: vec![format!(
            "{} runs it.",
            typed(&format!("demo {}", demo.name))
        )],
        ..WITHOUT_SETTINGS
    }
}

/// What has no section in a config.
const WITHOUT_SETTINGS: Plugin = Plugin {
    kind: "",
    name: "",
    version: "",
    summary: "",
    example: "",
    schema: None,
    settings: Vec::new(),
    types: Vec::new(),
    facts: Vec::new(),
};

impl Plugin {
    /// The example as it stands in sluice.yaml, under the section it belongs to.
    pub fn example_section(&self) -> Option<String> {
        let (head, indent) = match self.kind {
            "source" => ("sources:\n  my-source:\n", "    "),
            "sink" => ("connectors:\n  my-connector:\n    sink:\n", "      "),
            _ => return None,
        };
        let mut out = format!("{head}{indent}type: {}\n", self.name);
        // `{}` stands for "nothing more".
        let lines = self.example.trim_end().lines().filter(|line| *line != "{}");
        for line in lines {
            out.push_str(indent);
            out.push_str(line);
            out.push('\n');
        }
        Some(out)
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        let settings: Vec<Value> = self.settings.iter().map(Setting::to_json).collect();
        json!({
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "summary": self.summary,
            "facts": self.facts,
            "example": self.example_section(),
            "settings": settings,
            "schema": self.schema,
        })
    }
}

impl Setting {
    /// `tls.key`.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// Type, and whether it must be there or what holds when it is not.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![self.kind.clone()];
        if self.is_required {
            notes.push("required".to_owned());
        }
        if let Some(default) = self.shown_default() {
            notes.push(format!("default {}", plain(default)));
        }
        notes.retain(|note| !note.is_empty());
        notes
    }

    /// The default, unless it is "none of them": then the description says it better.
    pub fn shown_default(&self) -> Option<&Value> {
        self.default.as_ref().filter(|value| match value {
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        })
    }

    fn to_json(&self) -> Value {
        let choices: Vec<Value> = self
            .choices
            .iter()
            .map(|(value, description)| json!({"value": value, "description": description}))
            .collect();
        json!({
            "name": self.name(),
            "type": self.kind,
            "required": self.is_required,
            "default": self.default,
            "description": self.description,
            "example": self.example,
            "choices": choices,
        })
    }
}

/// A value as one would write it in YAML on one line.
pub fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn settings(root: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    collect(&mut found, root, root, &[]);
    found
}

fn collect(found: &mut Vec<Setting>, root: &Value, schema: &Value, above: &[String]) {
    let is_required = |name: &str| {
        let required = schema["required"].as_array();
        required.is_some_and(|names| names.iter().any(|it| it == name))
    };
    for (name, outer) in schema["properties"].as_object().into_iter().flatten() {
        if name == "type" && above.is_empty() {
            continue;
        }
        let inner = resolve(root, outer);
        let either = |key: &str| outer.get(key).or_else(|| inner.get(key));
        let path = [above, std::slice::from_ref(name)].concat();
        found.push(Setting {
            kind: kind(root, outer),
            is_required: is_required(name),
            default: either("default").filter(|value| !value.is_null()).cloned(),
            description: text(either("description")),
            example: either("examples").and_then(|all| all.get(0)).cloned(),
            choices: choices(inner),
            path: path.clone(),
        });
        if path.len() < DEPTH_MAX {
            collect(found, root, inner, &path);
        }
    }
}

fn types(root: &Value) -> Vec<(String, String)> {
    let defs = root["$defs"].as_object().into_iter().flatten();
    defs.filter_map(|(_, def)| {
        let title = def["title"].as_str()?.to_owned();
        Some((title, text(def.get("description"))))
    })
    .collect()
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Behind `$ref` and behind "or null".
fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..REFERENCES_MAX {
        let only = schema["anyOf"].as_array().and_then(|branches| {
            let mut real = branches.iter().filter(|it| it["type"] != "null");
            real.next().filter(|_| real.next().is_none())
        });
        match referred(root, schema).or(only) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

fn referred<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    let pointer = schema["$ref"].as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

fn choices(schema: &Value) -> Vec<(String, String)> {
    ["enum", "oneOf"]
        .iter()
        .filter_map(|keyword| schema[*keyword].as_array())
        .flatten()
        .filter_map(|choice| {
            let name = choice.as_str().or(choice["const"].as_str())?;
            Some((name.to_owned(), text(choice.get("description"))))
        })
        .collect()
}

/// The type in words. What a schema names itself (`title`) goes first.
fn kind(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(title) = schema["title"].as_str() {
        return title.to_owned();
    }
    let choices: Vec<String> = choices(schema).into_iter().map(|(name, _)| name).collect();
    if !choices.is_empty() {
        return choices.join(" | ");
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => {
            let branches = ["anyOf", "oneOf"]
                .into_iter()
                .filter_map(|keyword| schema[keyword].as_array())
                .flatten();
            let mut kinds: Vec<String> = branches.map(|branch| kind(root, branch)).collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    };
    let of = |word: &str, part: &Value| match kind(root, part) {
        inner if inner.is_empty() => word.to_owned(),
        inner => format!("{word} of {inner}"),
    };
    names
        .into_iter()
        .filter(|name| *name != "null")
        .map(|name| match name {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => of("list", &schema["items"]),
            "object" => of("map", &schema["additionalProperties"]),
            other => other.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" or ")
}
