//! `examples/shop` with the real program: signed orders in, entries of a ledger out, and no plugin
//! that was made for either side.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{RUN, Sluice, eventually, program, status_by};

const SECRET: &str = "shop-secret-of-the-test";
const TOKEN: &str = "ledger-token-of-the-test";

/// The API on the other side; it keeps each line that comes with its token.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<Value>>>);

impl Ledger {
    /// Gives its URL.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new()
            .route("/entries", post(take))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/entries")
    }

    fn entries(&self) -> Vec<Value> {
        self.0.lock().expect("no panic before").clone()
    }
}

async fn take(State(ledger): State<Ledger>, headers: HeaderMap, body: String) -> StatusCode {
    let shown = headers.get("authorization").map(|value| value.as_bytes());
    if shown != Some(format!("Bearer {TOKEN}").as_bytes()) {
        return StatusCode::UNAUTHORIZED;
    }
    let entries: Result<Vec<Value>, _> = body.lines().map(serde_json::from_str).collect();
    let Ok(entries) = entries else {
        return StatusCode::BAD_REQUEST;
    };
    ledger.0.lock().expect("no panic before").extend(entries);
    StatusCode::OK
}

/// The example as it is, in a folder of its own and on free ports.
fn copy_example(to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop");
    std::fs::create_dir(to.join("mappings")).expect("a writable folder");
    std::fs::copy(
        from.join("mappings/orders.yaml"),
        to.join("mappings/orders.yaml"),
    )
    .expect("the example has mappings");
    let config = std::fs::read_to_string(from.join("sluice.yaml")).expect("the example's config");
    let on_free_ports = config.replace("127.0.0.1:8080", "127.0.0.1:0");
    assert_ne!(on_free_ports, config, "the example listens elsewhere");
    let path = to.join("sluice.yaml");
    let admin = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port");
    let on_free_ports = format!("{on_free_ports}admin: {{ listen: \"{admin}\" }}\n");
    std::fs::write(&path, on_free_ports).expect("a writable folder");
    path
}

fn with_secrets(ledger_url: &str) -> Command {
    let mut command = program();
    command
        .env("SHOP_SECRET", SECRET)
        .env("LEDGER_TOKEN", TOKEN)
        .env("LEDGER_URL", ledger_url);
    command
}

fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().fold("sha256=".to_owned(), |text, byte| {
        text + &format!("{byte:02x}")
    })
}

/// Post it as the shop would, signed with this secret; gives the answer's status.
async fn post_signed(endpoint: &str, secret: &str, events: &Value) -> u16 {
    let body = json!({"shop": "north", "events": events}).to_string();
    let answer = reqwest::Client::new()
        .post(endpoint)
        .header("X-Shop-Signature", sign(secret, &body))
        .body(body)
        .send()
        .await;
    answer.expect("an answer").status().as_u16()
}

fn orders() -> Value {
    json!([
        {"event": "ev-1", "event_type": "order.paid", "at": "2026-09-01T14:00:00+02:00",
         "order": {"number": 1001, "email": "kim@example.org", "total": "25.00",
                   "items": [{"sku": "mug", "qty": "2", "price": "12.50"}]}},
        {"event": "ev-2", "event_type": "cart.changed"},
        {"event": "ev-3", "event_type": "order.refunded", "at": 1_788_264_000,
         "order": {"number": 1001, "refunded": 12.5, "reason": 1}},
        {"event": "ev-4", "event_type": "order.paid", "order": {"number": 1002}},
        {"event": "ev-5", "event_type": "voucher.sold"},
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_orders_become_entries_and_others_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = copy_example(folder.path());
    let ledger = Ledger::default();
    let url = ledger.serve().await;
    let mut command = with_secrets(&url);
    command.args(RUN).arg(&config);
    let sluice = Sluice::start_by(command);

    let forged = json!([{"event": "ev-0", "event_type": "order.paid", "order": {"total": 1}}]);
    assert_eq!(post_signed(&sluice.endpoint, "a guess", &forged).await, 401);
    for _ in 0..2 {
        // The shop says everything twice; each event is taken once.
        assert_eq!(post_signed(&sluice.endpoint, SECRET, &orders()).await, 200);
    }

    eventually("all events are settled", || {
        let account = status_by(with_secrets(&url), &config);
        let events = &account["connectors"]["shop-to-ledger"]["events"];
        events["received"] == 10 && events["waiting"] == 0
    })
    .await;
    assert_eq!(sluice.stop(), Some(0), "a clean stop");

    let mut entries = ledger.entries();
    entries.sort_by_key(|entry| entry["entry"].to_string());
    // As text, because amounts keep the digits that the shop wrote.
    let expected = r#"[
        {"entry": "ev-1", "order": "1001", "booked_at": "2026-09-01T12:00:00.000Z",
         "customer": "1b8d24966640ed8bce3bc38740387ac29ec37f665830fb435e29c31e44f2f4f0",
         "currency": "EUR", "kind": "sale", "amount": 25.00,
         "lines": [{"sku": "mug", "quantity": 2, "price": 12.50}]},
        {"entry": "ev-3", "order": "1001", "booked_at": "2026-09-01T12:00:00.000Z",
         "currency": "EUR", "kind": "refund", "amount": 12.5, "reason": "damaged"}
    ]"#;
    let expected: Vec<Value> = serde_json::from_str(expected).expect("JSON");
    assert_eq!(entries, expected);

    let account = status_by(with_secrets(&url), &config);
    let events = &account["connectors"]["shop-to-ledger"]["events"];
    assert_eq!(events["received"], 10, "{events}");
    assert_eq!(events["delivered"], 2, "{events}");
    let skipped = json!({"duplicate": 5, "no order yet": 1});
    assert_eq!(events["skipped"], skipped, "{events}");
    let dead = json!({"order without a total": 1, "unmapped": 1});
    assert_eq!(events["dead"], dead, "{events}");
    assert_eq!(events["waiting"], 0, "{events}");
}
