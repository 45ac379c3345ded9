//! Who is told, and when: the real program, a mail server and a webhook on the loopback.

#[path = "../support/mod.rs"]
mod support;

mod limits;
mod mail;
mod world;

use std::sync::atomic::Ordering;

use mail::MailServer;
use serde_json::{Value, json};
use support::{Sluice, eventually, program};
use world::{World, event, feed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_contact_hears_of_a_hold_of_its_end_and_of_dead_letters() {
    let world = World::new("interval: 1s").await;
    world.refuse().await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 1), event("b", 1)]).await;
    let held = world.mail.gets("braze-to-segment: held").await;
    assert_eq!(held.from, "sluice@example.com");
    assert_eq!(held.header("From"), "Sluice <sluice@example.com>");
    assert_eq!(held.header("To"), held.to[0]);
    assert!(held.header("Date").ends_with("+0000"), "{held:?}");
    assert!(!held.header("Message-ID").is_empty(), "{held:?}");
    for part in [
        "401",
        "2 events, safe on disk",
        "Lost?    No.",
        &format!("sluice status --config {}", world.config.display()),
    ] {
        assert!(held.text.contains(part), "{part}: {}", held.text);
    }
    eventually("both contacts have it", || {
        let mails = world.mail.mails();
        ["data-team@example.com", "on-call@example.com"]
            .iter()
            .all(|to| mails.iter().any(|mail| mail.to == [*to]))
    })
    .await;

    world.mend().await;
    let well = world.mail.gets("braze-to-segment: delivering again").await;
    assert!(well.text.contains("Lost?"), "{}", well.text);

    feed(&sluice, vec![event("c", 40_000)]).await;
    let dead = world.mail.gets("1 new dead letter").await;
    assert!(dead.text.contains("1 x too-large"), "{}", dead.text);
    let command = "sluice dead-letters list --connector braze-to-segment --config ";
    assert!(dead.text.contains(command), "{}", dead.text);

    for mail in world.mail.mails() {
        for secret in ["secret-token", "0123456789abcdef", "jo.private", "cust-1"] {
            assert!(!mail.text.contains(secret), "{secret}: {}", mail.text);
        }
    }
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_does_not_tell_the_same_hold_again() {
    let world = World::new("interval: 1h").await;
    world.refuse().await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 1)]).await;
    world.mail.gets("braze-to-segment: held").await;
    eventually("both contacts have it", || world.mail.mails().len() == 2).await;
    // Its own end shows that the look after the last mail is over.
    feed(&sluice, vec![event("b", 40_000)]).await;
    world.mail.gets("new dead letter").await;
    eventually("both contacts have it", || world.mail.mails().len() == 4).await;
    // A second kind of news makes it certain that the first was kept: nothing waits at its end.
    assert_eq!(sluice.stop(), Some(0));

    let sluice = Sluice::start(&world.config);
    sluice.wait_for_line("held: ");
    feed(&sluice, vec!["{\"no\":\"event\"}".to_owned()]).await;
    let told = world.mail.gets("source braze: 1 new dead letter").await;
    let export = "dead-letters export --raw --connector source:braze";
    assert!(told.text.contains(export), "{}", told.text);
    assert!(!told.text.contains("replay"), "no rule can run on them");
    eventually("both contacts have it", || world.mail.mails().len() == 6).await;
    let holds = world.mail.subjects();
    let holds = holds.iter().filter(|subject| subject.contains("held"));
    assert_eq!(holds.count(), 2, "{:?}", world.mail.subjects());
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_is_unwell_delays_the_mail_and_nothing_else() {
    let world = World::new("interval: 1h").await;
    world.mail.is_unwell.store(true, Ordering::Relaxed);
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 40_000)]).await;
    let line = sluice.wait_for_line("nobody was told yet");
    let line: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].to_string().contains("451"), "{line}");
    feed(&sluice, vec![event("b", 1)]).await;
    eventually("delivery goes on", || world.double.accepted() == 1).await;
    assert_eq!(world.mail.mails().len(), 0);
    world.mail.is_unwell.store(false, Ordering::Relaxed);
    world.mail.gets("1 new dead letter").await;
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_gets_text_for_people_and_fields_for_programs() {
    let (posts_in, mut posts) = tokio::sync::mpsc::channel::<Value>(8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let take = move |body: axum::Json<Value>| async move {
        let _ = posts_in.send(body.0).await;
    };
    let router = axum::Router::new().route("/hook/hunter2", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let world = World::new(&format!("webhook: http://{address}/hook/hunter2")).await;
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 40_000)]).await;
    let post = tokio::time::timeout(support::PATIENCE, posts.recv()).await;
    let post = post.expect("in time").expect("a post");
    let text = post["text"].as_str().expect("a text");
    assert!(
        text.contains("braze-to-segment: 1 new dead letter"),
        "{text}"
    );
    let notice = &post["notices"][0];
    assert_eq!(
        notice["topic"],
        json!({"of": "dead_letters", "name": "braze-to-segment"})
    );
    assert_eq!(notice["by"], json!({"too-large": 1}));
    assert!(!post.to_string().contains("hunter2"), "{post}");
    assert_eq!(sluice.stop(), Some(0));
    drop(world.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_message_says_by_its_exit_code_whether_it_went() {
    let world = World::new("interval: 1h").await;
    let test = |more: &[&str]| {
        let mut command = program();
        command
            .args(["alerts", "test", "--config"])
            .arg(&world.config);
        let output = command.args(more).output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = test(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("sent      mail data-team@example.com"),
        "{said}"
    );
    assert_eq!(
        world.mail.subjects(),
        ["[sluice] test message for braze-to-segment"; 2]
    );
    let (code, said) = test(&["--connector", "braze-to-segmen"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("did you mean `braze-to-segment`?"), "{said}");
    world.mail.is_unwell.store(true, Ordering::Relaxed);
    let (code, said) = test(&["--connector", "braze-to-segment"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("not sent  mail data-team@example.com"),
        "{said}"
    );
    assert!(said.contains("451"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_config_that_nobody_was_answered_about_is_told_with_its_place_and_its_end() {
    let world = World::new("interval: 1s").await;
    let sluice = Sluice::start(&world.config);
    let hang_up = || {
        let sent = std::process::Command::new("kill")
            .args(["-HUP", &sluice.pid().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    };
    let good = std::fs::read_to_string(&world.config).expect("a config");
    let wrong = good.replace("source: braze\n", "source: braz\n");
    std::fs::write(&world.config, wrong).expect("a writable folder");
    hang_up();
    let told = world.mail.gets("config: the new one is wrong").await;
    assert!(told.text.contains("sluice.yaml:7:13"), "{}", told.text);
    assert!(told.text.contains("config 1, as before"), "{}", told.text);
    assert!(!told.text.contains("secret-token"), "{}", told.text);

    std::fs::write(&world.config, good).expect("a writable folder");
    hang_up();
    let well = world.mail.gets("config: the files are taken again").await;
    assert!(well.text.contains("runs as config 2"), "{}", well.text);
    assert_eq!(sluice.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_tells_by_the_new_mail_server_what_the_old_one_did_not_take() {
    let world = World::new("interval: 1h").await;
    world.mail.is_unwell.store(true, Ordering::Relaxed);
    let sluice = Sluice::start(&world.config);
    feed(&sluice, vec![event("a", 40_000)]).await;
    sluice.wait_for_line("nobody was told yet");

    let other = MailServer::start();
    let good = std::fs::read_to_string(&world.config).expect("a config");
    let old = format!("port: {},", world.mail.port);
    assert!(good.contains(&old), "{good}");
    let new = good.replace(&old, &format!("port: {},", other.port));
    std::fs::write(&world.config, new).expect("a writable folder");
    let sent = std::process::Command::new("kill")
        .args(["-HUP", &sluice.pid().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    sluice.wait_for_line("alerts go out by the new settings");
    other.gets("1 new dead letter").await;
    eventually("both contacts have it", || other.mails().len() == 2).await;
    assert_eq!(world.mail.mails().len(), 0);
    assert_eq!(sluice.stop(), Some(0));
}
