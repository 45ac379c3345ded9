use super::*;

fn read(text: &str) -> Result<(Node, Files), (Diagnostic, Files)> {
    let mut files = Files::default();
    let file = files.add("a.yaml", None, text.to_owned());
    match parse_yaml(file, &files) {
        Ok(node) => Ok((node, files)),
        Err(error) => Err((*error, files)),
    }
}

fn place_of(text: &str, pointer: &str) -> String {
    let (node, files) = read(text).expect("valid YAML");
    let span = node.at_pointer(pointer).span;
    format!(
        "{} {}",
        files.place(span),
        &files.text(span.file)[span.start as usize..span.end as usize]
    )
}

#[test]
fn every_value_keeps_its_place() {
    let text = "a: 1\nb:\n  c: [x, 'y z']\n  ü: { d: $.e }\n";
    assert_eq!(place_of(text, "/b/c/1"), "a.yaml:3:10 'y z'");
    assert_eq!(place_of(text, "/b/ü/d"), "a.yaml:4:11 $.e");
    assert_eq!(place_of(text, "/b/ü"), "a.yaml:4:6 { d: $.e }");
    assert_eq!(place_of(text, "/b/c"), "a.yaml:3:6 [x, 'y z']");
}

#[test]
fn only_json_scalars_are_not_text() {
    let (node, _) = read("[no, 012, 1_000, 1.10, true, ~, 0x1f, -5, 1e3, -x]").expect("valid");
    assert_eq!(
        serde_json::to_string(&node.to_json()).expect("json"),
        r#"["no","012","1_000",1.10,true,null,"0x1f",-5,1e+3,"-x"]"#
    );
}

#[test]
fn surprises_of_yaml_are_refused_with_their_place() {
    for (text, code, place) in [
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", "a.yaml:3:1"),
        (
            "a: &x {b: 1}\nc:\n  <<: *x\n",
            "yaml-merge-key",
            "a.yaml:3:3",
        ),
        ("a: !env X\n", "yaml-tag", "a.yaml:1:4"),
        ("a: 1\n---\nb: 2\n", "yaml-documents", "a.yaml:2:1"),
        ("a: [1, 2\nb: 3\n", "yaml-syntax", "a.yaml:1:4"),
        ("a:\n\t- b\n", "yaml-syntax", "a.yaml:2:1"),
    ] {
        let (error, files) = read(text).expect_err(text);
        assert_eq!(
            (error.code, files.place(error.span.expect("place")).as_str()),
            (code, place),
            "{text}: {}",
            error.message
        );
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = level - 1;
        let row = vec![format!("*a{below}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    assert_eq!(read(&text).expect_err("a bomb").0.code, "yaml-limit");
}

#[test]
fn hostile_files_get_a_message_and_cost_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    let giant = vec![b'a'; BYTES_MAX + 1];
    let scalar = format!("a: {}\n", "x".repeat(BYTES_MAX));
    for (bytes, code, says) in [
        (giant.as_slice(), "yaml-limit", "at most 8388608 are read"),
        (scalar.as_bytes(), "yaml-limit", "at most 8388608 are read"),
        (
            b"a: 1\nb: \xff\n",
            "yaml-encoding",
            "the first wrong byte is in line 2",
        ),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let problem = crate::diagnostics::read_text(&path).expect_err(says);
        assert_eq!(problem.code, code);
        assert!(problem.message.contains(says), "{}", problem.message);
    }
    for (text, code) in [
        ("a:\n\tb: 1\n".to_owned(), "yaml-syntax"),
        (format!("{}1", "a: {".repeat(1_000)), "yaml-limit"),
        ("- ".repeat(1_000), "yaml-limit"),
        ("x: [a, ".repeat(100_000), "yaml-limit"),
        ("a: &a [*a]".to_owned(), "yaml-alias"),
    ] {
        let code_found = read(&text).expect_err(code).0.code;
        assert!(
            code_found == code || code_found == "yaml-syntax",
            "{code_found}"
        );
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(4_000))]

    #[test]
    fn no_text_makes_the_reader_panic(
        text in proptest::prop_oneof![
            "\\PC{0,60}",
            "[-:,?&*!|>{}\\[\\]#'\"%@ \\n\\ta-c0-2]{0,80}",
        ]
    ) {
        if let Ok((node, files)) = read(&text) {
            files.place(node.span);
            node.to_json();
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("a: {}{}", "[".repeat(300), "]".repeat(300));
    let code = read(&text).expect_err("too deep").0.code;
    assert!(code == "yaml-limit" || code == "yaml-syntax", "{code}");
}
