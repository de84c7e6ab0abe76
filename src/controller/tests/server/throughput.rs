//! How fast. Run it alone and optimised: `cargo test --release -p rescind-controller --test server throughput --
//! --ignored --nocapture`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::kit::{Api, Realm};

fn grants(from: usize, count: usize) -> Value {
    let one = |n: usize| {
        json!({"kind": "grant", "holder": format!("user:https://idp.example#user-{n}"), "action": "refund:create",
            "resource": format!("/orders/{n}"), "idempotency_key": format!("load-{n}")})
    };
    json!({"directives": (from..from + count).map(one).collect::<Vec<_>>()})
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[sorted.len() * share / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure() {
    let realm = Realm::new();
    let controller = realm.start().await;
    let api = Api::new(&controller, "ir");
    api.revoke("warm", "warm").await;
    let mut singles = Vec::new();
    for n in 0..300 {
        let started = Instant::now();
        let (status, _) = api.revoke(&format!("s{n}"), &format!("k{n}")).await;
        assert_eq!(status, 200);
        singles.push(started.elapsed());
    }
    singles.sort_unstable();
    println!("one at a time: p50 {:?} p99 {:?}", percentile(&singles, 50), percentile(&singles, 99));

    let bodies: Vec<Value> = (0..20).map(|n| grants(n * 10_000, 10_000)).collect();
    let started = Instant::now();
    let mut under_load = Vec::new();
    let load = async {
        for body in &bodies {
            let (status, answer) = api.post(body).await;
            assert_eq!(status, 200, "{answer}");
            let results = answer["results"].as_array().unwrap();
            assert!(results.iter().all(|result| result["state"] == "accepted"), "{:?}", results.first());
        }
        started.elapsed()
    };
    let deny = async {
        for n in 0..10_000 {
            let at = Instant::now();
            let (status, _) = api.revoke(&format!("d{n}"), &format!("d{n}")).await;
            assert_eq!(status, 200);
            under_load.push(at.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let took = tokio::select! {
        took = load => took,
        () = deny => panic!("the load should end first"),
    };
    under_load.sort_unstable();
    println!("bulk: {} directives in {took:?}, {:.0}/s", 200_000, 200_000.0 / took.as_secs_f64());
    println!("deny meanwhile: p50 {:?} p99 {:?}", percentile(&under_load, 50), percentile(&under_load, 99));
    let mut at = 200_000;
    while at < 1_000_000 {
        let (status, _) = api.post(&grants(at, 10_000)).await;
        assert_eq!(status, 200);
        at += 10_000;
    }
    let started = Instant::now();
    controller.stop().await;
    println!("stop: {:?}", started.elapsed());
    let started = Instant::now();
    let controller = realm.start().await;
    println!("warm restart with 1,000,000 entitlements: {:?}", started.elapsed());
    controller.stop().await;
}
