//! What answers which request.

use std::{convert::Infallible, fmt::Write, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue},
};
use tokio::time::timeout;

use super::{
    LOOPS_ANSWER, exposition,
    history::History,
    hosts::{Hosts, Refused},
    metrics::Metrics,
    sessions,
    sources::Sources,
};

/// What the answers are made of.
pub(super) struct Routes {
    pub(super) metrics: Arc<Metrics>,
    pub(super) history: Arc<History>,
    pub(super) sources: Arc<dyn Sources>,
    pub(super) hosts: Hosts,
    /// Whether those who can connect may end sessions.
    pub(super) may_end: bool,
}

/// Every answer has them. Nothing is loaded from elsewhere, kept, framed or guessed.
const HEADERS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

type Answer = Response<Full<Bytes>>;

impl Routes {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        let mut answer = match self.hosts.check(request.uri(), request.headers()) {
            Ok(()) => self.route(request.method(), request.uri().path()).await,
            Err(refused) => {
                let status = match refused {
                    Refused::Unclear => StatusCode::BAD_REQUEST,
                    Refused::Other => StatusCode::MISDIRECTED_REQUEST,
                };
                text(status, format!("{refused}\n"))
            }
        };
        for (name, value) in HEADERS {
            let name = HeaderName::from_static(name);
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        Ok(answer)
    }

    async fn route(&self, method: &Method, path: &str) -> Answer {
        if let Some(number) = path
            .strip_prefix("/sessions/")
            .and_then(|rest| rest.strip_suffix("/end"))
        {
            return match *method {
                Method::POST => self.end(number),
                _ => not_allowed("POST"),
            };
        }
        // The library leaves the body of an answer to HEAD out.
        if !matches!(*method, Method::GET | Method::HEAD) {
            return not_allowed("GET, HEAD");
        }
        match path {
            "/" => file("text/html; charset=utf-8", include_str!("page/index.html")),
            "/page.css" => file("text/css; charset=utf-8", include_str!("page/page.css")),
            "/page.js" => file(
                "text/javascript; charset=utf-8",
                include_str!("page/page.js"),
            ),
            "/icon.svg" => file("image/svg+xml", include_str!("page/icon.svg")),
            "/metrics" => self.metrics(),
            "/sessions" => json(serde_json::to_vec(&sessions::now(
                self.metrics.live(),
                &*self.sources,
                self.may_end,
            ))),
            "/history" => json(self.history.json()),
            "/healthz" => self.health().await,
            "/readyz" => self.ready(),
            _ => text(
                StatusCode::NOT_FOUND,
                "there is /, /metrics, /sessions, /history, /healthz and /readyz\n".to_owned(),
            ),
        }
    }

    fn metrics(&self) -> Answer {
        let readings = self.metrics.readings();
        match exposition::text(self.metrics.look(), &*self.sources, readings) {
            Ok(metrics) => with(StatusCode::OK, exposition::CONTENT_TYPE, metrics),
            Err(error) => failed(&error),
        }
    }

    /// Whether the loops run.
    async fn health(&self) -> Answer {
        match timeout(LOOPS_ANSWER, self.sources.answers()).await {
            Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
            Err(_) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "a loop that accepts clients, or keeps an SSH connection up, has not answered for {} s\n",
                    LOOPS_ANSWER.as_secs()
                ),
            ),
        }
    }

    /// Whether clients can be served.
    fn ready(&self) -> Answer {
        let mut reasons = String::new();
        for hindrance in self.sources.hindrances() {
            // Writing to a String cannot fail.
            let _ = writeln!(reasons, "{hindrance}");
        }
        for ssh in self.sources.ssh() {
            if !ssh.stats.control_is_up {
                let why = ssh.failure.unwrap_or_else(|| "no connection".to_owned());
                let _ = writeln!(reasons, "SSH {} is not up: {why}", ssh.name);
            }
        }
        match reasons.is_empty() {
            true => text(StatusCode::OK, "ready\n".to_owned()),
            false => text(StatusCode::SERVICE_UNAVAILABLE, reasons),
        }
    }

    /// Ends a session.
    fn end(&self, number: &str) -> Answer {
        if !self.may_end {
            let why = "sessions can be ended over a Unix socket only (--metrics unix:/PATH)\n";
            return text(StatusCode::FORBIDDEN, why.to_owned());
        }
        let number = number.parse().ok();
        match number.filter(|number| self.metrics.live().end(*number)) {
            Some(number) => {
                tracing::warn!("#{number} is ended: it was asked for over the Unix socket");
                text(StatusCode::OK, format!("session {number} is ended\n"))
            }
            None => text(
                StatusCode::NOT_FOUND,
                "there is no session with this number\n".to_owned(),
            ),
        }
    }
}

fn with(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn text(status: StatusCode, text: String) -> Answer {
    with(status, TEXT, text)
}

fn file(kind: &'static str, text: &'static str) -> Answer {
    with(StatusCode::OK, kind, text)
}

fn json(body: serde_json::Result<Vec<u8>>) -> Answer {
    match body {
        Ok(body) => with(StatusCode::OK, JSON, body),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("this answers {allowed} only\n"),
    );
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}
