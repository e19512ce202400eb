//! A server of this machine that deliveries reach.

use std::{convert::Infallible, net::Ipv4Addr};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::{Result, failure::Failure};

/// Bodies of deliveries are far smaller.
const BYTES_MOST: usize = 1024 * 1024;

/// A delivery that waits for its answer.
pub(super) struct Delivery {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, to the byte.
    pub body: Bytes,
    /// Where its answer goes.
    pub answer: oneshot::Sender<StatusCode>,
}

/// The server.
pub(super) struct Receiver {
    listener: TcpListener,
    port: u16,
}

impl Receiver {
    /// Listens on this port of the loopback address, or on a free one.
    pub(super) async fn bound(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener
            .map_err(|error| Failure::usage(format!("Port {port} of 127.0.0.1 cannot be used: {error}.")))?;
        let port = listener.local_addr().map_err(Failure::internal)?.port();
        Ok(Self { listener, port })
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Hands on each delivery, and answers as it is told to. Goes on for ever.
    pub(super) async fn serve(self, deliveries: mpsc::Sender<Delivery>) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let deliveries = deliveries.clone();
            tokio::spawn(async move {
                let answered = service_fn(|request| received(request, deliveries.clone()));
                let mut connection = http1::Builder::new();
                connection.timer(TokioTimer::new());
                // A sender that goes away sends again.
                let _ = connection.serve_connection(TokioIo::new(stream), answered).await;
            });
        }
    }
}

async fn received(
    request: Request<Incoming>,
    deliveries: mpsc::Sender<Delivery>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let status = handed_on(request, deliveries).await.unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    Ok(response)
}

async fn handed_on(request: Request<Incoming>, deliveries: mpsc::Sender<Delivery>) -> Option<StatusCode> {
    if request.method() != hyper::Method::POST {
        return Some(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BYTES_MOST).collect().await.ok()?.to_bytes();
    let (answer, told) = oneshot::channel();
    deliveries.send(Delivery { headers: head.headers, body, answer }).await.ok()?;
    told.await.ok()
}
