//! The browser's part of signing in: opened here, and heard on a port of this machine when it comes back (RFC 8252).

use std::{
    collections::HashMap,
    convert::Infallible,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::mpsc};
use url::form_urlencoded;

use crate::{
    Result,
    failure::{Class, Failure},
};

/// A person needs no longer to sign in.
const PATIENCE: Duration = Duration::from_mins(10);
/// The page is complete in itself, and says nothing to anybody.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Where the browser comes back to.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// What it came back with.
pub(super) type Answer = HashMap<String, String>;

/// Whether there is a browser that can come back to this machine.
pub(super) fn is_there() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("SSH_CONNECTION") || is_set("SSH_TTY") {
        return false;
    }
    let has_display = !cfg!(target_os = "linux") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
    has_display || is_set("BROWSER")
}

/// Opens an address; `false` where nothing opens it.
pub(super) fn open(address: &str) -> bool {
    webbrowser::open(address).is_ok()
}

impl Loopback {
    /// Listens on a free port of the loopback address.
    pub(super) async fn bound() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener =
            listener.map_err(|error| Failure::internal(format!("no port of 127.0.0.1: {error}")))?;
        let port = listener.local_addr().map_err(Failure::internal)?.port();
        Ok(Self { listener, port })
    }

    /// What the service sends the browser back to.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Waits for the browser; `judged` says what its answer comes to, and it is shown that.
    pub(super) async fn heard<T: Send + 'static>(
        self,
        judged: impl Fn(&Answer) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        let (sender, mut outcome) = mpsc::channel(1);
        let judged = Arc::new(judged);
        let serving = async {
            loop {
                let Ok((stream, _)) = self.listener.accept().await else { continue };
                let (sender, judged) = (sender.clone(), Arc::clone(&judged));
                // Browsers open connections ahead that say nothing: each is served in its own time.
                tokio::spawn(async move {
                    let told = Arc::new(Mutex::new(None));
                    let answer = service_fn(|request: Request<Incoming>| {
                        let page = answered(&request, judged.as_ref(), &told);
                        async { Ok::<_, Infallible>(page) }
                    });
                    let mut connection = http1::Builder::new();
                    connection.keep_alive(false).timer(TokioTimer::new());
                    // The page is written, or nobody reads it.
                    let _ = connection.serve_connection(TokioIo::new(stream), answer).await;
                    let told = told.lock().ok().and_then(|mut told| told.take());
                    if let Some(told) = told {
                        let _ = sender.send(told).await;
                    }
                });
            }
        };
        tokio::select! {
            () = serving => Err(Failure::internal("a server that ended")),
            told = outcome.recv() => told.unwrap_or_else(|| Err(Failure::internal("a browser that said nothing"))),
            () = tokio::time::sleep(PATIENCE) => {
                Err(Failure::new(Class::Authentication, "Nobody signed in within ten minutes.").hint("persona auth login"))
            }
        }
    }
}

fn answered<T>(
    request: &Request<Incoming>,
    judged: &impl Fn(&Answer) -> Result<T>,
    told: &Mutex<Option<Result<T>>>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != "/callback" || request.method() != hyper::Method::GET {
        return page(
            StatusCode::NOT_FOUND,
            "Nothing is here",
            "This address is for signing in to the Persona command line.",
        );
    }
    let query = request.uri().query().unwrap_or_default();
    let answer: Answer = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let outcome = judged(&answer);
    let shown = match &outcome {
        Ok(_) => page(StatusCode::OK, "Signed in", "You can close this page and go back to the terminal."),
        Err(failure) => page(StatusCode::BAD_REQUEST, "Not signed in", &failure.message),
    };
    if let Ok(mut told) = told.lock() {
        told.get_or_insert(outcome);
    }
    shown
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>\
         <h1>{title}</h1><p>{}</p></html>",
        escaped(text)
    );
    let mut response = Response::new(Full::new(Bytes::from(html)));
    *response.status_mut() = status;
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", POLICY),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
