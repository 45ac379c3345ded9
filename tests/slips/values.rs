//! Slips in the values of a document.

use super::{rules_give, with_member};

const CLICK: &str = "rules:
  c:
    on: users.messages.email.Click
    when: \"@.id\"
    emit: { $extends: engagement, event: Clicked, properties: { url: VALUE } }
";

#[test]
fn a_field_without_its_sign_is_no_constant() {
    let value = |text: &str| CLICK.replace("VALUE", text);
    rules_give(
        &value("properties.url"),
        &["7:70 text-like-path"],
        &[
            "warning[",
            "the text `properties.url`",
            "did you mean `$.properties.url`?",
        ],
    );
    rules_give(
        &value("properties.link_ids"),
        &["7:70 text-like-path"],
        &["did you mean `$.properties.link_id`?"],
    );
    rules_give(
        &value("$properties.url"),
        &["7:70 text-like-path"],
        &["error[", "did you mean `$.properties.url`?"],
    );
    for ordinary in [
        "braze.email",
        "https://user.example.com/properties.url",
        "1.2.3",
        "user.created",
        "{ $const: properties.url }",
        "\"see properties.url\"",
    ] {
        rules_give(&value(ordinary), &[], &[]);
    }
}

#[test]
fn a_path_in_the_braces_of_a_plain_text_is_told_with_its_text() {
    let meant = "write `{ $text: \"Sale {$.properties.url}\" }`";
    for text in [
        "Sale {$.properties.url}",
        "Sale {{ $.properties.url }}",
        "Sale ${properties.url}",
        "Sale {properties.ulr}",
    ] {
        let (code, said) = with_member(&format!("event: \"{text}\""));
        assert_eq!(code, 1, "{said}");
        let place = "mappings/ours.yaml:9:14  warning[text-like-path]";
        assert!(said.contains(place), "{said}");
        assert!(said.contains(meant), "{said}");
    }
    let (_, said) = with_member("event: \"{a} {$.properties.url | none} }\"");
    let meant = "write `{ $text: \"{{a}} {$.properties.url | none} }}\" }`";
    assert!(said.contains(meant), "{said}");
    for text in [
        "\"Sale {of the year}\"",
        "\"a {\"",
        "{ $text: \"Sale {$.properties.url | none}\" }",
        "{ $const: \"Sale {$.properties.url}\" }",
    ] {
        let (code, said) = with_member(&format!("event: {text}"));
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn an_operator_without_its_braces_is_told() {
    for (text, meant) in [
        ("$omit", "write `{ $omit: true }`"),
        ("$text", "write `{ $text: … }`"),
    ] {
        let (code, said) = with_member(&format!("event: {text}"));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("an operator stands in braces"), "{said}");
        assert!(said.contains(meant), "{said}");
        assert!(!said.contains("`$.omit`"), "{said}");
    }
}

#[test]
fn a_path_alone_in_braces_is_told_to_stand_without_them() {
    for text in [
        "{properties.url}",
        "{ $.properties.url }",
        "{$properties.url}",
    ] {
        let (code, said) = with_member(&format!("event: {text}"));
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("a path stands without braces: `$.properties.url`"),
            "{said}"
        );
        assert!(said.contains("1 error, 0 warnings"), "{said}");
    }
}
