//! All codes of messages: what each means, and whether it can be allowed.
//!
//! docs/diagnostics.md is made from this table and from docs/diagnostics.yaml, which has a wrong and a
//! right example for each; a test runs them and keeps the page fresh.

/// One code.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The stable name.
    pub name: &'static str,
    /// What it means and why it matters.
    pub says: &'static str,
    /// Whether `allow` can take the weight off it: where a person may know better.
    pub is_allowable: bool,
}

const fn code(name: &'static str, says: &'static str) -> Code {
    Code {
        name,
        says,
        is_allowable: false,
    }
}

const fn lint(name: &'static str, says: &'static str) -> Code {
    Code {
        name,
        says,
        is_allowable: true,
    }
}

/// All codes, those of files first, then mappings, then configs, then tests.
pub static CODES: &[Code] = &[
    code(
        "yaml-syntax",
        "The file is not YAML. Tabs cannot indent, brackets and quotes need their other half, and a value that begins with one of `@ * & ! % > |` or a backtick, or has a `:` and a space or a ` #` in it, goes in quotes: straight ones, as curly ones are none.",
    ),
    code(
        "yaml-limit",
        "The file is larger, deeper or has more values than any mapping needs. The limits are 8 MiB, 64 levels and 200,000 values with aliases expanded; they keep a hostile file from costing more than a message.",
    ),
    code("yaml-tag", "YAML tags such as `!env` have no meaning here."),
    code(
        "yaml-key",
        "A key must be a plain text; maps and lists as keys are not understood.",
    ),
    code(
        "yaml-merge-key",
        "YAML merge keys (`<<`) are refused: `$extends` says the same, with rules that can be read up.",
    ),
    code(
        "yaml-alias",
        "A YAML alias stands inside the anchor that it names, and would never end.",
    ),
    code("yaml-documents", "One file holds one YAML document."),
    code(
        "yaml-encoding",
        "The file is not UTF-8. Save it as UTF-8; `iconv -f LATIN1 -t UTF-8` changes one that is not.",
    ),
    code(
        "duplicate-key",
        "The same key stands twice in one map. One of the two would be lost in silence.",
    ),
    code(
        "unreadable-file",
        "The file cannot be read: it is not there, or not ours to read. Name another, or let the user that runs this read it.",
    ),
    code(
        "other-kind",
        "The file is of another kind than is wanted here: a config, a mapping file and a file of tests are read by different commands.",
    ),
    code("missing-file", "Nothing is there under this name."),
    lint(
        "unread-folder",
        "A folder beside the mapping files holds more of them, and nothing reads it: a folder means the files that lie directly in it. The same is told of the folder `mappings` beside a config when no connector names it.",
    ),
    code(
        "unknown-builtin",
        "The program holds no mapping set of this name.",
    ),
    code("import-cycle", "Files import one another in a circle."),
    code(
        "unknown-version",
        "The version of the language is always 1 today.",
    ),
    code(
        "missing-version",
        "Every file says the version of its language, so that later versions can read it rightly.",
    ),
    code(
        "unknown-key",
        "The key has no meaning at this place. Often it is misspelt, or indented too little or too much.",
    ),
    code("missing-key", "A key that is needed is not there."),
    code(
        "wrong-type",
        "The value is of another kind than is needed here.",
    ),
    code(
        "wrong-value",
        "The value is none of those that are possible here.",
    ),
    code("unknown-code", "There is no message with this code."),
    code(
        "not-allowable",
        "This problem cannot be allowed: nothing could run with it.",
    ),
    lint(
        "unused-allow",
        "An `allow` allows nothing (any more). It would hide the next problem of its kind.",
    ),
    code(
        "no-rules",
        "The mappings have no rules, so that nothing would ever be sent.",
    ),
    code(
        "duplicate-name",
        "Two files of one folder have a rule, template or table of the same name. Only an import may lay one over the other.",
    ),
    lint(
        "no-identity",
        "The document of a connector's rule has no identity for its sink. After a crash the last unconfirmed documents are sent again, and the sink cannot recognise them: each counts twice. Or it is a text that is the same for every event, and the sink takes all but the first document for repetitions. The built-in templates bring one: `$extends` one of them, or make it of the event's id.",
    ),
    code(
        "missing-on",
        "The rule does not say which events it is for: `on` with an event type, a pattern, or a list of them. A rule that is laid over an imported one needs no `on` of its own, but the import must be there and the name the same.",
    ),
    code(
        "no-outcome",
        "The rule does not say what becomes of its events: `emit`, `emit_each` or `skip`.",
    ),
    code("two-outcomes", "A rule has one outcome; this one has two."),
    code(
        "empty-emit-each",
        "`emit_each` needs at least one document.",
    ),
    lint(
        "unknown-type",
        "The source's catalogue has no event type of this name.",
    ),
    lint(
        "glob-matches-nothing",
        "No event type of the catalogue is matched by this glob.",
    ),
    lint(
        "unknown-field",
        "None of the event types that come by here has this field, so that the value would always be absent.",
    ),
    lint(
        "when-never-holds",
        "The condition needs a field that some of the types do not have. For these it never holds, and their events are passed over.",
    ),
    lint(
        "unreachable-rule",
        "An earlier rule takes all events of this one.",
    ),
    code(
        "bad-expression",
        "The text is no logical expression of RFC 9535.",
    ),
    lint(
        "fixed-text",
        "A text stands in an expression where the path of a field is meant, so that the answer is the same for every event. `search` and `match` take the path first and the pattern second; a path has no quotes around it.",
    ),
    code("bad-path", "The text is no JSONPath of RFC 9535."),
    code(
        "not-a-path",
        "A path is needed here; paths into the event begin with `$.`.",
    ),
    code(
        "path-matches-many",
        "The path can match many places where one object is needed.",
    ),
    code(
        "item-outside-each",
        "`$item` is the current item of an `$each`, and there is none here.",
    ),
    lint(
        "text-like-path",
        "The text is written like a path without its beginning, `$user.user_id` or `user.user_id`; as it stands, every document gets this very text. So it does with a path in braces, `Sale {$.properties.url}`, which only `$text` fills, and with the name of an operator, `$omit`, which stands in braces with its value. An error where a path is certain: with the `$`, of a field that the events have, and alone in braces, `{properties.url}`.",
    ),
    code(
        "unknown-operator",
        "There is no operator of this name. Keys that begin with `$` belong to the language.",
    ),
    code(
        "mixed-operator",
        "An operator stands among keys that it cannot be combined with.",
    ),
    code(
        "no-source",
        "The operator does not say where its value comes from.",
    ),
    code("two-sources", "A value has one source."),
    code("unknown-conversion", "There is no conversion of this name."),
    code(
        "bad-conversion",
        "The conversion's setting is missing or cannot be used.",
    ),
    lint(
        "impossible-conversion",
        "The conversion can never take what comes: the catalogue says that the field is of another type.",
    ),
    code("bad-text", "A brace in a `$text` is never closed."),
    code("unknown-table", "There is no table of this name."),
    lint("unused-table", "Nothing looks anything up in this table."),
    code("unknown-template", "There is no template of this name."),
    lint("unused-template", "Nothing uses this template."),
    code("extends-cycle", "Templates extend one another in a circle."),
    code(
        "too-large",
        "With all templates put in, the rules have more values than any mapping needs. Extend fewer and smaller templates, or split the rules over connectors.",
    ),
    lint(
        "omit-nothing",
        "`$omit` takes out what a template, an imported rule or a spread put in the same place, and nothing of the kind is there.",
    ),
    lint("unknown-kind", "The sink takes no documents of this kind."),
    lint(
        "unknown-member",
        "The sink knows no member of this name and would drop it, or the whole document.",
    ),
    lint(
        "unknown-output",
        "A setting of the sink names a part of its documents that no rule of the connector makes. Often it is misspelt, or has the event's name for it in the place of the document's.",
    ),
    lint(
        "missing-member",
        "The sink needs a member that the document does not have.",
    ),
    lint(
        "wrong-member",
        "The value can never be what the sink takes here.",
    ),
    lint(
        "may-not-fit",
        "The value can be something that the sink does not take here, and the document would become a dead letter.",
    ),
    lint(
        "may-be-missing",
        "The sink needs this member, and it comes from a field that can be null or absent. Say what then: skip, dead letter, or another value.",
    ),
    lint(
        "may-be-empty",
        "The sink takes no empty text here, and this can become one.",
    ),
    lint(
        "spread-may-not-fit",
        "A spread may bring members that the sink does not take, or takes of another type only.",
    ),
    code(
        "unknown-personal-field",
        "No event type has a field of this name, so that nothing would be hashed or dropped by it.",
    ),
    code(
        "no-personal-fields",
        "The source has no catalogue that says which fields are personal.",
    ),
    lint(
        "hashed-twice",
        "The connector hashes this field, and the rule hashes the hash once more. Whoever compares it with the hash of the plain value finds no match.",
    ),
    lint(
        "other-target",
        "The mapping file says with `for` that it is written for other plugins than those of the connector.",
    ),
    code("empty-config", "The config is empty."),
    code(
        "empty-secret",
        "A secret is empty: the text in the file, or the environment variable it is taken from. Nobody could get in with it, so a run does not start. To leave an optional one out, write `${NAME:-}`.",
    ),
    code(
        "blank-in-secret",
        "A secret with what the environment has begins or ends with a blank or a line break. It is compared and sent as it is, so every request would be refused with 401.",
    ),
    lint(
        "bearer-in-token",
        "A token begins with the word `Bearer`. That word says in the header `Authorization` that a token follows; who sends puts it there, and what is compared is the token alone: every request would be refused with 401.",
    ),
    lint(
        "plain-secret",
        "A secret is written out in the config, where everybody sees it who sees the file, its copies and its history. Take it from the environment or from a file.",
    ),
    code(
        "unreadable-secret",
        "The file of a secret (`token: { file: … }`) cannot be read or is empty. Looked at when it starts and at each reload, not by `validate`, which needs no secrets. Create it, or let the user that runs this read it.",
    ),
    code(
        "missing-variable",
        "An environment variable has no value and the config gives no default. Set it where the program is started (`export NAME=…`, the `EnvironmentFile` of a service), or write `${NAME:-default}` for what is no secret. `validate` does not ask for values.",
    ),
    code(
        "bad-placeholder",
        "A variable is written `${NAME}` or `${NAME:-default}`. Either the text in the braces is no name, or one of the two signs is missing: `$NAME` would be taken as it stands, `{NAME}` is a map in YAML.",
    ),
    code("invalid-value", "The value does not fit the setting."),
    code(
        "invalid-setting",
        "The plugin cannot work with this setting.",
    ),
    code(
        "bad-schema",
        "The plugin's own schema is not usable; this is a mistake of the plugin: tell whoever wrote it, or take another version of it.",
    ),
    code(
        "bad-name",
        "The name cannot be used: it names files and metrics too.",
    ),
    code("no-sources", "A config needs at least one source."),
    code("no-connectors", "A config needs at least one connector."),
    code(
        "unknown-plugin",
        "There is no plugin of this name in this build.",
    ),
    code(
        "unknown-source",
        "The connector reads a source that the config does not have.",
    ),
    lint(
        "unused-source",
        "No connector reads this source: its events are kept and go nowhere.",
    ),
    lint(
        "unknown-event-type",
        "The source's catalogue has no event type like this. It may be new, or misspelt.",
    ),
    lint(
        "same-identity",
        "Two connectors can send the same event to one system under one identity, and the system drops the second.",
    ),
    code(
        "admin-without-token",
        "The admin listener can be reached from other machines and asks for no token: anybody there could pause and replay.",
    ),
    code(
        "same-address",
        "Two listeners want the same port of the same address, and only one can have it: sources under `listen` (`127.0.0.1:8080` when nothing is said), the admin listener under `admin: { listen: … }`.",
    ),
    code(
        "renamed-from-existing",
        "The connector takes over the place of another one that is still in the config and needs its place itself.",
    ),
    code(
        "other-source",
        "A connector's place in the data folder counts the events of one source and means nothing in another. Under a new name it begins anew; what waits behind the old source is then sent by nobody, until both are back under their names.",
    ),
    code(
        "place-left-behind",
        "A connector that has run is gone from the config, and one that reads the same source is new: most often the same one by another name. Without `renamed_from` it begins as `start:` says, by default at the oldest event of the journal, and sends again what was sent before; account and dead letters stay with the old name. Once the new one has run, the line comes too late, and only a name that is new takes the place over.",
    ),
    lint(
        "contact-without-alerts",
        "There is no way to reach this contact: problems are only logged.",
    ),
    lint(
        "alerts-without-contact",
        "Mail can be sent, and this connector names nobody to send it to.",
    ),
    code(
        "incomplete-login",
        "A mail server that wants a login wants a name and a password.",
    ),
    lint(
        "password-in-the-clear",
        "The password of the mail server can be read by whoever sees the connection.",
    ),
    code(
        "no-tests",
        "There are no tests at this place. Test files are called `*.test.yaml`; name one, or the folder that holds them.",
    ),
    code(
        "no-event",
        "The test does not say which event it is about: `sample` with an event type of the catalogue, or the `event` itself.",
    ),
    code(
        "no-catalogue",
        "A sample is asked for, and the source has no catalogue. Say in a mapping file which source it is for (`for: { source: … }`), or write the `event` out.",
    ),
];

/// The code of this name.
pub fn find(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.name == name)
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    CODES.iter().map(|code| code.name)
}
