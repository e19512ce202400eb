//! Entry of the Lambda behind `deliveries-redeliver`.
use functions::{
    serve,
    webhooks::deliveries::redeliver::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
