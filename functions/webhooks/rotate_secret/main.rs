//! Entry of the Lambda behind `webhooks-rotate-secret`.
use functions::{
    serve,
    webhooks::rotate_secret::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
