//! The dashboard and the alert rules name metrics that exist.

use std::collections::BTreeSet;
use std::path::Path;

use super::Watched;
use crate::common::ScriptedServer;

fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The metrics that these queries name: words that begin as ferryline's or the process's do.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics =
        words.filter(|word| word.starts_with("ferryline_") || word.starts_with("process_"));
    metrics.map(str::to_owned).collect()
}

async fn known() -> BTreeSet<String> {
    let server = ScriptedServer::new().start().await;
    let home = tempfile::tempdir().unwrap();
    let audit = home.path().join("audit.jsonl");
    let watched = Watched::start(&server, &["--audit", audit.to_str().unwrap()]).await;
    watched.metrics().await.names()
}

#[tokio::test]
async fn the_dashboard_and_the_rules_name_metrics_that_exist() {
    let known = known().await;
    let dashboard: serde_json::Value = serde_json::from_str(&packaged("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            assert!(!named(query).is_empty(), "{query}");
            queries.push(query.to_owned());
        }
    }
    assert!(queries.len() > 6, "{queries:?}");
    for text in [queries.join("\n"), packaged("alerts.yml")] {
        let named = named(&text);
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(named.len() > 3 && unknown.is_empty(), "{unknown:?}");
    }
}
