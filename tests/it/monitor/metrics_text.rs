//! Reads Prometheus' text format, and fails at the slightest fault: its own reader, so that it can judge.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a scrape.
#[derive(Debug)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    /// The names of the families, with their types.
    families: BTreeMap<String, String>,
}

impl Metrics {
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut helped: BTreeSet<String> = BTreeSet::new();
        let mut current: Option<(String, String)> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.len() > 10 && help.ends_with('.'), "{line}");
                assert!(helped.insert(name.to_owned()), "twice: {line}");
                current = None;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(helped.contains(name), "no help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
                let before = families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "twice: {line}");
                current = Some((name.to_owned(), kind.to_owned()));
            } else {
                let (family, kind) = current
                    .as_ref()
                    .unwrap_or_else(|| panic!("no type: {line}"));
                let (name, series, value) = sample(line);
                let belongs = match kind.as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"]
                        .iter()
                        .any(|part| name == format!("{family}{part}")),
                    _ => name == *family,
                };
                assert!(belongs, "it stands below {family}: {line}");
                assert!(value.is_finite() && (value >= 0.0), "{line}");
                let before = samples.insert(series, value);
                assert_eq!(before, None, "twice: {line}");
            }
        }
        let metrics = Self { samples, families };
        metrics.check_histograms();
        metrics
    }

    /// The value of a series, written as the program writes it.
    pub fn value(&self, series: &str) -> f64 {
        let value = self.samples.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
    }

    /// The sum over all series of this name.
    pub fn sum(&self, name: &str) -> f64 {
        let start = format!("{name}{{");
        let series = self
            .samples
            .iter()
            .filter(|(series, _)| series.starts_with(&start));
        series.map(|(_, value)| value).sum()
    }

    /// The names of all metrics, as queries may name them.
    pub fn names(&self) -> BTreeSet<String> {
        let names = self
            .families
            .iter()
            .flat_map(|(name, kind)| match kind.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .map(|part| format!("{name}{part}"))
                    .collect(),
                _ => vec![name.clone()],
            });
        names.collect()
    }

    /// The labels that there are.
    pub fn labels(&self) -> BTreeSet<String> {
        let all = self
            .samples
            .keys()
            .filter_map(|series| series.split_once('{'));
        let pairs = all.flat_map(|(_, labels)| labels.split("=\"").collect::<Vec<_>>());
        pairs
            .filter_map(|part| part.rsplit([',', '"']).next().map(str::to_owned))
            .filter(|name| !name.is_empty() && !name.contains('}'))
            .collect()
    }

    /// The buckets grow up to the count.
    fn check_histograms(&self) {
        for (name, _) in self
            .families
            .iter()
            .filter(|(_, kind)| *kind == "histogram")
        {
            let mut by_labels: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for (series, value) in &self.samples {
                let Some(labels) = series.strip_prefix(&format!("{name}_bucket{{")) else {
                    continue;
                };
                let (before, bound) = labels.split_once("le=\"").unwrap();
                let bound = bound.trim_end_matches("\"}");
                let bound = match bound {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().unwrap(),
                };
                let before = before.trim_end_matches(',').to_owned();
                by_labels.entry(before).or_default().push((bound, *value));
            }
            assert!(!by_labels.is_empty(), "{name} has no buckets");
            for (labels, mut buckets) in by_labels {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(
                    buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
                    "{name} {labels}: {buckets:?}"
                );
                let (bound, last) = *buckets.last().unwrap();
                assert!(bound.is_infinite(), "{name} {labels}");
                let count = self.value(&format!("{name}_count{{{labels}}}"));
                assert!((count - last).abs() < f64::EPSILON, "{name} {labels}");
            }
        }
    }
}

/// The name, the series and the value of a line.
fn sample(line: &str) -> (String, String, f64) {
    let (series, value) = match line.rsplit_once("} ") {
        Some((series, value)) => (format!("{series}}}"), value),
        None => {
            let (series, value) = line.split_once(' ').unwrap();
            (series.to_owned(), value)
        }
    };
    let (name, labels) = series.split_once('{').unwrap_or((&series, "}"));
    let is_name = |name: &str| {
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(ok)
    };
    assert!(is_name(name), "{line}");
    let labels = labels.strip_suffix('}').unwrap();
    if !labels.is_empty() {
        let pairs = labels.strip_suffix('"').unwrap_or_else(|| panic!("{line}"));
        for pair in pairs.split("\",") {
            let (key, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(key) && !value.contains(['"', '\n']), "{line}");
        }
    }
    let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
    (name.to_owned(), series, value)
}
